"""The stand-in for msgspec against the real package: the same records, the same refusals."""

from __future__ import annotations

import msgspec
import pytest

from edgevit.spec import Layout
from runtimes.runners.python import msgspec_stand_in


class Real(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A record of the real package."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: Layout | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Stand(msgspec_stand_in.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The same fields with the stand-in."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: Layout | None = None
    extra: dict[str, str] = msgspec_stand_in.field(default_factory=dict)


FIELDS = ("name", "shape", "dtype", "layout", "extra")


def fields_of(record: object) -> list[object]:
    return [getattr(record, name) for name in FIELDS]


def test_records_are_built_as_the_real_ones_are() -> None:
    real, stand = Real(name="x", shape=(1, 2)), Stand(name="x", shape=(1, 2))
    assert fields_of(stand) == fields_of(real) == ["x", (1, 2), "float32", None, {}]
    assert stand == Stand(name="x", shape=(1, 2)) != Stand(name="y", shape=(1, 2))
    assert stand.extra is not Stand(name="x", shape=(1, 2)).extra
    with pytest.raises(AttributeError):
        stand.name = "y"  # type: ignore[misc]


@pytest.mark.parametrize("given", [{"name": "x"}, {"name": "x", "shape": (), "shap": 3}])
@pytest.mark.parametrize("kind", [Real, Stand])
def test_fields_that_lack_or_are_unknown_are_refused(kind: type, given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="shap"):
        kind(**given)


def test_records_inherit_fields() -> None:
    class Wide(Stand):
        more: int = 7

    assert (Wide(name="x", shape=()).more, Wide(name="x", shape=(), more=8).more) == (7, 8)


TEXTS = (
    '[{"name": "x", "shape": [1, 2], "layout": "nhwc"}]',
    '[{"name": "x", "shape": [], "layout": null, "extra": {"a": "b"}}, {"name": "y", "shape": [3]}]',
    "[]",
)


@pytest.mark.parametrize("text", TEXTS)
def test_json_is_read_as_the_real_package_reads_it(text: str) -> None:
    real = msgspec.json.decode(text, type=tuple[Real, ...])
    stand = msgspec_stand_in.json.decode(text, type=tuple[Stand, ...])
    assert [fields_of(each) for each in stand] == [fields_of(each) for each in real]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    ["{", "3", '[{"name": 3, "shape": []}]', '[{"shape": []}]', '[{"name": "x", "shape": [], "layout": "q"}]',
     '[{"name": "x", "shape": 5}]', '[{"name": "x", "shape": ["a"]}]', '[{"name": "x", "shape": [], "more": 1}]',
     '[{"name": "x", "shape": [], "extra": {"a": 3}}]'],
)  # fmt: skip
def test_both_refuse_the_same_json(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(text, type=tuple[Real, ...])
    with pytest.raises(msgspec_stand_in.MsgspecError):
        msgspec_stand_in.json.decode(text, type=tuple[Stand, ...])
