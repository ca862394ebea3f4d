"""What a fetch is about: models on the hub, and the files of each. Rows of the table of checkpoints say it in data."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from methods.errors import UsageError
from methods.hub.problems import fetch_command
from methods.hub.reference import PICKLES, HubId, check_filename, check_repo

TABLE = "methods.checkpoints.table"


class Row(Protocol):
    """What is read of a row of the table of released checkpoints.

    `kind` is "pipeline" for a whole folder; anything else is put into the pipeline `base`. `repo` is None where no
    weights are public; `filename` None is the whole folder.
    """

    @property
    def method(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def repo(self) -> str | None: ...
    @property
    def filename(self) -> str | None: ...
    @property
    def variant(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def base(self) -> str | None: ...
    @property
    def pickle(self) -> bool: ...


@dataclass(frozen=True)
class Wanted:
    """A model, or one file of it. `is_pipeline` says that a whole folder must have a model_index.json.

    `sha256` is what the table pins; `may_be_pickle` is for files that the table names, and for no others. `small_only`
    leaves the weights out: configurations and words of a model whose weights come from elsewhere. `options` are
    those of the `bench fetch` that gets it, where it is not asked for by its own name.
    """

    hub_id: HubId
    is_pipeline: bool = True
    variant: str | None = None
    sha256: str | None = None
    may_be_pickle: bool = False
    small_only: bool = False
    options: str = field(default="", compare=False)

    @property
    def command(self) -> str:
        """The command line that fetches it."""
        return fetch_command(self.options or str(self.hub_id))


def wanted_of_row(row: Row) -> Wanted | None:
    """What `row` itself needs from the hub, without its base; None where nothing is public."""
    if row.repo is None:
        return None
    filename = None if row.filename is None else check_filename(row.filename)
    is_pickle = row.pickle and filename is not None and filename.endswith(PICKLES)
    hub_id = HubId(check_repo(row.repo), row.revision or "main", filename)
    return Wanted(
        hub_id, row.kind == "pipeline", row.variant, row.sha256, may_be_pickle=is_pickle, options=_options(row)
    )


def base_of_row(row: Row, rows: Iterable[Row] = ()) -> Wanted | None:
    """The pipeline that `row` is put into; pinned as the row of that pipeline is, where there is one in `rows`."""
    if row.base is None:
        return None
    for other in rows:
        if other.repo == row.base and other.kind == "pipeline":
            found = wanted_of_row(other)
            return found and replace(found, options=_options(row))
    return Wanted(HubId(check_repo(row.base)), options=_options(row))


def _options(row: Row) -> str:
    return f"--methods {row.method} --family {row.family}"


def wanted_of_methods(methods: Sequence[str], family: str) -> tuple[Wanted, ...]:
    """Everything that `methods` need in `family`, each once, bases first.

    Raises:
        UsageError: where the table has nothing of a method in that family.
    """
    found = [row for method in methods for row in rows_of(method, family)]
    every = all_rows()
    bases = [base_of_row(row, every) for row in found if row.repo is not None]
    own = [wanted_of_row(row) for row in found]
    return tuple(dict.fromkeys(item for item in (*bases, *own) if item is not None))


def all_rows() -> tuple[Row, ...]:
    """Every row of the table; none where this installation has no table."""
    try:
        table = importlib.import_module(TABLE)
    except ModuleNotFoundError:
        return ()
    return cast("tuple[Row, ...]", table.all_rows())


def rows_of(method: str, family: str) -> tuple[Row, ...]:
    """The rows of `method` in `family` with public weights.

    Raises:
        UsageError: where there is none.
    """
    try:
        table = importlib.import_module(TABLE)
    except ModuleNotFoundError as error:
        raise UsageError("there is no table of released checkpoints; name models, as in stabilityai/sdxl-turbo") from (
            error
        )
    table.find(method, family)
    found = cast("tuple[Row, ...]", table.rows(method, family))
    public = tuple(row for row in found if row.repo is not None)
    if not public:
        raise UsageError(
            f"{method!r} has no public weights of family {family!r}; `bench doctor --methods {method}` says why"
        )
    return public
