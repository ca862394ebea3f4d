"""The non-saturating logistic losses of a GAN.

Goodfellow et al., "Generative Adversarial Networks", arXiv 1406.2661, section 3.

    paper                  here
    log D(x)               log sigmoid of a logit, which is -softplus(-logit)
    log(1 - D(G(z)))       log(1 - sigmoid), which is -softplus(logit)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def logistic_discriminator(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Sum over heads of -E log D(real) - E log(1 - D(fake)), of logits of any shape."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([F.softplus(-r).mean() + F.softplus(f).mean() for r, f in pairs]).sum()


def logistic_generator(fake: Sequence[Tensor]) -> Tensor:
    """Sum over heads of -E log D(fake)."""
    return torch.stack([F.softplus(-f).mean() for f in fake]).sum()
