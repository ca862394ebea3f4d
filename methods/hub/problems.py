"""What can go wrong with the hub, each in one line that names the fix."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from methods.errors import FewstepError, WeightsError
from methods.hub.places import hub_cache, hub_endpoint
from methods.hub.reference import HubId


def fetch_command(what: object) -> str:
    """The command line that fetches a hub id, or what options name."""
    return f"`python -m bench fetch {what}`"


@contextmanager
def explained(hub_id: HubId) -> Iterator[None]:
    """Turn whatever the hub's library raises about `hub_id` into a `WeightsError` of one line.

    Raises:
        WeightsError: for every error but those of this package.
    """
    try:
        yield
    except FewstepError:
        raise
    except Exception as error:
        raise WeightsError(f"{hub_id}: {_reason(error, hub_id)}") from error


def _reason(error: Exception, hub_id: HubId) -> str:
    return _refusal(error, hub_id) or _no_disk(error) or _no_network(error) or _first_line(error)


def _refusal(error: Exception, hub_id: HubId) -> str | None:
    from huggingface_hub import errors

    page = f"{hub_endpoint()}/{hub_id.repo}"
    if isinstance(error, errors.GatedRepoError):
        return f"gated; accept its licence at {page}, run `hf auth login`, and fetch again"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has no revision {hub_id.revision!r} of it, or no longer; choose one from {page}/commits/main"
    if isinstance(error, errors.DisabledRepoError):
        return f"withdrawn by the hub; {page} may say why"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such model on the hub, or a private one; check the spelling, or run `hf auth login`"
    if isinstance(error, errors.EntryNotFoundError):
        return f"the model has no file {hub_id.filename or 'of that name'}; {page}/tree/main lists them"
    return None


def _no_disk(error: Exception) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {hub_cache()}; free some, or set HF_HUB_CACHE to another disk"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{hub_cache()} cannot be written ({error.strerror}); set HF_HUB_CACHE to another folder"
    return None


def _no_network(error: Exception) -> str | None:
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return "not fetched yet, and HF_HUB_OFFLINE is set; unset it to fetch"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the hub at {hub_endpoint()} answers with status {status}; try again later"
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.partition(".")[0].startswith(
        "httpx"
    ):
        return f"no network: {hub_endpoint()} cannot be reached; the same command goes on from here"
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
