"""A commit beside the current checkout: a git worktree in a temporary folder, removed again."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import FewstepError, UsageError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this package runs from."""


def commit_of(ref: str, root: Path = ROOT) -> str | None:
    """The full hash of the commit that `ref` names, or None."""
    if not ref or ref.startswith("-"):  # never taken for an option of git
        return None
    done = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


@contextmanager
def checked_out(ref: str, root: Path = ROOT, option: str = "--base-ref") -> Iterator[Path]:
    """The tree of commit `ref` in a folder of its own, for as long as the context lasts.

    Raises:
        UsageError: where there is no such commit here, or `root` is no git checkout.
        FewstepError: where git cannot check it out.
    """
    commit = commit_of(ref, root)
    if commit is None:
        raise UsageError(
            f"{option} {ref!r} is no commit that git knows in this checkout; fetch it (in CI: `fetch-depth: 0`), or "
            "name another"
        )
    with tempfile.TemporaryDirectory(prefix="fewstep-gate-") as folder:
        tree = Path(folder) / "base"
        done = _git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        if done is None or done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1] if done is not None and done.stderr.strip() else "no git"
            raise FewstepError(f"git could not check {ref} out ({reason})")
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))
            _git(root, "worktree", "prune")


def _git(root: Path, *args: str) -> subprocess.CompletedProcess[str] | None:
    try:
        command = ["git", "-C", str(root), *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.SubprocessError):
        return None
