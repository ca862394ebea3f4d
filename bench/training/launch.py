"""Several processes for one training, which stop when the command that launched them is stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from bench.lock import FolderLock


def launched(command: Sequence[str], environment: Mapping[str, str], lock: FolderLock) -> int:
    """The exit status of `command`, a launcher of processes.

    Asked to stop, we ask the launcher and wait: it stops its processes first. Killed, we leave it `lock`, so that
    nobody else trains in the folder while it does.
    """
    with subprocess.Popen(command, env=environment, pass_fds=lock.handles) as launcher:
        try:
            return launcher.wait()
        except KeyboardInterrupt:
            launcher.terminate()
            launcher.wait()  # leaving `with` by Ctrl-C would not
            raise
