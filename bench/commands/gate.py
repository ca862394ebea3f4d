"""`bench gate`: is head worse than base, in quality or speed?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli_parser import Subparsers, add_command
from bench.commands.gating import add_settings, emptied, settings_of, settings_of_json, tell
from bench.errors import UsageError
from bench.options import between

if TYPE_CHECKING:
    from bench.gate.baseline import Baseline
    from bench.gate.run import Outcome, Request
    from bench.gate.selftest import Tally

SIMULATIONS = 1000
SIMULATIONS_AT_ONCE = 5
MAX_ROUNDS = 100
ROUNDS = 7
"""As `bench.gate.latency` has it, which takes a while to import."""

MAX_CALIBRATION = 60

EPILOG = """\
Exit status: 0 PASS, 1 REGRESSION, 2 the request makes no sense, 3 INCONCLUSIVE (says how many more images or rounds
would decide), 4 CALIBRATION_NEEDED (another machine or environment than the baseline's), 5 RECIPE_MISMATCH (says what
differs). Of several, the first of 5, 4, 1, 3. docs/gate.md explains.

examples:
  bench gate --base-ref main                              this checkout against a commit: quality, and speed in turn
  bench gate --base-ref HEAD~1 --methods add --steps 1 --only latency
  bench gate --baseline baseline.json                     against a stored baseline
  bench gate --baseline baseline.json --against runs/shapes
  bench gate --calibrate 10                               measure this machine's noise floor anew
  bench gate --benchmarks base.json head.json             files of pytest --benchmark-json; a,b,c d,e,f: in turn
  bench gate --self-test                                  1,000 simulated gates of each kind: how often it is wrong
  bench gate --self-test --real                           30 real gates on this machine, 10 with something planted
"""


def add_parser(commands: Subparsers) -> None:
    """Add `gate` to the command line."""
    parser = add_command(commands, "gate", "compare with a commit or a baseline; exit 1 where head is worse", EPILOG)
    add = parser.add_argument
    add("--base-ref", metavar="GIT_REF", help="check this commit out beside the checkout, and measure both here")
    add("--baseline", type=Path, metavar="FILE", help="compare with what `bench baseline` stored")
    add("--against", type=Path, metavar="RUN", help="with --baseline: this out folder of `bench run` is head")
    add("--benchmarks", nargs=2, metavar=("BASE", "HEAD"), help="compare files of pytest-benchmark, commas between")
    add(
        "--calibrate",
        type=int,
        metavar="N",
        help="measure this machine's noise floor anew, in N A/A rounds",
    )
    add("--self-test", action="store_true", help="count how often the gate is wrong, in simulated gates")
    add("--real", action="store_true", help="with --self-test: real gates on this machine; goes on where it stopped")
    add("--simulations", type=int, default=SIMULATIONS, metavar="N", help=f"of each kind (default: {SIMULATIONS})")
    add("--trials", type=int, metavar="N", help="with --real: run at most N of those that are missing")
    add("--trial", default="", metavar="TEXT", help="with --real: only those whose name holds this")
    add_settings(parser)
    add("--only", choices=("quality", "latency"), help="look at one of the two (default: both)")
    add("--rounds", type=int, default=ROUNDS, metavar="N", help=f"most rounds of timing, 1 to 100 (default: {ROUNDS})")
    add("--expect-better", action="store_true", help="let head be better than the same recipe can be")
    add("--out", type=Path, metavar="DIR", help="new, empty, or written by this command (default: runs/gate)")
    add("--summary", type=Path, metavar="FILE", help="append Markdown (default: $GITHUB_STEP_SUMMARY, if set)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Do the one thing that was asked for."""
    between("--rounds", args.rounds, 1, MAX_ROUNDS)
    options = {"--base-ref": args.base_ref, "--baseline": args.baseline, "--benchmarks": args.benchmarks,
               "--calibrate": args.calibrate, "--self-test": args.self_test or None}  # fmt: skip
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "nothing to compare with"
        raise UsageError(f"{found}: give one of {', '.join(options)}")
    if args.against is not None and args.baseline is None:
        raise UsageError("--against goes with --baseline")
    if args.real and not args.self_test:
        raise UsageError("--real goes with --self-test")
    if args.self_test:
        return _real(args) if args.real else _self_test(args)
    if args.calibrate is not None:
        return _calibrate(args)
    out = emptied(args.out or Path("runs/gate"))
    if args.benchmarks is not None:
        return _finish(_benchmarks(args.benchmarks), out, args.summary)
    return _finish(_outcome(args, out), out, args.summary)


def _outcome(args: argparse.Namespace, out: Path) -> Outcome:
    from bench.gate.baseline import read_baseline
    from bench.gate.checkout import ROOT, checked_out
    from bench.gate.run import gate_trees
    from bench.gate.sides import Side

    if args.base_ref is None:
        return _against_baseline(args, read_baseline(args.baseline), out)
    request = _request(args, out)
    with checked_out(args.base_ref) as tree:
        return gate_trees(Side("base", tree), Side("head", ROOT), request)


def _against_baseline(args: argparse.Namespace, baseline: Baseline, out: Path) -> Outcome:
    """Quality against the stored records; latency in turn where the baseline's commit can be had, else reported."""
    from dataclasses import replace

    from bench.gate.baseline import records_of
    from bench.gate.checkout import ROOT, checked_out, commit_of
    from bench.gate.run import gate_records, gate_trees
    from bench.gate.sides import Side

    if args.against is not None:
        head = records_of(args.against, "--against")
        return gate_records(baseline.records, head, expect_better=args.expect_better)
    settings = settings_of_json(baseline.settings, f"--baseline {args.baseline}")
    request = replace(_request(args, out), settings=settings)
    commit = commit_of(baseline.commit or "")
    if commit is None or args.only == "quality":
        tell("quality: measuring head")
        records = Side("head", ROOT).run(settings, out / "head", out / "logs" / "head-run.txt")
        return gate_records(baseline.records, records, expect_better=args.expect_better)
    with checked_out(commit, option="--baseline, its commit") as tree:
        return gate_trees(Side("base", tree), Side("head", ROOT), request, baseline.records)


def _request(args: argparse.Namespace, out: Path) -> Request:
    from bench.gate.noise import store_for
    from bench.gate.run import Request

    settings = settings_of(args)
    return Request(
        settings,
        out,
        store_for(settings.device),
        args.rounds,
        expect_better=args.expect_better,
        quality=args.only != "latency",
        latency=args.only != "quality",
        tell=tell,
    )


def _benchmarks(files: Sequence[str]) -> Outcome:
    from bench.gate.benchmarks import benchmark_checks
    from bench.gate.decide import decide
    from bench.gate.noise import store_for
    from bench.gate.run import Outcome

    base, head = ([Path(name) for name in text.split(",") if name] for text in files)
    floors = store_for("cpu").floors()
    return Outcome(tuple(decide(benchmark_checks(base, head, floors))), 0, 0.0, "base", "head", floors)


def _calibrate(args: argparse.Namespace) -> int:
    from bench.gate.checkout import ROOT
    from bench.gate.run import calibrate
    from bench.gate.sides import Side

    between("--calibrate", args.calibrate, 1, MAX_CALIBRATION)
    request = _request(args, emptied(args.out or Path("runs/gate")))
    request.store.clear()
    calibrate(Side("base", ROOT), request, args.calibrate)
    for stage, floor in request.store.floors().items():
        spread = f"two sides of one code are {100 * floor.spread:.2f} % apart"
        sys.stdout.write(
            f"noise floor, {stage}: {spread} ({floor.values} measurements in {request.store.rounds} A/A rounds)\n"
        )
    return 0


def _finish(outcome: Outcome, out: Path, summary: Path | None) -> int:
    """Say it, and leave it where CI looks."""
    from bench.gate.figure import write_figure
    from bench.gate.lines import lines
    from bench.gate.outputs import markdown, write_outputs

    for line in lines(outcome):
        sys.stdout.write(line + "\n")
    written = [*write_outputs(outcome, out).values(), *write_figure(outcome, out)]
    tell(f"written to {out}: {', '.join(path.name for path in written)}")
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    target = summary or (Path(named) if named else None)
    if target is not None:
        with target.open("a", encoding="utf-8") as file:
            file.write(markdown(outcome))
    return outcome.exit_code


def _self_test(args: argparse.Namespace) -> int:
    import signal
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    from bench.gate.selftest import effect, run
    from bench.gate.simulation import FeatureBank
    from bench.gate.tallies import read_tallies, write_tallies

    between("--simulations", args.simulations, 1, 1_000_000)
    out = emptied(args.out or Path("runs/gate-self-test"))
    path = out / "images.npz"
    if not path.is_file():
        tell("loading torch …")
        from bench.gate_images import image_bank

        image_bank(tell).save(path)
    bank = FeatureBank.load(path)
    before, after, margin = effect(bank)
    sys.stdout.write(f"5 % of broken images: FD-shapes {before:.2f} -> {after:.2f}, margin {margin:.2f}\n")
    stored = out / "self-test.json"
    finished = read_tallies(stored, args.simulations)
    tallies: list[Tally] = []
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes to come: on small matrices threads wait for each other
    quiet = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)  # it is this process that is stopped
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn"), initializer=quiet) as pool:
        each = partial(pool.map, chunksize=SIMULATIONS_AT_ONCE)
        try:
            for tally in run(bank, args.simulations, finished=finished, each=each, tell=tell):
                tallies.append(tally)
                sys.stdout.write(_line(tally))
                sys.stdout.flush()
                write_tallies(stored, tallies, args.simulations)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return 0 if all(tally.good for tally in tallies) else 1


def _line(tally: Tally) -> str:
    low, high = tally.interval
    wanted = f"wanted {tally.wanted[0]} {tally.wanted[1]:.0%}" if tally.wanted else "for comparison"
    rates = f"{tally.counted} {tally.hits} of {tally.gates:,} ({tally.share:.1%} [{low:.1%}, {high:.1%}]), {wanted}"
    rest = f"; {tally.inconclusive} inconclusive, {tally.rounds:.1f} rounds" if tally.wanted else ""
    return f"{tally.name}: {rates}{rest}\n"


def _real(args: argparse.Namespace) -> int:
    from bench.gate.noise import store_for
    from bench.gate.run import Request
    from bench.gate.trials import SETTINGS, run_trials, trials

    out = emptied(args.out or Path("runs/gate-trials"))
    request = Request(SETTINGS, out, store_for(SETTINGS.device), args.rounds, tell=tell)
    results = list(run_trials(request, args.trials, args.trial))
    for trial, found in results:
        answer = "as it should" if trial.good(found["verdict"]) else "WRONG"
        sys.stdout.write(f"{trial.name:<22} {found['verdict']:<14} {found['seconds']:>5.0f} s  {answer}\n")
    alike = [(trial, found) for trial, found in results if trial.plant is None]
    planted = [(trial, found) for trial, found in results if trial.plant is not None]
    alarms = sum(not trial.good(found["verdict"]) for trial, found in alike)
    caught = sum(trial.good(found["verdict"]) for trial, found in planted)
    sys.stdout.write(
        f"{alarms} alarms in {len(alike)} A/A gates · {caught} of {len(planted)} planted regressions caught · "
        f"{len(trials()) - len(results)} trials to go\n"
    )
    return 0 if alarms == 0 and caught == len(planted) else 1
