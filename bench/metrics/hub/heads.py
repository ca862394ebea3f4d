"""The small networks that turn an embedding into a score."""

from __future__ import annotations

from torch import Tensor, nn


class ScoreHead(nn.Module):
    """Five linear layers without activations between, which is how the published heads are: (N, width) -> (N,).

    Both LAION's aesthetic predictor v2 and ImageReward have it. The entries of `layers` are numbered as published,
    where dropout stands between the linear ones.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """(N, width) -> (N,)."""
        scores: Tensor = self.layers(embeddings)
        return scores.squeeze(-1)
