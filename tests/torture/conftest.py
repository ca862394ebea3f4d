from __future__ import annotations

from tests.harness.conftest import bench, out, toy

__all__ = ["bench", "out", "toy"]
