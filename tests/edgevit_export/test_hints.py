"""Every command and option of ours that an error, hint or note names is one that the command line takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from edgevit_export.app import app

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
FOREIGN = re.compile(r"\b(adb|fastboot|pip|python3?|apt(-get)?|brew|ssh|git|cmake|bazel|scripts/\S+|build\S*\.sh) .*")
"""Other programs, whose options are their own."""


def texts(*, errors_alone: bool = False) -> Iterator[tuple[str, str]]:
    """Every text of the code that is no docstring, with where it stands; what is filled in is ``X``."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        raised = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "").endswith("Error")]
        for node in (n for top in (raised if errors_alone else [tree]) for n in ast.walk(top)):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                yield where, "".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | told:
                yield where, node.value


def commands() -> dict[str, set[str]]:
    """Options by command; the application's own by an empty name."""
    found: dict[str, set[str]] = {}

    def visit(name: str, command: object) -> None:
        words = [word for each in getattr(command, "params", ()) for word in (*each.opts, *each.secondary_opts)]
        found[name] = {word for word in words if word.startswith("-")} | {"--help", "-h"}
        for inner, each in getattr(command, "commands", {}).items():
            visit(f"{name} {inner}".strip(), each)

    visit("", typer.main.get_command(app))
    return found


COMMANDS = commands()
GROUPS = {name.partition(" ")[0] for name in COMMANDS if " " in name}
SENTENCES = {"wrote", "as"}
"""Words behind the program's name that are no commands."""
CALL = re.compile(r"edgevit-export ((?:[a-z]+ ?|-)[^;,()'`\n]*)")
CALLS = [(f"{where}: {call[1]}", call[1]) for where, text in texts() for call in CALL.finditer(text)]
BARE = [(where, FOREIGN.sub("", text)) for where, text in texts(errors_alone=True) if "edgevit-export" not in text]


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
def test_commands_that_are_named_exist_and_take_the_options_named(call: str) -> None:
    first, *rest = call.split()
    grouped = first in GROUPS and rest[0] != "--help"
    name = "" if first.startswith("-") else f"{first} {rest[0]}" if grouped else first
    if first in SENTENCES:
        return
    assert name in COMMANDS, call
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", call)) <= COMMANDS[name], call


def test_options_that_are_named_alone_exist_somewhere() -> None:
    known = set().union(*COMMANDS.values())
    wrong = {
        (where, option)
        for where, text in BARE
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)
        if option not in known
    }
    assert not wrong


def test_enough_was_found_to_be_a_test() -> None:
    assert len(CALLS) > 40 and sum("--" in text for _, text in BARE) > 40
