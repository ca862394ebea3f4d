"""LPIPS (Zhang et al. 2018, arXiv 1801.03924) between the images of a prompt, by torchmetrics' network on AlexNet.

The linear layers on top ship with torchmetrics; AlexNet's weights are torchvision's, from a local file. Each image goes
through the network once, whatever the number of pairs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _NoTrainLpips

from bench.errors import WeightsError
from bench.metrics.hub.load import once, tensors
from bench.metrics.interface import MetricContext


class Lpips:
    """uint8 images of one size -> the matrix of their distances."""

    name, resize = "lpips-alexnet", "none"

    def __init__(self, path: Path, weights_hash: str, device: torch.device) -> None:
        self.weights_hash, self._device = weights_hash, device
        with torch.random.fork_rng(devices=[]):  # a random AlexNet, whose weights are all replaced
            self.network: Any = _NoTrainLpips(net="alex", pnet_rand=True)
        state = self.network.net.state_dict()
        given = tensors(path, "alexnet")
        # torchvision counts layers through, "features.3.weight"; the slices keep the number, "slice2.3.weight"
        filled = {key: given.get("features." + re.sub(r"^slice\d+\.", "", key)) for key in state}
        missing = [key for key, value in filled.items() if value is None or value.shape != state[key].shape]
        if missing:
            raise WeightsError(f"{path}: these are not torchvision's AlexNet weights ({missing[0]})")
        self.network.net.load_state_dict(filled)
        self.network.to(device).eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (K, 3, H, W) -> float64 (K, K), symmetric, zero on the diagonal."""
        scaled = self.network.scaling_layer(images.to(self._device).float() / 127.5 - 1)
        total = torch.zeros(len(images), len(images), dtype=torch.float64)
        for level, features in zip(self.network.lins, self.network.net(scaled), strict=True):
            unit = features / (features.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
            for row in range(len(images)):
                total[row] += level((unit[row] - unit).square()).mean(dim=(1, 2, 3)).double().cpu()
        return total


def lpips(context: MetricContext, metric: str) -> Lpips:
    """LPIPS, loaded once a run.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where they do not fit.
    """
    path, weights_hash = context.files.path("alexnet", metric), context.files.hash("alexnet", metric)
    return once(context, "lpips", lambda: Lpips(path, weights_hash, context.device))
