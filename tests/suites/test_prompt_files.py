"""Prompts of the user's, in every format, with every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.errors import UsageError
from bench.suites.prompts import info
from bench.suites.prompts.info import parti_info, prompts_info
from bench.suites.prompts.rows import Row, read_rows
from bench.suites.prompts.suite import PartiSuite, PromptsSuite

TEXTS = ("a red circle", "\N{DOG FACE}\N{HEAVY BLACK HEART}", " ".join(["word"] * 500))


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_every_format_gives_the_same_prompts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Prompt": TEXTS, "category": ["x", "y", "x"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t", quoting=3)
    frame.to_parquet(tmp_path / "a.parquet")
    lines = [json.dumps({"text": text, "category": c}) for text, c in zip(TEXTS, "xyx", strict=True)]
    write(tmp_path / "a.jsonl", "\n".join(lines) + "\n\n")
    expected = tuple(Row(f"{i:05d}", text, "xyx"[i]) for i, text in enumerate(TEXTS))
    for suffix in ("csv", "tsv", "parquet", "jsonl"):
        assert read_rows(tmp_path / f"a.{suffix}") == expected, suffix
    plain = read_rows(write(tmp_path / "a.txt", "\r\n".join(TEXTS) + "\r\n"))
    assert [row.text for row in plain] == list(TEXTS)
    assert {row.category for row in plain} == {"all"}


def test_ids_are_kept_and_the_order_is_the_files(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "a.csv", "id,prompt\nb-2,second\na,first\n"))
    assert [(row.id, row.text) for row in rows] == [("b-2", "second"), ("a", "first")]


MISTAKES = {
    "empty file": ("a.txt", "", "has no prompts in it"),
    "only white space": ("a.txt", " \n\n", "has no prompts in it"),
    "empty line": ("a.txt", "one\n\ntwo\n", "line 2: the prompt is empty; remove the line"),
    "blank cell": ("a.csv", "prompt,category\n ,x\n", "line 2: the prompt is empty"),
    "no column": ("a.csv", "words,category\nx,y\n", "has no column prompt or text or caption (its columns: words, cat"),
    "no header at all": ("a.csv", "", "(its columns: none)"),
    "not json": ("a.jsonl", '{"prompt": "x"}\n{oops\n', "line 2 is not JSON"),
    "a number": ("a.jsonl", "3\n", "line 1 is neither an object nor a string"),
    "no key": ("a.jsonl", '{"id": "x"}\n', "line 1: the prompt is empty"),
    "id twice": ("a.csv", "id,prompt\nA,x\na,y\n", "id 'a' is there twice"),
    "unsafe id": ("a.csv", "id,prompt\n../a,x\n", "id '../a' cannot be a file name"),
    "another format": ("a.docx", "x", "prompts come from .txt, .csv"),
    "not parquet": ("a.parquet", "x", "cannot be read as Parquet"),
}


@pytest.mark.parametrize(("name", "content", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_that_names_the_place(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_rows(write(tmp_path / name, content))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\n\xff\xfe\n")
    with pytest.raises(UsageError, match=r"not UTF-8 text \(byte 3\)"):
        read_rows(tmp_path / "a.txt")
    with pytest.raises(UsageError, match="is not a file"):
        read_rows(tmp_path)


def test_a_suite_is_called_by_its_content(tmp_path: Path) -> None:
    first = write(tmp_path / "a.txt", "one\ntwo\n")
    suite = PromptsSuite(first)
    assert suite.info == prompts_info(first)
    assert suite.info.name.startswith("prompts-")
    assert (suite.info.prompts, suite.info.default_limit, suite.info.manifest) == (2, 2, first)
    assert [prompt.text for prompt in suite.prompts(1)] == ["one"]
    assert prompts_info(write(tmp_path / "b.txt", "one\ntwo\n")).name == suite.info.name
    assert prompts_info(write(tmp_path / "c.txt", "two\none\n")).name != suite.info.name
    with pytest.raises(UsageError, match=r"limit 3: a\.txt has 1 to 2 prompts"):
        suite.prompts(3)


def test_partiprompts_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "PartiPrompts.tsv", 'Prompt\tCategory\tChallenge\tNote\na "dog"\tAnimals\tBasic\t\n')
    with pytest.raises(UsageError, match="has 1 prompts and PartiPrompts 1,632"):
        parti_info(path)
    monkeypatch.setattr(info, "PARTI_PROMPTS", 1)
    suite = PartiSuite(path)
    (prompt,) = suite.prompts()
    assert (prompt.text, prompt.category, suite.info.name) == ('a "dog"', "Animals", "parti")
    assert suite.description["sha256"]
