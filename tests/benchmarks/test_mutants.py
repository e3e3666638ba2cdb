"""The test of the tests' tests: of a toy's two lines, the change of the tested one is killed, the other survives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "mutants.py"

TOY = '''"""Two limits."""


def is_hot(celsius: float) -> bool:
    return celsius > 40


def is_old(years: float) -> bool:
    return years > 65


def is_far(metres: float) -> bool:
    return metres > 500
'''
TESTS = """from toy.limits import is_hot


def test_hot() -> None:
    assert is_hot(41)
    assert not is_hot(40)
"""
KNOWN = """[[equivalent]]
module = "toy/limits.py"
line = "return metres > 500"
change = "metres > 500 -> metres >= 500"
reason = "nothing is exactly that far"

[[equivalent]]
module = "toy/limits.py"
line = "return gone"
change = "gone -> not"
reason = "the line is no more"
"""
NO_BEHAVIOUR = '''"""Threshold 1."""

from typing import Literal

__all__ = ["told"]
Kind = Literal["a"]


class Told(int):
    """Not a < b."""

    unit: Literal[1, 2]


def told(value: "int | Literal[3]", pairs: list[str]) -> Literal[4, 5]:
    """Return 1."""
    print("seen", 1 + value)
    assert value is not 3
    text = "more than 1"
    text += f"{value - 1} of {len(pairs) + 1}"
    for _ in zip(pairs, text, strict=True):
        continue
'''
CHANGES = [
    ("if a and b: f(a)", {"a and b -> a or b", "f(a) -> dropped"}),
    ("x = not a", {"not a -> a"}),
    ("x = -a + b / c", {"-a -> a", "-a + b / c -> -a - b / c", "b / c -> b * c"}),
    ("x += a", {"x += a -> x -= a"}),
    ("x = a[b:c]", {"b -> b + 1", "c -> c + 1"}),
    ("x = (0.5, 0.0, True)", {"0.5 -> 1.0", "0.0 -> 1.0", "True -> False"}),
    ("x = max(a, np.any(b))", {"max -> min", "any -> all"}),
    ("raise ValueError(1 + 1)", {"raise -> dropped"}),
    ("x = [a for a in b if a]", {"a -> not"}),
    ("x = a if a is None else b", {"a is None -> a is not None"}),
    ("x = a <= b", {"a <= b -> a < b", "a <= b -> a > b"}),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "toy/limits.py": TOY,
        "tests/toy/test_limits.py": TESTS,
        "benchmarks/equivalent_mutants.toml": KNOWN,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def mutants(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--tree", str(tree), "--only", "toy", "--count", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree)


def listed(tree: Path, *options: str) -> dict[str, str]:
    """Id by change."""
    lines = mutants(tree, "--list", *options).stdout.splitlines()
    return {line.split("  ", 2)[2]: line.split("  ", 1)[0] for line in lines}


def test_what_is_tested_is_killed_and_what_is_not_survives(tree: Path) -> None:
    ids = listed(tree)
    changes = ("celsius > 40 -> celsius >= 40", "years > 65 -> years >= 65", "metres > 500 -> metres >= 500")
    (tree / "tests" / "toy" / "test_others.py").write_text(
        "from toy import limits\n\n\ndef test_old():\n    assert not limits.is_old(65)\n"
    )
    wanted = [option for change in changes for option in ("--id", ids[change])]
    done = mutants(tree, *wanted, "--own", "--json", str(tree / "out.json"))
    outcomes = {each["change"]: each for each in json.loads((tree / "out.json").read_text())}
    assert [outcomes[change]["killed_by"] for change in changes] == ["tests/toy/test_limits.py::test_hot", None, None]
    assert [outcomes[change]["equivalent"] for change in changes] == [None, None, "nothing is exactly that far"]
    assert done.stdout.splitlines()[-1].endswith("years > 65 -> years >= 65  SURVIVED   return years > 65")
    assert "toy                                1         1           1        50" in done.stdout
    assert "+    return (celsius >= 40)" in done.stdout
    assert "matches nothing: toy/limits.py | return gone | gone -> not" in done.stderr
    assert (tree / "toy" / "limits.py").read_text() == TOY
    further = mutants(tree, "--id", ids[changes[1]])
    assert "killed by tests/toy/test_others.py::test_old" in further.stderr


def test_ids_stay_when_lines_move_and_the_sample_is_the_seeds(tree: Path) -> None:
    before, drawn = listed(tree), listed(tree, "--count", "4", "--seed", "3")
    assert len(before) == 12
    assert drawn == listed(tree, "--count", "4", "--seed", "3") != listed(tree, "--count", "4", "--seed", "4")
    (tree / "toy" / "limits.py").write_text(TOY.replace('"""Two limits."""', '"""Two limits."""\n\nLOW = None\n'))
    assert listed(tree) == before


def test_what_is_no_behaviour_is_left_alone(tree: Path) -> None:
    (tree / "toy" / "limits.py").write_text(NO_BEHAVIOUR)
    assert set(listed(tree)) == {"returns at once"}


def test_changes(tree: Path) -> None:
    (tree / "toy" / "limits.py").write_text("".join(f"{line}\n" for line, _ in CHANGES))
    found = [line.split("  ", 2) for line in mutants(tree, "--list").stdout.splitlines()]
    for number, (line, changes) in enumerate(CHANGES, 1):
        assert {change for _, place, change in found if place == f"toy/limits.py:{number}"} == changes, line


def test_tests_that_fail_by_themselves_are_told(tree: Path) -> None:
    (tree / "tests/toy/test_limits.py").write_text(TESTS.replace("41", "39"))
    done = mutants(tree)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: tests/toy/test_limits.py::test_hot fails without any change" in done.stderr
