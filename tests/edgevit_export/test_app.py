"""The application: help, version, and options that stand before a command."""

import json
import subprocess
import sys

import pytest

from edgevit_export.__main__ import run


def test_without_arguments_it_helps(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Examples:" in capfd.readouterr().out


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capfd.readouterr().out.startswith("edgevit-export 0.")


def test_the_version_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    number = capfd.readouterr().out.split()[1]
    for words in (["--version", "--json"], ["--json", "--version"]):
        assert run(words) == 0
        assert json.loads(capfd.readouterr().out) == {"schema_version": 1, "version": number}
    assert run(["--version", "verify"]) == 0
    assert capfd.readouterr().out == f"edgevit-export {number}\n"


def test_shell_completion_is_offered() -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-m", "edgevit_export", "--show-completion", "bash"], capture_output=True, text=True,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "SHELL": "/bin/bash"}, check=False,
    )  # fmt: skip
    assert "complete" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--json", "-v", "verify"], "--json, --verbose before 'verify'"),
        (["-m", "s", "models"], "--variant before 'models'"),
        (["--no-verify", "doctor"], "--verify before 'doctor'"),
    ],
)
def test_options_of_the_export_before_a_command_are_named_as_typed(
    words: list[str], named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    seen = capfd.readouterr().err
    assert named in seen and f"edgevit-export {words[-1]} --help" in seen


def test_the_default_of_an_option_may_be_typed_without_a_model_to_no_avail(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--batch", "1"]) == 2
    assert "nothing to export" in capfd.readouterr().err
