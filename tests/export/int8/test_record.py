"""What a manifest keeps of int8 layers."""

import pytest

from export.int8.record import KEPT, SEARCHED, LayerKind, LayerRecord, QuantizationRecord, Scheme


def layer(name: str, scheme: Scheme, why: str = "") -> LayerRecord:
    return LayerRecord(name=name, module=name, kind=LayerKind.LINEAR, weights=8, scheme=scheme, why=why)


@pytest.mark.parametrize(
    ("why", "asked_for"), [("", False), (f"{KEPT}'head'", True), (SEARCHED, True), ("static would cost it 9 dB", False)]
)
def test_what_the_user_wanted_is_told_from_what_int8_could_not(why: str, asked_for: bool) -> None:
    assert layer("head", Scheme.FLOAT, why).asked_for is asked_for


def test_layers_are_found_by_scheme_in_their_order() -> None:
    layers = (layer("a", Scheme.STATIC), layer("b", Scheme.FLOAT), layer("c", Scheme.STATIC))
    record = QuantizationRecord(layers=layers, measured_on="the golden inputs")
    assert [each.name for each in record.named(Scheme.STATIC)] == ["a", "c"]
    assert record.named(Scheme.WEIGHTS) == ()
