"""The rows of the formats: whole, and without a float file in the name of int8."""

from __future__ import annotations

import pytest

from export.int8.record import LayerKind, Scheme
from export.quantization.schemes import SCHEMES
from export.recipe import Format


def test_every_format_has_a_row() -> None:
    assert set(SCHEMES) == set(Format)


@pytest.mark.parametrize("format", list(Format))
def test_ranges_that_nobody_gave_are_never_built_in(format: Format) -> None:
    row = SCHEMES[format]
    assert Scheme.STATIC not in row.dynamic.values()
    assert Scheme.FLOAT not in row.dynamic.values()
    assert row.dynamic.get(LayerKind.LINEAR) is Scheme.DYNAMIC


@pytest.mark.parametrize("format", list(Format))
def test_a_layer_that_static_would_ruin_has_something_to_fall_back_on(format: Format) -> None:
    row = SCHEMES[format]
    for kind, offered in row.static.items():
        assert offered and len(set(offered)) == len(offered)
        if Scheme.STATIC in offered and kind in row.rounded_outputs:
            assert offered[0] is Scheme.STATIC and len(offered) > 1, f"{kind}: an output of the network has no other"
