"""Features of a suite's reference images under any extractor: computed on first use, kept beside a run's others."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import FewstepError
from bench.judging import FeatureExtractor
from bench.metrics.features import extract, identity
from bench.suites.interface import Suite


class ReferenceSet:
    """Reference features of `suite`; kept under `folder`, or only in memory where that is None."""

    def __init__(self, suite: Suite, folder: Path | None) -> None:
        self._suite, self._folder = suite, folder
        self._known: dict[str, Tensor] = {}

    @property
    def available(self) -> bool:
        """Whether the suite has reference images at all."""
        return self._suite.reference_images() is not None

    def features(self, extractor: FeatureExtractor) -> Tensor:
        """float32 (M, D): the features of all reference images.

        Raises:
            FewstepError: where a kept file was made under another protocol than its name says, naming the field.
        """
        key = identity(extractor)
        if key not in self._known:
            self._known[key] = self._kept(extractor)
        return self._known[key]

    def _kept(self, extractor: FeatureExtractor) -> Tensor:
        if self._folder is None:
            return self._computed(extractor)
        protocol = {
            "extractor": extractor.name,
            "extractor_weights": extractor.weights_hash,
            "resize": extractor.resize,
            "reference": self._suite.reference_protocol,
        }
        digest = hashlib.sha256("\0".join(protocol.values()).encode()).hexdigest()[:16]
        path = self._folder / f"reference-{digest}.safetensors"
        known = read_reference(path, protocol)
        if known is None:
            known = self._computed(extractor)
            write_reference(path, known, protocol)
        return known

    def _computed(self, extractor: FeatureExtractor) -> Tensor:
        images = self._suite.reference_images()
        if images is None:
            raise FewstepError(f"suite {self._suite.info.name!r} has no reference images")
        return torch.cat([extract(block, extractor) for block in images])


def write_reference(path: Path, features: Tensor, protocol: dict[str, str]) -> None:
    """Keep features (M, D) with the protocol they were made under."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    save_file({"features": features.contiguous()}, partial, protocol)
    partial.replace(path)


def read_reference(path: Path, protocol: dict[str, str]) -> Tensor | None:
    """The features in `path`, None where it is absent or damaged.

    Raises:
        FewstepError: where they were made under another protocol, naming the first field that differs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            features: Tensor = file.get_tensor("features")
            stored = file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    for field, value in protocol.items():
        if stored.get(field) != value:
            raise FewstepError(
                f"{path} is a reference of another protocol: {field} is {stored.get(field)!r} there and {value!r} "
                "here; delete it and run again"
            )
    return features
