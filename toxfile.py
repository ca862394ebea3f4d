"""One virtual environment for all of tox's environments, as torch alone takes 5 GB.

tox rebuilds an environment's folder when it was made under another environment's name. The runner `shared` leaves the
name out of that comparison; a change of the dependencies or of the interpreter still rebuilds the folder.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tox.plugin import impl
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class SharedInfo(Info):
    """What the folder was made from, under one name for all environments."""

    @contextmanager
    def compare(
        self, value: Any, section: str, sub_section: str | None = None
    ) -> Generator[tuple[bool, Any | None], None, None]:
        """As in `Info`, with the name of the environment left out."""
        if section == "ToxEnv":
            value = {**value, "name": "shared"}
        with super().compare(value, section, sub_section) as found:
            yield found


class SharedRunner(VirtualEnvRunner):
    """An ordinary virtual environment whose folder several environments use."""

    @staticmethod
    def id() -> str:
        """The name to write after `runner =`."""
        return "shared"

    @property
    def cache(self) -> Info:
        """The stored state of the folder."""
        return SharedInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runner known to tox."""
    register.add_run_env(SharedRunner)
