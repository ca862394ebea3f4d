"""Does a denoiser or a LoRA fit the base that it is put onto? Seen from the headers of the files, before loading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from methods.errors import WeightsError
from methods.hub.headers import TensorHeader

Kind = Literal["denoiser", "lora", "pipeline"]
Header = Mapping[str, TensorHeader]

GUIDANCE_INPUT = "time_embedding.cond_proj.weight"
"""What a consistency model has more than its base: an input for the guidance scale."""

DENOISER_PREFIX = "model.diffusion_model."
"""Where the denoiser lies in a whole pipeline in one file."""

_LORA = re.compile(
    r"(?P<layer>.+?)(?:\.lora_(?P<peft>A|B)(?:\.[A-Za-z0-9_]+)?|\.lora_(?P<kohya>down|up)|[._]lora\.(?P<old>down|up))\.weight"
)
_DOWN = ("A", "down")
_SGM = ("input_blocks", "middle_block", "output_blocks", "time_embed_", "label_emb", "out_2")
_WIDTHS = {768: "SD 1.5", 1024: "SD 2.1", 2048: "SDXL"}


@dataclass
class Pair:
    """The two matrices of a LoRA at one layer: (rank, inputs, ...) and (outputs, rank, ...)."""

    down: tuple[int, ...] | None = None
    up: tuple[int, ...] | None = None


def kind_of(header: Header) -> Kind:
    """What a single file holds."""
    if any(_LORA.fullmatch(name) for name in header):
        return "lora"
    if any(name.startswith((DENOISER_PREFIX, "first_stage_model.", "conditioner.")) for name in header):
        return "pipeline"
    return "denoiser"


def check_dtypes(header: Header, title: str) -> None:
    """Refuse weights that are stored in other types than ordinary floating point.

    Raises:
        WeightsError: naming the first tensor.
    """
    for name, tensor in header.items():
        is_index = tensor.dtype.startswith(("I", "U", "BOOL")) and len(tensor.shape) <= 2 and "position_ids" in name
        if not tensor.is_float and not is_index:
            raise WeightsError(
                f"{title}: {name} is stored as {tensor.dtype}; only F32, F16 and BF16 are measured, get that version"
            )


def check_denoiser(header: Header, base: Header, title: str) -> None:
    """Refuse a denoiser whose tensors are not those of the base's, but for an input for the guidance scale.

    Raises:
        WeightsError: naming the first tensor that differs.
    """
    check_dtypes(header, title)
    own = {name: tensor.shape for name, tensor in header.items() if name != GUIDANCE_INPUT}
    due = {name: tensor.shape for name, tensor in base.items() if name != GUIDANCE_INPUT}
    for name, shape in due.items():
        if name in own and own[name] != shape:
            raise WeightsError(f"{title}: {name} is {own[name]}, this base's is {shape}; it is of another architecture")
    if missing := sorted(set(due) - set(own)):
        raise WeightsError(
            f"{title}: {len(missing)} tensors of this base are missing, as {missing[0]}; it is of another architecture"
        )
    if extra := sorted(set(own) - set(due)):
        raise WeightsError(
            f"{title}: {len(extra)} tensors are not in this base, as {extra[0]}; it is of another architecture"
        )


def check_lora(header: Header, base: Header, title: str) -> None:
    """Refuse a LoRA that was made for another base, or whose matrices do not belong together.

    Raises:
        WeightsError: naming the first layer that does not fit.
    """
    check_dtypes(header, title)
    layers = {name.removesuffix(".weight"): tensor.shape for name, tensor in base.items() if name.endswith(".weight")}
    flat = {name.replace(".", "_"): name for name in layers}
    for layer, pair in lora_pairs(header).items():
        rank = _rank(pair, layer, title)
        if layer.startswith(_SGM):
            continue  # another naming of the same layers, which diffusers translates
        known = layer if layer in layers else flat.get(layer)
        if known is None:
            raise WeightsError(f"{title}: is for a layer {layer}, which this base has not; it is of another base")
        _check_sizes(pair, layers[known], known, rank, title)


def lora_pairs(header: Header) -> dict[str, Pair]:
    """Layer of the denoiser -> its two matrices; layers of text encoders are left out."""
    pairs: dict[str, Pair] = {}
    for name, tensor in header.items():
        found = _LORA.fullmatch(name)
        if found is None or name.startswith(("text_encoder", "lora_te", "te1", "te2")):
            continue
        pair = pairs.setdefault(_layer(found["layer"]), Pair())
        if (found["peft"] or found["kohya"] or found["old"]) in _DOWN:
            pair.down = tensor.shape
        else:
            pair.up = tensor.shape
    return pairs


def ranks(header: Header) -> tuple[int, ...]:
    """The ranks that occur in a LoRA."""
    return tuple(sorted({pair.down[0] for pair in lora_pairs(header).values() if pair.down}))


def _layer(name: str) -> str:
    for prefix in ("unet.", "transformer.", "base_model.model.", "lora_unet_", "lora_transformer_", "diffusion_model."):
        name = name.removeprefix(prefix)
    return name.replace(".processor.", ".")


def _rank(pair: Pair, layer: str, title: str) -> int:
    if pair.down is None or pair.up is None:
        half = "down" if pair.down is None else "up"
        raise WeightsError(f"{title}: {layer} has no {half} matrix; the file is damaged, get or train it again")
    if pair.down[0] != pair.up[1]:
        raise WeightsError(
            f"{title}: the two matrices of {layer} are of rank {pair.down[0]} and {pair.up[1]};"
            " they are of two LoRAs, get or train it again"
        )
    return pair.down[0]


def _check_sizes(pair: Pair, due: Iterable[int], layer: str, rank: int, title: str) -> None:
    outputs, inputs = tuple(due)[:2]
    assert pair.down is not None
    assert pair.up is not None
    found = (pair.up[0], pair.down[1])
    if found != (outputs, inputs):
        raise WeightsError(
            f"{title}: of rank {rank} for a {layer} from {_width(found[1])} to {found[0]},"
            f" this base's is from {_width(inputs)} to {outputs}; it is of another base"
        )


def _width(size: int) -> str:
    return f"{size} ({_WIDTHS[size]}'s text)" if size in _WIDTHS else str(size)
