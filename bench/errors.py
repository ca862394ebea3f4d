"""The errors of the package, in one place for `bench`."""

from methods.errors import FewstepError, RecordError, UsageError, WeightsError

__all__ = ["FewstepError", "RecordError", "UsageError", "WeightsError"]
