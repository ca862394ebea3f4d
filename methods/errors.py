"""Errors that a user can act on. Each message is one line and names the fix."""

from __future__ import annotations


class FewstepError(Exception):
    """Base of all errors that are shown without a traceback."""

    exit_code = 1


class UsageError(FewstepError):
    """The request makes no sense: an unknown name, a step count of zero."""

    exit_code = 2


class WeightsError(FewstepError):
    """A checkpoint is missing, corrupt, or in a format that is not safe to read."""


class RecordError(FewstepError):
    """A stored record cannot be read or belongs to another schema."""


class StorageError(FewstepError):
    """The disk is full, or a folder cannot be written; what is there stays, and the same command goes on later."""
