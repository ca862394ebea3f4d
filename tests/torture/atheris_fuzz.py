"""Coverage-guided fuzzing of one parser: `python -m tests.torture.atheris_fuzz TARGET FOLDER -runs=N`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bench", "methods"]):
    from methods.errors import FewstepError
    from tests.torture.targets import TARGETS


def main() -> None:
    """Hand over to libFuzzer, which ends the process: 0 where no input raised anything but a `FewstepError`."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    target = TARGETS[name]

    def one(content: bytes) -> None:
        try:
            target(content, folder)
        except FewstepError as error:
            if "Traceback" in str(error):
                raise AssertionError(error) from error

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
