"""A dataclass of options becomes a command as a written function would; values are parsed or refused in words."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from edgevit.errors import UsageError
from edgevit_export.commands.options import (
    collect_rarely,
    command_of,
    parse_floats,
    parse_size,
    require_finite,
    split_list,
    wait_passively,
)


@dataclass(frozen=True)
class BakeOptions:
    cakes: Annotated[list[Path], typer.Argument(help="What to bake.")]
    heat: Annotated[int, typer.Option("--heat", "-t", min=1, help="In degrees.")] = 180
    topping: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None
    sieve: Annotated[bool, typer.Option("--sieve/--no-sieve", help="Sieve the flour.")] = True
    strict: Annotated[bool, typer.Option("--strict", help="To the second.")] = False


@dataclass(frozen=True, kw_only=True)
class BakeWithContext(BakeOptions):
    context: typer.Context
    late: Annotated[bool, typer.Option("--late", help="Comes last.")] = False


def bake(
    cakes: Annotated[list[Path], typer.Argument(help="What to bake.")],
    heat: Annotated[int, typer.Option("--heat", "-t", min=1, help="In degrees.")] = 180,
    topping: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    sieve: Annotated[bool, typer.Option("--sieve/--no-sieve", help="Sieve the flour.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="To the second.")] = False,
) -> None:
    """Bake cakes.

    With care.
    """


def _app(callback: object) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(callback)  # type: ignore[type-var]
    app.command("other")(lambda: None)  # with a second command, the first one's name counts
    return app


def _given(*arguments: str) -> BakeOptions:
    seen: list[BakeOptions] = []

    def bake(options: BakeOptions) -> None:
        seen.append(options)

    done = CliRunner().invoke(_app(command_of(BakeOptions, bake)), ["bake", *arguments])
    assert done.exit_code == 0, done.output
    return seen[0]


def test_the_help_is_that_of_a_written_function() -> None:
    def of_options(options: BakeOptions) -> None: ...

    of_options.__name__, of_options.__doc__ = bake.__name__, bake.__doc__
    wanted = CliRunner().invoke(_app(bake), ["bake", "--help"]).output
    assert "Bake cakes." in wanted and "--no-sieve" in wanted and "[default: 180; x>=1]" in wanted
    assert CliRunner().invoke(_app(command_of(BakeOptions, of_options)), ["bake", "--help"]).output == wanted


def test_what_is_not_given_has_the_default_of_its_field() -> None:
    assert _given("a") == BakeOptions([Path("a")])


def test_what_is_given_arrives_typed() -> None:
    seen = _given("a", "b", "-t", "200", "--topping", "x", "--topping", "y", "--no-sieve", "--strict")
    assert seen == BakeOptions([Path("a"), Path("b")], 200, ["x", "y"], sieve=False, strict=True)


def test_a_derived_class_adds_options_behind_and_may_ask_for_the_context() -> None:
    seen: list[tuple[BakeWithContext, bool]] = []

    def bake(options: BakeWithContext) -> None:
        source = options.context.get_parameter_source("heat")
        seen.append((options, source is not None and source.name == "COMMANDLINE"))

    app = _app(command_of(BakeWithContext, bake))
    for arguments in (["a", "--heat", "180"], ["a", "--late"]):
        assert CliRunner().invoke(app, ["bake", *arguments]).exit_code == 0
    assert [(options.heat, options.late, given) for options, given in seen] == [(180, False, True), (180, True, False)]
    text = CliRunner().invoke(app, ["bake", "--help"]).output
    assert text.index("--strict") < text.index("--late")


def test_names_may_be_repeated_or_separated_by_commas() -> None:
    assert split_list(["ptl, onnx", "tflite", "onnx,"]) == ["ptl", "onnx", "tflite"]
    assert split_list(None) == []


@pytest.mark.parametrize(("text", "size"), [("224", (224, 224)), ("320x256", (320, 256)), ("96×64", (96, 64))])
def test_a_size_is_height_by_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "2x2x2", "-4", "1.5", "2²", "٣x3", "9" * 5000])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_numbers_are_separated_by_commas_and_finite() -> None:
    assert parse_floats("--mean", "0.5, 1,2e-1") == (0.5, 1.0, 0.2)
    assert parse_floats("--mean", None) is None
    with pytest.raises(UsageError, match="--mean 'a,b': expected numbers"):
        parse_floats("--mean", "a,b")
    with pytest.raises(UsageError, match="expected finite numbers"):
        parse_floats("--std", "inf")


def test_the_users_own_wait_policy_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_garbage_is_still_collected_while_a_command_runs() -> None:
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.isenabled()
        assert gc.get_threshold()[0] >= 50 * before[0] > 0
    finally:
        gc.set_threshold(*before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_refused_with_the_name_of_its_option(value: float) -> None:
    require_finite(max_temp=40.0, cooldown=None)
    with pytest.raises(UsageError, match=r"--max-temp (nan|-?inf): expected a finite number"):
        require_finite(max_temp=value)
