"""Inception v3 as clean-fid and as torch-fidelity use it, from local files.

The first is NVIDIA's TorchScript translation of the TensorFlow network of 2015-12-05. clean-fid's modes differ in the
resize: `clean` is Pillow's bicubic filter a channel at a time without rounding, `legacy_tensorflow` the resize within
the network, `legacy_pytorch` torch's bilinear one without antialiasing (here before the same network, so that modes
differ in nothing else). The second is the same network in torch-fidelity's translation, with TensorFlow 1's bilinear
resize.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from torch import Tensor

from bench.errors import UsageError, WeightsError
from bench.metrics.hub.load import once, tensors
from bench.metrics.interface import MetricContext
from methods.hub.lock import check_recorded

FILE = "inception-2015-12-05.pt"
Mode = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]
MODES: tuple[Mode, ...] = ("clean", "legacy_pytorch", "legacy_tensorflow")
_BATCH = 32


class CleanInception:
    """uint8 images -> features (N, 2048) by clean-fid's resize and network.

    The very file that is loaded is compared with `weights_hash`, or with what was recorded at its first load where
    that is empty: TorchScript is a program.

    Raises:
        WeightsError: where the file is another one, or no network.
    """

    name = "inception-2015-12-05"

    def __init__(self, path: Path, weights_hash: str, device: torch.device, mode: Mode = "clean") -> None:
        self.weights_hash, self._device = weights_hash, device
        self.resize = f"clean-fid {mode}"
        self._inside = mode == "legacy_tensorflow"
        self._resizer: Callable[[Any], Any] = build_resizer(mode)
        file = path / FILE if path.is_dir() else path
        if file.name != FILE or not file.is_file():
            raise WeightsError(f"{path}: clean-fid looks for {FILE}; give the file that name")
        check_recorded(f"judges/{FILE}", file, pinned=weights_hash or None)
        try:
            self._network = InceptionV3W(str(file.parent), download=False, resize_inside=self._inside).to(device).eval()
        except RuntimeError as error:
            raise WeightsError(f"{file} is no TorchScript network; download it again") from error

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self._features(block) for block in torch.split(images, _BATCH)])

    def _features(self, images: Tensor) -> Tensor:
        pixels = images.float() if self._inside else torch.stack([self._resized(image) for image in images])
        features: Tensor = self._network(pixels.to(self._device)).float().cpu()
        return features

    def _resized(self, image: Tensor) -> Tensor:
        resized = self._resizer(image.permute(1, 2, 0).contiguous().numpy())
        return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))


class FidelityInception:
    """uint8 images -> features (N, 2048) by torch-fidelity, whose network torchmetrics uses too."""

    name = "inception-v3-compat"
    resize = "torch-fidelity: TensorFlow 1 bilinear, inside"

    def __init__(self, path: Path, weights_hash: str, device: torch.device) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise UsageError("fid-torch-fidelity needs torch-fidelity: pip install fewstep-bench[parity]") from error
        self.weights_hash, self._device = weights_hash, device
        state = tensors(path, "inception-fidelity")
        with tempfile.TemporaryDirectory() as folder:  # its constructor takes a file of torch's; this one is ours
            file = Path(folder) / "state.pth"
            torch.save(state, file)
            try:
                network: Any = FeatureExtractorInceptionV3(
                    self.name, ["2048"], feature_extractor_weights_path=str(file)
                )
            except RuntimeError as error:
                raise WeightsError(f"{path}: these are not torch-fidelity's Inception weights") from error
        self._network = network.to(device).eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        parts = [self._network(block.to(self._device))[0].float().cpu() for block in torch.split(images, _BATCH)]
        return torch.cat(parts)

    @torch.inference_mode()
    def classes(self, features: Tensor) -> Tensor:
        """Class probabilities, float64 (N, 1008), of features (N, 2048): the last layer without its bias."""
        weight: Tensor = self._network.fc.weight
        logits = features.to(self._device, weight.dtype) @ weight.T
        return logits.double().softmax(dim=1).cpu().clone()


def clean_inception(context: MetricContext, metric: str, mode: Mode = "clean") -> CleanInception:
    """clean-fid's Inception, loaded once a run and mode.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where the file is not the published one.
    """
    path, weights_hash = context.files.path("inception", metric), context.files.hash("inception", metric)
    return once(context, f"inception {mode}", lambda: CleanInception(path, weights_hash, context.device, mode))


def fidelity_inception(context: MetricContext, metric: str) -> FidelityInception:
    """torch-fidelity's Inception, loaded once a run.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where they do not fit.
    """
    name = "inception-fidelity"
    path, weights_hash = context.files.path(name, metric), context.files.hash(name, metric)
    return once(context, name, lambda: FidelityInception(path, weights_hash, context.device))
