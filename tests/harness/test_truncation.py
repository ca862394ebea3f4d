"""A prompt that is too long is said once, and nothing else is kept from the log."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from bench.truncation import cut_prompts

LONG = "The following part of your input was truncated because CLIP can only handle sequences up to 77 tokens: ['word']"


def test_warnings_are_counted_by_length_and_others_pass() -> None:
    stream = io.StringIO()
    handler, log = logging.StreamHandler(stream), logging.getLogger("diffusers")
    log.addHandler(handler)
    try:
        with cut_prompts() as cut:
            for _ in range(3):
                logging.getLogger("diffusers.pipelines.any").warning(LONG)
            logging.getLogger("diffusers.pipelines.any").warning("something else")
        logging.getLogger("diffusers.pipelines.any").warning(LONG)
    finally:
        log.removeHandler(handler)
    assert stream.getvalue().splitlines() == ["something else", LONG]  # the second is after it
    assert cut.line == "some prompts are longer than the 77 tokens that are read; their images show the beginning"


def test_without_long_prompts_there_is_nothing_to_say() -> None:
    with cut_prompts() as cut:
        pass
    assert cut.line is None


def test_a_prompt_of_500_words_on_the_stock_pipeline_is_one_line(
    tiny_pipeline: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from bench.cli import main

    (tmp_path / "long.txt").write_text(
        "a red circle\n" + "word " * 500 + "\n\N{DOG FACE}\N{ROCKET}\n", encoding="utf-8"
    )
    given = ["--prompts", str(tmp_path / "long.txt"), "--weights", f"sdxl-euler={tiny_pipeline}", "--device", "cpu"]
    assert main(["run", *given, "--methods", "sdxl-euler", "--steps", "1", "--out", str(tmp_path / "out")]) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if "tokens" in line]
    assert len(lines) == 1
    assert lines[0].startswith("some prompts are longer than the ")
