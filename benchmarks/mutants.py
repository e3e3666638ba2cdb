"""How the tests are tested: small changes are made to the modules that give verdicts, and a test must fail for each.

A seeded sample is drawn evenly over the modules. Each change is made in a temporary copy of the tree, where first the
tests of the module's own name run and, if they pass, all files of tests that import it, to the first failure. The same
tests must pass there without a change. What cannot be told from the original by any test is listed, with the reason, in
``equivalent_mutants.toml``, and counted apart.

    python benchmarks/mutants.py                                  the default modules, 150 changes
    python benchmarks/mutants.py --only validation/latency --count 0   every change below a folder
    python benchmarks/mutants.py --own                            the tests of each module's own name alone
    python benchmarks/mutants.py --only export/golden.py --list   what would be done
    python benchmarks/mutants.py --id 0a1b2c3d4e                  one change again, with its diff
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import json
import multiprocessing
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import cache_from_source
from itertools import islice, zip_longest
from pathlib import Path

from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = (
    "export/staging.py",
    "export/golden.py",
    "export/manifest.py",
    "export/passes",
    "validation",
    "runtimes/conditions/journal.py",
    "runtimes/conditions/lease.py",
    "runtimes/conditions/restore.py",
)
LEFT_OUT = (
    "validation/energy/plot.py",
    "validation/report/plots.py",
    "validation/report/labels.py",
)  # drawings
LEFT_BEHIND = shutil.ignore_patterns(
    ".adbd",
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "build",
    "dist",
    "artifacts",
    "results",
    "*.egg-info",
)
# Tests that measure in real time fail beside others. Nothing is shown, so that asserts need no rewriting.
PYTEST = ("-x", "-q", "--tb=no", "-rfE", "-m", "not alone", "-p", "no:cacheprovider", "--assert=plain")
NO_TESTS = 5  # pytest's exit code when all tests are deselected
FIRST_TIMEOUT_S = 600.0  # chosen, because no file of tests takes a minute
MANY_TIMES, AND_S = 5.0, 20.0  # a change that makes tests this much slower than they were has been noticed
# Loaded once, if needed: every run of pytest is a fork of a process that has them, and loads the project's own modules.
ALWAYS, IF_IMPORTED = ("pytest", "hypothesis.strategies"), ("hypothesis.extra.numpy", "msgspec", "scipy.stats", "torch")
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Outcome:
    """What became of one change; ``by`` is the first test that failed, or "timeout"; empty when it survived."""

    mutation: Mutation
    by: str
    seconds: float


class Tree:
    """A copy of the tree in which tests run."""

    def __init__(self, source: Path, target: Path) -> None:
        self.path = target
        shutil.copytree(source, target, ignore=LEFT_BEHIND)

    def test(self, files: list[str], timeout_s: float, *, keep_bytecode: bool = False) -> tuple[str, float]:
        """Run tests to the first failure; its name, empty if there is none, and the seconds that it took."""
        begun_s = time.monotonic()
        output = self.path.with_suffix(".out")
        child = PROCESSES.Process(target=run_pytest, args=(self.path, files, output, keep_bytecode))
        child.start()
        child.join(timeout_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # what tests left running ends as well
        child.kill()
        child.join()
        code, seconds = child.exitcode, time.monotonic() - begun_s
        if seconds >= timeout_s:
            return "timeout", seconds
        text = output.read_text(errors="replace")
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.MULTILINE)
        by = "" if code in {0, NO_TESTS} else failed[1] if failed else f"exit code {code}: {text[-300:]}"
        return by, seconds

    def try_out(self, mutation: Mutation, stages: list[tuple[list[str], float]]) -> Outcome:
        """Make a change, run the files of each stage until one fails, and take the change back."""
        file = self.path / mutation.module
        original = file.read_bytes()
        file.write_text(mutation.applied(original.decode()), encoding="utf-8")
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        by, seconds = "", 0.0
        try:
            for files, unchanged_s in stages:
                by, took_s = self.test(files, unchanged_s * MANY_TIMES + AND_S)
                seconds += took_s
                if by:
                    break
        finally:
            file.write_bytes(original)
        return Outcome(mutation, by, seconds)


def run_pytest(tree: Path, files: list[str], output: Path, keep_bytecode: bool) -> None:
    """Become pytest in a copy, in a group of processes of its own, with the output in a file; always exits."""
    import hypothesis
    import pytest

    os.setsid()
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)
    if not keep_bytecode:  # a change within one second that keeps the file's size would be taken for the original
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    # The same cases for every change, and no failure because the machine is busy.
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    sys.exit(pytest.main([*PYTEST, *files]))


def modules_of(tree: Path, wanted: tuple[str, ...]) -> list[str]:
    """The modules at or below the paths given.

    Raises:
        SystemExit: A path holds none.
    """
    found: dict[str, None] = {}
    for each in wanted:
        path = tree / each
        files = [path] if path.suffix == ".py" and path.is_file() else sorted(path.rglob("*.py"))
        if not files:
            raise SystemExit(f"error: no module at or below {each}")
        found |= dict.fromkeys(str(file.relative_to(tree)) for file in files)
    return list(found)


def default_modules(tree: Path) -> list[str]:
    """The modules that give verdicts, or on which a device's safety or an artifact's soundness rests."""
    return [module for module in modules_of(tree, DEFAULT) if module not in LEFT_OUT]


def tests_of(tree: Path, module: str) -> list[list[str]]:
    """Stages: the module's own file of tests, then the others that import it."""
    own = Path("tests", module).with_name(f"test_{Path(module).name}")
    name = module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    others = [
        str(path.relative_to(tree)) for path in sorted((tree / "tests").rglob("test_*.py")) if name in _imported(path)
    ]
    stages = [[str(own)] if (tree / own).exists() else [], [each for each in others if each != str(own)]]
    return [files for files in stages if files]


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def preloaded(tree: Path, modules: set[str]) -> list[str]:
    """What the modules or their tests import and takes long to load."""
    files = {file for module in modules for stage in tests_of(tree, module) for file in stage} | modules
    roots = {name.partition(".")[0] for file in files for name in _imported(tree / file)}
    return [name for name in IF_IMPORTED if name.partition(".")[0] in roots]


def drawn(found: dict[str, list[Mutation]], count: int, seed: int) -> list[Mutation]:
    """Evenly over the modules, ``count`` changes (0: all), by the seed and their ids alone."""

    def place(mutation: Mutation) -> str:
        return hashlib.sha256(f"{seed} {mutation.id}".encode()).hexdigest()

    shuffled = [sorted(each, key=place) for each in found.values()]
    turns = (mutation for turn in zip_longest(*shuffled) for mutation in turn if mutation is not None)
    return list(islice(turns, count or None))


def equivalents(tree: Path) -> dict[tuple[str, str, str], str]:
    """Module, text of the line and change: why no test can tell it from the original."""
    path = tree / "benchmarks" / "equivalent_mutants.toml"
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", []) if path.exists() else []
    return {(each["module"], each["line"], each["change"]): each["reason"] for each in entries}


def unchanged(tree: Tree, modules: list[str], *, own: bool) -> dict[str, list[tuple[list[str], float]]]:
    """The stages of each module (the first alone where only its ``own`` tests count) with their seconds unchanged.

    Raises:
        SystemExit: A test fails without any.
    """
    taken: dict[tuple[str, ...], float] = {}
    plan: dict[str, list[tuple[list[str], float]]] = {}
    for module in modules:
        plan[module] = []
        for files in tests_of(tree.path, module)[: 1 if own else None]:
            if tuple(files) not in taken:
                by, taken[tuple(files)] = tree.test(files, FIRST_TIMEOUT_S, keep_bytecode=True)
                if by:
                    raise SystemExit(f"error: {by} fails without any change")
            plan[module].append((files, taken[tuple(files)]))
        told(f"{module}: {sum(seconds for _, seconds in plan[module]):.0f} s of tests pass unchanged")
    return plan


def run(source: Path, chosen: list[Mutation], jobs: int, *, own: bool) -> list[Outcome]:
    """Try all changes out, in as many copies as jobs."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")  # as the tests do, before anything loads torch
    PROCESSES.set_forkserver_preload([*ALWAYS, *preloaded(source, {each.module for each in chosen})])
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        first = Tree(source, Path(directory, "0"))
        plan = unchanged(first, list(dict.fromkeys(each.module for each in chosen)), own=own)
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in [first, *(Tree(source, Path(directory, str(number))) for number in range(1, jobs))]:
            free.put(tree)

        def one(mutation: Mutation) -> Outcome:
            tree = free.get()
            try:
                outcome = tree.try_out(mutation, plan[mutation.module])
            finally:
                free.put(tree)
            told(row(outcome))
            return outcome

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, chosen))


def row(outcome: Outcome) -> str:
    """One line of the table."""
    mutation = outcome.mutation
    verdict = f"killed by {outcome.by}" if outcome.by else f"SURVIVED   {mutation.text}"
    return f"{mutation.id}  {mutation.module}:{mutation.line}  {mutation.change}  {verdict}"


def told(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def summary(outcomes: list[Outcome], known: dict[tuple[str, str, str], str]) -> str:
    """Killed, survived and equivalent by folder, then every survivor."""
    folders: dict[str, list[int]] = {}
    for each in outcomes:
        where = str(Path(each.mutation.module).parent)
        at = 0 if each.by else 2 if key_of(each.mutation) in known else 1
        for name in (where, "all"):
            folders.setdefault(name, [0, 0, 0])[at] += 1
    folders["all"] = folders.pop("all")  # at the end
    lines = [f"{'':<26}{'killed':>10}{'survived':>10}{'equivalent':>12}{'killed %':>10}"]
    for name, (killed, survived, same) in folders.items():
        share = f"{100 * killed / (killed + survived):.0f}" if killed + survived else "-"
        lines.append(f"{name:<26}{killed:>10}{survived:>10}{same:>12}{share:>10}")
    survivors = [row(each) for each in outcomes if not each.by and key_of(each.mutation) not in known]
    return "\n".join([*lines, *([""] if survivors else []), *survivors])


def key_of(mutation: Mutation) -> tuple[str, str, str]:
    """As ``equivalents`` names it."""
    return mutation.module, mutation.text, mutation.change


def as_json(outcomes: list[Outcome], known: dict[tuple[str, str, str], str]) -> str:
    """All outcomes, one record each."""
    records = []
    for each in outcomes:
        why = known.get(key_of(each.mutation))
        records.append(
            {
                **asdict(each.mutation),
                "killed_by": each.by or None,
                "equivalent": why,
                "seconds": round(each.seconds, 2),
            }
        )
    return json.dumps(records, indent=1)


def difference(tree: Path, mutation: Mutation) -> str:
    """The change as a unified diff."""
    before = (tree / mutation.module).read_text(encoding="utf-8")
    sides = before.splitlines(), mutation.applied(before).splitlines()
    return "\n".join(difflib.unified_diff(*sides, mutation.module, mutation.id, lineterm=""))


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--only", action="append", metavar="PATH", help="module or folder; may be repeated")
    parser.add_argument("--count", type=int, default=150, help="changes to make; 0 for all (default: 150)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--id", action="append", metavar="ID", help="this change alone; may be repeated")
    parser.add_argument("--own", action="store_true", help="only the tests of the module's own name: faster, stricter")
    parser.add_argument("--list", action="store_true", help="say what would be changed, and run nothing")
    parser.add_argument("--jobs", type=int, default=2, help="copies that work side by side (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome here")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the repository (default: this one)")
    return parser.parse_args()


def main() -> int:
    """Draw, run, print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the copies are removed
    options = arguments()
    tree = options.tree.resolve()
    modules = modules_of(tree, tuple(options.only)) if options.only else default_modules(tree)
    found = {module: mutations(module, (tree / module).read_text(encoding="utf-8")) for module in modules}
    every = [mutation for each in found.values() for mutation in each]
    known = equivalents(tree)
    chosen = drawn(found, options.count, options.seed)
    if options.id:
        chosen = [mutation for mutation in every if mutation.id in options.id]
        print("\n".join(difference(tree, mutation) for mutation in chosen))
    if options.list:
        print("\n".join(f"{it.id}  {it.module}:{it.line}  {it.change}" for it in chosen))
        return 0
    stale = [key for key in known if key[0] in found and key not in {key_of(mutation) for mutation in every}]
    told(
        "".join(f"equivalent_mutants.toml: matches nothing: {' | '.join(key)}\n" for key in stale)
        + f"{len(chosen)} changes"
    )
    outcomes = run(tree, chosen, options.jobs, own=options.own)
    if options.json:
        options.json.write_text(as_json(outcomes, known), encoding="utf-8")
    print(summary(outcomes, known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
