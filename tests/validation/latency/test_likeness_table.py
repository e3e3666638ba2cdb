"""Every field of a record has a row, and every row a field: found by the types, not by the code that walks records."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec.inspect as types
import pytest

from runtimes.bench.record import DeviceRun
from validation.latency.likeness_table import RULES, TOPICS, Weight


def paths_of(struct: types.StructType, prefix: str = "") -> Iterator[str]:
    """Every leaf below a record type; structs are entered wherever they may stand."""
    for field in struct.fields:
        path = prefix + field.name
        inside = list(structs_in(field.type))
        for each in inside:
            yield from paths_of(each, path + ".")
        if not inside:
            yield path


def structs_in(kind: types.Type) -> Iterator[types.StructType]:
    match kind:
        case types.StructType():
            yield kind
        case types.UnionType(types=parts) | types.TupleType(item_types=parts):
            for part in parts:
                yield from structs_in(part)
        case types.VarTupleType(item_type=part):
            yield from structs_in(part)


def record_type() -> types.StructType:
    kind = types.type_info(DeviceRun)
    assert isinstance(kind, types.StructType)
    return kind


LEAVES = tuple(dict.fromkeys(paths_of(record_type())))


def covers(rule: str, path: str) -> bool:
    return path == rule or path.startswith(rule + ".")


@pytest.mark.parametrize("path", LEAVES)
def test_every_field_of_the_record_has_a_row(path: str) -> None:
    assert any(covers(rule.path, path) for rule in RULES), "name it in validation/latency/likeness_table.py"


def test_leaves_are_found_in_records_in_tuples_and_in_what_may_be_missing() -> None:
    assert {"device", "artifact.inputs.shape", "rounds.before.battery.charging", "energy.run.after.kernel"} <= {*LEAVES}


def test_every_row_is_a_field_and_says_something() -> None:
    assert len({rule.path for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert any(covers(rule.path, path) for path in LEAVES), rule.path
        assert rule.words
        assert (rule.topic in TOPICS) == (rule.weight in (Weight.QUESTION, Weight.GATE)), rule.path


def test_only_what_is_expected_to_differ_may_stand_for_all_below_it() -> None:
    """A field that comes to a part that matters needs a row of its own."""
    assert [r.path for r in RULES if r.path not in LEAVES and r.weight is not Weight.EXPECTED] == []
