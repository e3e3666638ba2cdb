"""What the energy analysis says of sound, hostile and unknowable recordings; prints a Markdown table.

    python benchmarks/energy_verdicts.py [--seeds 30] [--first-seed 0] [--kinds sound,clipped_softly] [--jobs 2]

The recordings come from the generator in ``tests/support/power_physics.py``, which shares nothing with the project's
own; a kind that ends in ":two" is made of bursts of two lengths with controls between. "wrong" counts figures that are
called verified and are more than 5 % off the exact energy, "crashed" errors that are none of the project's; each is
listed below the table. Kinds take turns, so that a run cut short has tried them all alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from power_hostile import HOSTILE, UNKNOWABLE
from power_sound import sound, sound_loaded, sound_two_lengths, sound_two_lengths_loaded

from edgevit.errors import EdgevitExportError
from validation.energy.analysis import analyze_energy

SOUND = {make.__name__: make for make in (sound, sound_two_lengths, sound_loaded, sound_two_lengths_loaded)}
MAKERS = {**SOUND, **HOSTILE, **UNKNOWABLE}
WRONG = 0.05
HEADING = (
    "kind",
    "traces",
    "verified",
    "refused",
    "crashed",
    "wrong",
    "largest error of verified %",
    "interval covers %",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    Attributes:
        kind: Of the recording.
        seed: Of the recording.
        verified: Whether the figure was called verified.
        refused: Whether there was an error instead of a report.
        error: Of the figure, relative to the truth; None without one.
        covered: Whether the printed interval holds the truth; None without one.
        remark: What is special about the recording, and the reasons or the error.
        crashed: Whether the error was none of the project's.
    """

    kind: str
    seed: int
    verified: bool
    refused: bool
    error: float | None
    covered: bool | None
    remark: str
    crashed: bool = False

    @property
    def wrong(self) -> bool:
        """Whether a wrong figure was called right."""
        return self.verified and (self.error is None or abs(self.error) > WRONG)


def judge(task: tuple[str, int]) -> Outcome:
    """Make one recording and analyse it."""
    kind, seed = task
    try:
        case = MAKERS[kind](seed)
    except EdgevitExportError as error:  # stamps so bad that nobody reads them
        return Outcome(kind, seed, False, True, None, None, str(error))
    try:
        report = analyze_energy(case.trace, stamps=case.stamps)
    except EdgevitExportError as error:
        return Outcome(kind, seed, False, True, None, None, str(error))
    except Exception as error:  # a crash on one recording must not hide what the others show
        return Outcome(kind, seed, False, False, None, None, f"{case.detail}: {error!r}", crashed=True)
    off = None if report.energy_mj is None else report.energy_mj / case.truth_mj - 1
    interval = report.interval_mj
    covered = None if interval is None else interval[0] <= case.truth_mj <= interval[1]
    remark = case.detail if report.passed else f"{case.detail}: {'; '.join(report.reasons)}"
    return Outcome(kind, seed, report.passed, False, off, covered, remark)


def row(kind: str, outcomes: list[Outcome]) -> tuple[str, ...]:
    """One line of the table."""
    verified = [outcome for outcome in outcomes if outcome.verified]
    errors = [abs(outcome.error) for outcome in verified if outcome.error is not None]
    covered = [outcome.covered for outcome in verified if outcome.covered is not None]
    return (
        kind,
        str(len(outcomes)),
        str(len(verified)),
        str(sum(outcome.refused for outcome in outcomes)),
        str(sum(outcome.crashed for outcome in outcomes)),
        str(sum(outcome.wrong for outcome in outcomes)),
        f"{100 * max(errors):.2f}" if errors else "-",
        f"{100 * np.mean(covered):.0f}" if covered else "-",
    )


def print_table(outcomes: Iterable[Outcome]) -> None:
    """Print a line for each kind and one for each group, and below them what was wrong."""
    kept = list(outcomes)
    print("| " + " | ".join(HEADING) + " |\n" + "|---" * len(HEADING) + "|")
    for title, group in (("sound", SOUND), ("hostile", HOSTILE), ("unknowable", UNKNOWABLE)):
        mine = {kind: [outcome for outcome in kept if outcome.kind == kind] for kind in group}
        for kind, theirs in mine.items():
            if theirs:
                print("| " + " | ".join(row(kind, theirs)) + " |")
        together = [outcome for theirs in mine.values() for outcome in theirs]
        if together:
            print("| " + " | ".join(row(f"**{title}**", together)) + " |")
    print()
    for outcome in kept:
        if outcome.crashed:
            print(f"- {outcome.kind} {outcome.seed}: crashed ({outcome.remark})")
        if outcome.wrong:
            off = "no figure" if outcome.error is None else f"{100 * outcome.error:+.1f} %"
            print(f"- {outcome.kind} {outcome.seed}: {off} ({outcome.remark})")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What the energy analysis says of recordings with known energy.")
    parser.add_argument("--seeds", type=int, default=30, help="recordings of each kind")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kinds", default="", help=f"comma-separated, or part of a name; all: {', '.join(MAKERS)}")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--reasons", action="store_true", help="print every outcome with its reasons, as it comes")
    return parser.parse_args(arguments)


def main() -> None:
    """Print the table."""
    options = parse(sys.argv[1:])
    wanted = options.kinds.split(",")
    kinds = [kind for kind in MAKERS if kind in wanted] or [k for k in MAKERS if any(part in k for part in wanted)]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    tasks = [(kind, seed) for seed in seeds for kind in kinds]
    outcomes = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(judge, tasks, chunksize=4):
            outcomes.append(outcome)
            if options.reasons:
                print(outcome, flush=True)
    print_table(outcomes)


if __name__ == "__main__":
    main()
