"""What is offered for what was typed exists."""

from __future__ import annotations

import re

import pytest
import typer

from edgevit_export.__main__ import run
from edgevit_export.app import app
from edgevit_export.suggestions import COMMANDS, ENERGY_COMMANDS, OTHER_NAMES, RUNNER_COMMANDS, usage_error


def test_the_commands_are_those_of_the_application() -> None:
    group = typer.main.get_command(app)
    assert sorted(group.commands) == sorted(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_what_other_tools_call_it_leads_to_a_command(name: str) -> None:
    assert name not in COMMANDS
    hint = usage_error(f"No such command '{name}'.", "edgevit-export").hint
    assert hint is not None
    for word in re.findall(r"edgevit-export (\S+)", hint):
        assert word in COMMANDS or word == "--help"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("verfy", "did you mean 'edgevit-export verify'?"),
        ("benchmrk", "edgevit-export bench artifacts/"),
        ("S", "edgevit-export export --variant s"),
        ("qqq", "edgevit-export --help"),
        ("bnech", "did you mean 'edgevit-export bench'?"),
        ("doc", "did you mean 'edgevit-export doctor'?"),
        ("edgevit-s", "edgevit-export export --variant s"),
        ("EdgeViT_XXS", "edgevit-export export --variant xxs"),
        ("train", "edgevit-export --help"),
        ("serve", "edgevit-export --help"),
        ("edgevit-q", "edgevit-export --help"),
        ("simulate", "edgevit-export energy simulate"),
        ("meters", "edgevit-export energy meters"),
    ],
)
def test_a_slip_of_the_finger_leads_to_the_nearest(typed: str, hint: str) -> None:
    error = usage_error(f"No such command '{typed}'. Did you mean 'x'?", "edgevit-export")
    assert error.hint == hint


@pytest.mark.parametrize(
    ("group", "typed", "hint"),
    [
        ("runner", "biuld", "did you mean 'edgevit-export runner build'?"),
        ("runner", "compile", "did you mean 'edgevit-export runner build'?"),
        ("runner", "download", "did you mean 'edgevit-export runner fetch'?"),
        ("runner", "ls", "did you mean 'edgevit-export runner list'?"),
        ("runner", "bench", "did you mean 'edgevit-export bench'?"),
        ("runner", "qqq", "edgevit-export runner --help"),
        ("energy", "analyse", "did you mean 'edgevit-export energy analyze'?"),
        ("energy", "build", "edgevit-export energy --help"),
    ],
)
def test_in_a_group_its_own_commands_are_meant(group: str, typed: str, hint: str) -> None:
    assert usage_error(f"No such command '{typed}'. Did you mean 'x'?", f"edgevit-export {group}").hint == hint


def test_starts_of_commands_tell_them_apart() -> None:
    starts = [name[:3] for name in COMMANDS]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (["bench", "x", "--device"], "edgevit-export bench"),
        (["energy", "analyze", "x", "--runs"], "edgevit-export energy analyze"),
        (["energy", "--bogus"], "edgevit-export energy"),
        (["--variant"], "edgevit-export"),
    ],
)
def test_an_option_without_its_value_leads_to_the_help_of_its_command(
    words: list[str], help_of: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert f"hint: {help_of} --help\n" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "commands"), [("energy", ENERGY_COMMANDS), ("runner", RUNNER_COMMANDS)])
def test_the_commands_of_groups_are_those_of_the_application(name: str, commands: tuple[str, ...]) -> None:
    group = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert sorted(group.commands) == sorted(commands)


def test_other_messages_lead_to_the_help_of_their_command() -> None:
    error = usage_error("No such option: --bogus", "edgevit-export verify")
    assert (error.message, error.hint) == ("No such option: --bogus", "edgevit-export verify --help")
