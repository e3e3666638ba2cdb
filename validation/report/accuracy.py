"""Accuracies that the user states or measured, by artifact.

In TOML, JSON or CSV, one entry per artifact: its file name, the name without the suffix, or a pattern with ``*``::

    "edgevit-s-224x224" = 81.0              # top-1 in percent, stated

    ["mobilenet_v2*.tflite"]
    top1 = 71.8                             # or ap, miou; in percent
    kind = "measured"                       # or "stated", the default
    source = "own run, 50000 images"
    parameters_m = 3.5                      # for tables, where the artifact's manifest does not tell
    multiply_adds_g = 0.3
    label = "MobileNet-v2"                  # name in tables and plots

A name is that of one file: ``edgevit-s-224x224`` is not ``edgevit-s-224x224-int8``. In CSV there is a column ``model``;
the others are called like the keys above (``accuracy_table`` says what else).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Literal

import msgspec

from edgevit.errors import UsageError, unknown_choice
from edgevit.text import TOML_BYTES, parse_json, parse_toml, read_bytes
from export.recipe import Precision
from validation.report.accuracy_table import parse_table
from validation.report.rows import Accuracy, Metric

_METRICS = {"top1": Metric.TOP1, "ap": Metric.AP, "miou": Metric.MIOU}
_EXAMPLE = 'a minimal TOML file: "edgevit-s-224x224" = 81.0'


class StatedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; accuracies in percent, parameters in millions, multiply-adds in billions."""

    top1: float | None = None
    ap: float | None = None
    miou: float | None = None
    kind: Literal["stated", "measured"] = "stated"
    source: str = ""
    parameters_m: float | None = None
    multiply_adds_g: float | None = None
    label: str | None = None

    def accuracies(self) -> list[Accuracy]:
        """One record for each metric that the entry has."""
        return [
            Accuracy(metric=metric, value=value, kind=self.kind, source=self.source)
            for key, metric in _METRICS.items()
            if (value := getattr(self, key)) is not None
        ]


@dataclass(frozen=True)
class Stated:
    """An entry with the pattern that it is for and where it was given (a file, or ``--accuracy``)."""

    pattern: str
    model: StatedModel
    origin: str


class AccuracyBook:
    """All entries. What was given later wins over what was given earlier for the same pattern.

    ``withheld`` are the artifacts that a pattern fits and whose accuracy it does not tell, since it does not name their
    precision.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Stated] = {}
        self._used: set[str] = set()
        self.withheld: dict[tuple[str, Precision], set[str]] = {}

    def add(self, entries: Iterable[Stated]) -> None:
        """Take further entries over."""
        self.entries.update({entry.pattern: entry for entry in entries})

    def lookup(self, artifact: str, precision: Precision | None = None) -> StatedModel | None:
        """The entry for an artifact: by file name, else by its stem, else by the longest pattern that matches.

        A pattern fits ``edgevit-s-224x224-int8`` where float32 was meant: of another precision it tells no accuracy
        unless it names it. What does counts before what does not.

        Raises:
            UsageError: Two patterns of the same length match with different entries.
        """
        stem = PurePath(artifact).stem
        if named := [name for name in (artifact, stem) if name in self.entries]:
            return self._of(named[0])
        fitting = [p for p in self.entries if fnmatchcase(artifact, p) or fnmatchcase(stem, p)]
        if precision is None or precision is Precision.FP32:
            return self._longest(fitting, artifact)
        if naming := [p for p in fitting if precision in p]:
            return self._longest(naming, artifact)
        return self._without_accuracy(fitting, artifact, precision)

    def _longest(self, patterns: Sequence[str], artifact: str) -> StatedModel | None:
        longest = [p for p in patterns if len(p) == max(map(len, patterns))]
        if len({self.entries[p].model for p in longest}) > 1:
            raise UsageError(
                f"{artifact}: the accuracies of '{longest[0]}' and of '{longest[1]}' both fit; name the file"
            )
        return self._of(longest[0]) if longest else None

    def _of(self, pattern: str) -> StatedModel:
        self._used.add(pattern)
        return self.entries[pattern].model

    def _without_accuracy(self, patterns: Sequence[str], artifact: str, precision: Precision) -> StatedModel | None:
        """Name, parameters and multiply-adds, which are the same in every precision."""
        found = self._longest(patterns, artifact)
        if found is None or not found.accuracies():
            return found
        pattern = max(patterns, key=len)
        self.withheld.setdefault((pattern, precision), set()).add(artifact)
        return msgspec.structs.replace(found, top1=None, ap=None, miou=None)

    def withheld_words(self) -> list[str]:
        """Which artifacts have no accuracy because a pattern does not name their precision, a line for each pattern."""
        return [
            f"{', '.join(sorted(artifacts))}: no accuracy, since '{pattern}' does not name {precision}; state that of "
            f"{precision} by file, or by a pattern with {precision} in it"
            for (pattern, precision), artifacts in self.withheld.items()
        ]

    def unused(self) -> list[Stated]:
        """Entries that no artifact asked for."""
        return [entry for pattern, entry in self.entries.items() if pattern not in self._used]


def stated_on_command_line(text: str) -> Stated:
    """``NAME=81.0``, ``NAME=ap:38.7`` or ``NAME=miou:41.4``.

    Raises:
        UsageError: Anything else.
    """
    pattern, _, value = text.rpartition("=")
    key, _, number = value.rpartition(":")
    key = key.strip().lower() or "top1"
    if key not in _METRICS:
        raise unknown_choice("accuracy metric", key, _METRICS)
    try:
        table: dict[str, object] = {key: float(number)}
    except ValueError as error:
        message = f"--accuracy '{text}': expected NAME=PERCENT or an existing .toml, .json or .csv file"
        raise UsageError(message, hint="--accuracy edgevit-s-224x224=81.0") from error
    if not pattern.strip():
        raise UsageError(f"--accuracy '{text}': the model's name is missing", hint="--accuracy edgevit-s-224x224=81.0")
    return Stated(pattern.strip(), _model(table, f"--accuracy '{text}'"), "--accuracy")


def read_accuracies(path: Path) -> list[Stated]:
    """Read a file of accuracies; the suffix tells the format.

    Raises:
        UsageError: Unreadable, another format, an unknown key, or a number out of range; the message names the entry.
    """
    parse = {".toml": parse_toml, ".json": parse_json, ".csv": parse_table}.get(path.suffix.lower())
    if parse is None:
        raise UsageError(f"accuracies {path}: expected .toml, .json or .csv, got '{path.suffix}'", hint=_EXAMPLE)
    data = read_bytes(path, what="accuracies", limit_bytes=TOML_BYTES, failure=UsageError)
    table = parse(data, origin=f"accuracies {path}", failure=UsageError)
    if not isinstance(table, dict) or not table:
        raise UsageError(f"accuracies {path}: expected a table of models, got nothing like it", hint=_EXAMPLE)
    return [Stated(name, _model(entry, f"accuracies {path}, '{name}'"), str(path)) for name, entry in table.items()]


def _model(entry: object, origin: str) -> StatedModel:
    table = {"top1": entry} if isinstance(entry, int | float) and not isinstance(entry, bool) else entry
    try:
        model = msgspec.convert(table, StatedModel)
    except msgspec.ValidationError as error:
        known = ", ".join(StatedModel.__struct_fields__)
        raise UsageError(f"{origin}: {error} (keys: {known})", hint=_EXAMPLE) from error
    if not model.accuracies() and model.parameters_m is None and model.multiply_adds_g is None and model.label is None:
        raise UsageError(f"{origin}: the entry says nothing; expected one of {', '.join(_METRICS)}", hint=_EXAMPLE)
    for accuracy in model.accuracies():
        if not 0 < accuracy.value <= 100:
            raise UsageError(
                f"{origin}: {accuracy.metric} {accuracy.value:g} is no percentage, expected above 0 to 100"
            )
        if accuracy.value <= 1:
            raise UsageError(f"{origin}: {accuracy.value:g} looks like a share: state percent, {accuracy.value:.1%}")
    for number in (model.parameters_m, model.multiply_adds_g):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise UsageError(f"{origin}: {number:g} parameters or multiply-adds, expected a number above 0")
    return model
