"""In what two records differ: every field of both is walked, and a table says what each difference means."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from edgevit.records import Record
from edgevit.spec import Layout, TensorSpec
from runtimes.bench.record import DeviceRun
from validation.latency.fitness import fitness
from validation.latency.likeness_table import RULES, Rule, Weight

UNKNOWN = "not recorded"
IMAGE_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA: which axis is the channels' where the layout is not told
_NONE_MEANS: dict[str, object] = {  # where None or () says something; everywhere else nothing is known
    "artifact.network.num_classes": "none",
    "artifact.recipe.calibration": "none",
    "artifact.recipe.calibration.count": "none",
    "artifact.recipe.calibration.sha256": "none",
    "artifact.recipe.keep_float": "none",
    "artifact.recipe.opset": "none",
    "artifact.recipe.ptl_bytecode": "none",
    "artifact.recipe.reach_agreement": "none",
    "artifact.recipe.reach_sqnr_db": "none",
    "conditions.max_temp_c": "any",
    "rounds.before.cpu_quota": "none",
    "workload.affinity": "any",
    "workload.burst": 1,
    "workload.gap_ms": 0.0,
}
_LONGEST = 60  # characters of one value; chosen: two of them and the field's name fit into two lines of a console
Leaves = dict[str, object]


class Difference(Record):
    """One field in which two records differ, both values in words; ``topic`` is None where nothing need be allowed."""

    field: str
    words: str
    first: str
    second: str
    weight: Weight
    topic: str | None = None

    @property
    def known(self) -> bool:
        """Whether both records tell it."""
        return UNKNOWN not in (self.first, self.second)

    def __str__(self) -> str:
        return f"unlike {self.words}: {self.first} and {self.second}"


def differences(first: DeviceRun, second: DeviceRun) -> tuple[Difference, ...]:
    """All in which two records differ and that is not expected to, gravest first."""
    mine, theirs = leaves_of(first), leaves_of(second)
    found = []
    for path in dict.fromkeys((*mine, *theirs)):
        rule = rule_of(path)
        one, other = mine.get(path), theirs.get(path)
        if rule.weight is not Weight.EXPECTED and one != other and not _is_parent(path, {**mine, **theirs}):
            shown = _shown(path, one, other)
            found.append(
                Difference(
                    field=path,
                    words=rule.words,
                    first=shown[0],
                    second=shown[1],
                    weight=rule.weight,
                    topic=rule.topic or None,
                )
            )
    return tuple(sorted(found, key=lambda each: list(Weight).index(each.weight)))


def rule_of(path: str) -> Rule:
    """The row of a field: its own, else that of a parent; a field without one is listed by its path."""
    parts = path.split(".")
    parents = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    rules = {rule.path: rule for rule in RULES}
    return next((rules[parent] for parent in parents if parent in rules), Rule(path, Weight.LISTED, path))


def untold(first: DeviceRun, second: DeviceRun) -> list[str]:
    """What neither record tells and would have to be alike for a comparison to mean anything."""
    known = {**leaves_of(first), **leaves_of(second)}
    asked = dict.fromkeys(rule.topic for rule in RULES if rule.weight is Weight.QUESTION)
    told = {rule_of(path).topic for path, value in known.items() if value is not None}
    return [topic for topic in asked if topic not in told]


def unfit_in_one(first: DeviceRun, second: DeviceRun) -> list[str]:
    """What speaks against the device's state at the start of one record only; numbers in it do not count."""
    told = []
    for run in (first, second):
        state = fitness(run.rounds[0].before) if run.rounds else None
        reasons = () if state is None else (*state.reasons, *state.cautions)
        told.append({re.sub(r"[\d.]+", "#", reason): reason for reason in reasons})
    return [
        f"only the {which} record started so: {reason}"
        for which, mine, theirs in (("first", told[0], told[1]), ("second", told[1], told[0]))
        for key, reason in mine.items()
        if key not in theirs
    ]


def leaves_of(run: DeviceRun) -> Leaves:
    """Every field by its path.

    A tuple of records gives one tuple for each of their fields, the rounds the value that they agree on, else all that
    occurred. Shapes are those of ``image_shape``.
    """
    found = _leaves(msgspec.structs.replace(run, rounds=()), "")
    found.pop("rounds")
    by_round = [_leaves(each, "rounds.") for each in run.rounds]
    for path in dict.fromkeys(path for each in by_round for path in each):
        values = _unique([each.get(path) for each in by_round])
        found[path] = values[0] if len(values) == 1 else values
    if run.artifact.inputs:
        found["artifact.inputs.shape"] = tuple(image_shape(spec) for spec in run.artifact.inputs)
    told = {path: _NONE_MEANS.get(path) for path, value in found.items() if value is None or value == ()}
    below = {path: _NONE_MEANS[path] for path in _NONE_MEANS if _parent(path) in told and _parent(path) in _NONE_MEANS}
    return {**found, **told, **below}


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _leaves(record: Record, prefix: str) -> Leaves:
    found: Leaves = {}
    for name in record.__struct_fields__:
        value, path = getattr(record, name), prefix + name
        if isinstance(value, Record):
            found |= _leaves(value, path + ".")
        elif isinstance(value, tuple) and value and all(isinstance(each, Record) for each in value):
            parts = [_leaves(each, path + ".") for each in value]
            found |= {
                part: tuple(each.get(part) for each in parts) for part in dict.fromkeys(p for x in parts for p in x)
            }
        else:
            found[path] = value
    return found


def _unique(values: list[object]) -> tuple[object, ...]:
    """Without repetitions, in order; by equality, since a dict has no hash."""
    return tuple(value for place, value in enumerate(values) if value not in values[:place])


def _is_parent(path: str, leaves: Mapping[str, object]) -> bool:
    """A record that is there in one and None in the other: its fields tell the difference."""
    return any(other.startswith(path + ".") for other in leaves)


def image_shape(spec: TensorSpec) -> tuple[int, ...]:
    """The shape with an image's axes as NCHW, whatever its layout; other shapes as they are."""
    shape = spec.shape
    if len(shape) != 4:
        return shape
    last = spec.layout is None and shape[3] in IMAGE_CHANNELS and shape[1] not in IMAGE_CHANNELS
    return (shape[0], shape[3], *shape[1:3]) if spec.layout is Layout.NHWC or last else shape


def _shown(path: str, *values: object) -> tuple[str, ...]:
    """The values in words, cut where they are long and still differ when cut."""
    whole = tuple(_words(path.rpartition(".")[2], value) for value in values)
    cut = tuple(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in whole)
    return cut if len(set(cut)) == len(set(whole)) else whole


def _words(name: str, value: object) -> str:
    match value:
        case None | ():
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case tuple() if name == "shape":
            return ", ".join("x".join(map(str, shape)) if isinstance(shape, tuple) else str(shape) for shape in value)
        case tuple():
            parts = [_words(name, each) for each in value]
            return ", ".join(_counted(parts))
        case dict():
            return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
        case int() | float() if name.endswith("_hz"):
            return f"{value / 1e9:.10g} GHz"
        case int() | float() if name.endswith("_bytes"):
            return f"{value / 1e9:.1f} GB"
        case str() if name == "sha256":
            return value[:12]
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _counted(parts: list[str]) -> list[str]:
    """``4 x 1.8 GHz, 4 x 2.4 GHz``: neighbours that are alike stand once."""
    counted: list[tuple[str, int]] = []
    for part in parts:
        if counted and counted[-1][0] == part:
            counted[-1] = (part, counted[-1][1] + 1)
        else:
            counted.append((part, 1))
    return [part if count == 1 else f"{count} x {part}" for part, count in counted]
