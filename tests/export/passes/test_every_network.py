"""Every list of passes on other people's networks: the function stays that of the eager network in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pass_rig import in_double
from timm_networks import ATTENTION, CONVOLUTIONAL, Network, build

from edgevit.spec import Layout
from export.pipeline import FULL, optimize
from export.program import capture, with_input_layout
from export.recipe import Format, Optimize, Recipe

TOLERANCE = 1e-10
"""Of what the answer moves with the image: float64 rounds at 1e-16, and the longest chains here lose two digits."""
NETWORKS = (*CONVOLUTIONAL, *ATTENTION)


def recipes() -> Iterator[Recipe]:
    """Every list of passes; the folds of ``basic`` are the same for all formats."""
    yield Recipe(format=Format.ONNX, optimize=Optimize.BASIC)
    for format, precision in FULL:
        yield Recipe(format=format, precision=precision)
    yield Recipe(format=Format.TFLITE, input_layout=Layout.NHWC)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.family)
def test_every_list_keeps_the_function(network: Network) -> None:
    model, spec = build(network)
    program = capture(model.double(), in_double(spec))
    expected = model(*program.example)
    moved = float((expected - model(*[-tensor for tensor in program.example])).abs().max())
    assert moved > 1e-4 * float(expected.abs().max())  # an answer that no image changes would hide any error
    for recipe in recipes():
        laid_out = with_input_layout(program, recipe.input_layout)
        optimised = optimize(laid_out, recipe)
        seen = optimised.module(*laid_out.example)
        assert seen.shape == expected.shape
        assert float((seen - expected).abs().max()) <= TOLERANCE * moved, recipe
        assert {log.name: log.not_run for log in optimised.passes if log.not_run} == {}, recipe
