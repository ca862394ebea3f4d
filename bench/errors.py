"""The errors of the package, in one place for `bench`."""

from methods.errors import FewstepError, RecordError, StorageError, UsageError, WeightsError

__all__ = ["FewstepError", "RecordError", "StorageError", "UsageError", "WeightsError"]
