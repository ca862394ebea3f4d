"""The table in README, between two markers: generated, never typed."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UsageError

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"


def update_readme(readme: Path, table: str, check: bool) -> bool:
    """Put `table` between the markers of `readme`, or with `check` only compare.

    Returns:
        Whether the file already held the table (also where it has no markers, or is not there).

    Raises:
        UsageError: where the markers are not one of each, in order.
    """
    if not readme.is_file():
        return True
    text = readme.read_bytes().decode("utf-8")
    if BEGIN not in text and END not in text:
        return True
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise UsageError(f"{readme}: needs one {BEGIN} and after it one {END}; put the missing one back")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"
    if text != wanted and not check:
        readme.write_bytes(wanted.encode("utf-8"))
    return text == wanted
