"""Muon: momentum whose matrix is orthogonalised before it is applied.

Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon), with the step size of Liu et al. 2025 (arXiv 2502.16982,
section 2.2), which gives an update the root mean square of AdamW's, so that one learning rate serves both. torch's own
`torch.optim.Muon` takes matrices only; here a convolution's filters count as the matrix (out, in * height * width). On
matrices the two agree, which a test checks.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


class Muon(Optimizer):
    """For parameters of two or more dimensions; others belong to AdamW.

    Raises:
        ValueError: for a parameter with fewer than two dimensions.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            if any(p.ndim < 2 for p in group["params"]):
                raise ValueError("Muon takes matrices and filters only; give vectors to AdamW")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, parameter: Tensor, gradient: Tensor, lr: float, momentum: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average = state["momentum_buffer"]
        average.lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(average, momentum).reshape(len(parameter), -1)
        update = orthogonalise(matrix) * (0.2 * max(matrix.shape) ** 0.5)
        parameter.mul_(1 - lr * weight_decay)
        parameter.sub_(update.reshape(parameter.shape), alpha=lr)


def orthogonalise(matrix: Tensor) -> Tensor:
    """About U V^T of the singular value decomposition U S V^T, by five quintic Newton-Schulz steps."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    orthogonal: Tensor = x.T if tall else x
    return orthogonal
