"""From a dataclass of options to a command; option types that several commands share, and the parsing of values."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_type_hints

import typer

from edgevit.errors import UsageError
from edgevit_export.console import hush

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Let the converters' own output through.")]
AbsoluteError = Annotated[
    float | None, typer.Option(min=0.0, help="Allowed absolute error, instead of 8 float32 yardsticks.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Tighter limits; see docs/verification.md.")]


def _hush(asked: bool) -> bool:
    if asked:
        hush()
    return asked


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_hush, help="Nothing but errors on stderr.")]
"""Takes effect by itself, as soon as it is parsed."""
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]

DEFAULT_OUTPUT = Path("artifacts")
MOST_DIGITS = 9  # of a whole number; chosen: sizes, counts and numbers of threads have fewer


def group_of(help: str) -> typer.Typer:
    """Commands under one name, which prints its help where it stands alone."""
    app = typer.Typer(help=help, rich_markup_mode=None, invoke_without_command=True)

    @app.callback()
    def help_unless_command(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app


def command_of(options: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """What typer makes a command of: a parameter for each field of the dataclass ``options``, in their order.

    A field says all there is to say of an option: ``threads: Annotated[int, typer.Option(min=1, help="...")] = 1``.
    The command has the name of ``run`` and its docstring as help, and calls it with the values as one ``options``.
    Types that fields name must be imported at run time, since typer reads them. A docstring that keeps the lines of a
    paragraph by typer's mark, backslash b, is a raw one.
    """

    def command(**values: object) -> None:
        run(options(**values))

    hints = get_type_hints(options, include_extras=True)
    command.__name__, command.__annotations__ = run.__name__, hints
    command.__doc__ = (run.__doc__ or "").replace("\\b", "\b")
    command.__signature__ = Signature(  # type: ignore[attr-defined]  # inspect looks for it, typeshed does not know it
        [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields(options)
        ]
    )
    return command


def split_list(values: list[str] | None) -> list[str]:
    """Flatten repeated and comma-separated values: ``["ptl,onnx", "tflite"]`` → three names, order kept, no repeats."""
    names = [name.strip() for value in values or [] for name in value.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def whole_number(word: str) -> int | None:
    """The number of up to nine digits that ``word`` is, blanks around it aside; None for anything else.

    What other scripts have for digits, and superscripts, are digits to Python and to nobody who types a number here.
    """
    digits = word.strip()
    return int(digits) if len(digits) <= MOST_DIGITS and digits.isascii() and digits.isdecimal() else None


def require_finite(**given: float | None) -> None:
    """Refuse nan and infinities, which pass every comparison that they should not.

    Raises:
        UsageError: One is none; the option has the name of its argument.
    """
    for name, value in given.items():
        if value is not None and not isfinite(value):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} {value:g}: expected a finite number", hint=f"{option} 40")


def parse_counts(option: str, text: str, *, example: str) -> tuple[int, ...]:
    """``1,2,4`` → numbers of at least 1.

    Raises:
        UsageError: Not a comma-separated list of such numbers.
    """
    numbers = [number for word in text.split(",") if (number := whole_number(word))]
    if len(numbers) != text.count(",") + 1:
        raise UsageError(
            f"{option} '{text}': expected positive numbers separated by commas", hint=f"{option} {example}"
        )
    return tuple(numbers)


def parse_size(text: str) -> tuple[int, int]:
    """``224`` or ``320x256`` (height x width) → (height, width) in pixels.

    Raises:
        UsageError: The text is neither.
    """
    sides = [whole_number(part) for part in text.lower().replace("×", "x").split("x")]
    height, width = sides[0], sides[-1]
    if len(sides) <= 2 and height is not None and width is not None:
        return height, width
    raise UsageError(f"--input-size '{text}' is not a size: expected H or HxW in pixels", hint="--input-size 224x224")


def parse_floats(option: str, text: str | None) -> tuple[float, ...] | None:
    """``0.5,0.5,0.5`` → three floats; None stays None.

    Raises:
        UsageError: Not a comma-separated list of finite numbers.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option} '{text}': expected numbers separated by commas", hint=f"{option} 0.5,0.5,0.5"
        ) from error
    if not all(isfinite(number) for number in numbers):
        raise UsageError(f"{option} '{text}': expected finite numbers", hint=f"{option} 0.5,0.5,0.5")
    return numbers


def wait_passively() -> None:
    """Let OpenMP's idle threads sleep instead of spin, unless the user's environment says otherwise.

    Called before torch is loaded. On a machine with other work, spinning makes float64 references up to ten times
    slower; on an idle one nothing changes that can be seen.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def collect_rarely() -> None:
    """Look for garbage a hundred times more rarely, and never among what has lived long: the process is one command.

    Graphs are a million small objects that all stay alive. Looking through them took 1.3 of 9.5 CPU seconds of
    exporting EdgeViT-S to three formats, in the process that does not convert to TFLite.
    """
    gc.set_threshold(100_000, 20, 1_000_000)
