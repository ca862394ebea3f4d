"""A CLIP tokenizer whose words are the world's: every vocabulary word is one token, anything else falls to bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor
from transformers import CLIPTokenizer

from bench.suites.shapes import vocabulary as words

_START, _END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder: Path, max_tokens: int) -> CLIPTokenizer:
    """Write the tokenizer's files into `folder` and load it from there. Prompts are padded and cut to `max_tokens`."""
    merges = _merges(words.words())
    tokens = [
        *_byte_characters(),
        *(f"{c}</w>" for c in _byte_characters()),
        *("".join(m) for m in merges),
        _START,
        _END,
    ]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in merges)]) + "\n", encoding="utf-8"
    )
    tokenizer = load_tokenizer(folder, max_tokens)
    tokenizer.save_pretrained(folder)
    return tokenizer


def load_tokenizer(folder: Path, max_tokens: int) -> CLIPTokenizer:
    """The tokenizer in `folder`; prompts are padded and cut to `max_tokens`."""
    return CLIPTokenizer.from_pretrained(  # nosec B615
        folder, model_max_length=max_tokens, pad_token=_END
    )


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """int64 (N, the tokenizer's `model_max_length`), padded, and truncated before the end token."""
    encoded = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    ids: Tensor = encoded.input_ids
    return ids


def _merges(vocabulary: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte-pair merges, left to right, that build each word out of its letters."""
    merges: dict[tuple[str, str], None] = {}
    for word in vocabulary:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        pieces = _apply(pieces, list(merges))
        while len(pieces) > 1:
            merges[(pieces[0], pieces[1])] = None
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
    return list(merges)


def _apply(pieces: list[str], merges: list[tuple[str, str]]) -> list[str]:
    """What byte-pair encoding makes of `pieces` under `merges`, earliest merge first."""
    rank = {pair: index for index, pair in enumerate(merges)}
    while candidates := [(rank[pair], k) for k, pair in enumerate(pairwise(pieces)) if pair in rank]:
        _, k = min(candidates)
        pieces = [*pieces[:k], pieces[k] + pieces[k + 1], *pieces[k + 2 :]]
    return pieces


def _byte_characters() -> list[str]:
    """The printable characters that stand for the 256 byte values (Radford et al. 2019), in byte order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]
