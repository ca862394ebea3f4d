"""`--jobs N`: the images of N cells at a time, each cell in a process with its share of the threads.

Sampling alone: cells are timed and judged afterwards, one after the other, so that no latency is taken beside other
work. Nothing is kept but images, which the run then finds as it finds those of a run that was stopped; a cell that a
job could not sample is sampled by the run itself, which records what is wrong with it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from bench.plan import Plan
from bench.progress import cell_title
from bench.record import Cell

Tell = Callable[[str], None]
Worker = Callable[[Cell], str | None]


def sample_in_jobs(plan: Plan, cells: Sequence[Cell], jobs: int, tell: Tell) -> None:
    """Sample and store the images of `cells` that are missing, in at most `jobs` processes at a time.

    `tell` hears a line a cell. Interrupted, it ends the processes; whole images stay.
    """
    import torch

    plan.out.prepare()
    context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA, nor OpenMP's threads
    at_once = min(jobs, len(cells))
    threads = max(1, torch.get_num_threads() // at_once)
    pool = ProcessPoolExecutor(at_once, mp_context=context, initializer=_start, initargs=(plan, threads))
    try:
        titles = {pool.submit(_sample, cell): cell_title(cell) for cell in cells}
        for count, future in enumerate(as_completed(titles), 1):
            reason = future.result()
            tell(f"{titles[future]}: {reason or 'sampled'} ({count} of {len(cells)})")
    except BrokenProcessPool:
        tell("a job was killed, perhaps for memory; what is left is sampled without jobs")
    finally:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


_worker: list[Worker] = []


def _start(plan: Plan, threads: int) -> None:
    """Once in each process: load what its cells share."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the run that is stopped, and that ends its jobs
    import torch

    from bench.runner import Sampler

    torch.set_num_threads(threads)
    _worker.append(Sampler(plan).sample)


def _sample(cell: Cell) -> str | None:
    """None, or why there are no images of `cell`."""
    try:
        return _worker[0](cell)
    except Exception as error:  # the run meets it again, and records it
        return str(error).strip().partition("\n")[0] or type(error).__name__
