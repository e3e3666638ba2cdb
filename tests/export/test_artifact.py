"""The facts about an artifact in numbers and in one line each."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from export_rig import export_to

from export.artifact import Delegation, FileFacts, Operator, PassLog, Refusal, left_outside, optimised
from export.int8.record import KEPT, SEARCHED, LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.manifest import load_manifest
from export.recipe import Format, Optimize, Precision, Recipe

FULL = Recipe(format=Format.ONNX)
NONE = Recipe(format=Format.ONNX, optimize=Optimize.NONE)
LEFT = Refusal(operator="aten::batch_norm", count=2, why="others read it", modules=("a", "b"))
DONE, IDLE = PassLog(name="fold", rewrites=3), PassLog(name="sink", rewrites=0)
STOPPED = PassLog(name="in_place", rewrites=0, not_run="old bytecode")


def test_operators_of_all_kinds_are_counted() -> None:
    operators = (Operator(name="Conv", count=3), Operator(name="Add", count=2))
    facts = FileFacts(format=Format.ONNX, inputs=(), outputs=(), operators=operators, requires="")
    assert facts.operator_count == 5


@pytest.mark.parametrize(
    ("modules", "line"),
    [
        ((), "MEAN x 2: no kernel"),
        (("head",), "MEAN x 2: no kernel (in head)"),
        (("a", "b", "c"), "MEAN x 2: no kernel (in a, b, c)"),
        (("a", "b", "c", "d", "e"), "MEAN x 2: no kernel (in a, b, c and 2 more)"),
    ],
)
def test_what_stayed_outside_names_a_few_modules(modules: tuple[str, ...], line: str) -> None:
    assert left_outside("MEAN", 2, "no kernel", modules) == line


@pytest.mark.parametrize(
    ("recipe", "passes", "said", "lines"),
    [
        (NONE, (), "none", ()),
        (FULL, (DONE, IDLE), "full: 1/2", ()),
        (FULL, (IDLE, IDLE), "full: 0/2", ("optimize full: none of the 2 passes changed anything",)),
        (
            FULL,
            (DONE, msgspec.structs.replace(IDLE, refused=(LEFT,))),
            "full: 1/2, 2 left",
            ("sink left aten::batch_norm x 2: others read it (in a, b)",),
        ),
        (FULL, (DONE, STOPPED), "full: 1/2", ("in_place did not run: old bytecode",)),
        (
            FULL,
            (STOPPED, STOPPED),
            "full: 0/2",
            ("optimize full: none of the 2 passes changed anything", "no pass ran: old bytecode"),
        ),
    ],
)
def test_what_was_not_optimised_is_said(
    tmp_path: Path, recipe: Recipe, passes: tuple[PassLog, ...], said: str, lines: tuple[str, ...]
) -> None:
    (path,) = export_to(tmp_path)
    manifest = msgspec.structs.replace(load_manifest(path), recipe=recipe, passes=passes)
    assert (optimised(recipe, passes), manifest.shortfalls()) == (said, lines)


def test_what_a_delegate_left_is_said_and_a_long_list_is_cut(tmp_path: Path) -> None:
    (path,) = export_to(tmp_path)
    manifest = msgspec.structs.replace(load_manifest(path), recipe=NONE)
    for delegated, left, lines in (
        (9, (), ()),
        (8, ("MEAN x 1: no kernel",), ("outside XNNPACK: MEAN x 1: no kernel",)),
        (0, (), ("XNNPACK took none of the 9 operators",)),
    ):
        delegation = Delegation(delegate="XNNPACK", delegated=delegated, total=9, partitions=1, left=left)
        assert msgspec.structs.replace(manifest, delegation=delegation).shortfalls() == lines
    torn = Delegation(delegate="XNNPACK", delegated=2, total=9, partitions=7, left=tuple("abcdefg"))
    lines = msgspec.structs.replace(manifest, delegation=torn).shortfalls()
    assert len(lines) == 6 and lines[-1] == "outside XNNPACK: and 2 more kinds, all in the manifest"


def test_layers_unlike_the_others_are_told_by_their_own_reasons(tmp_path: Path) -> None:
    """No precision in front: the table that shows it says that already."""
    (path,) = export_to(tmp_path)

    def layer(number: int, scheme: Scheme, why: str = "", weights: int = 10) -> LayerRecord:
        module = f"blocks.{number}"
        return LayerRecord(
            name=f"call_{number}", module=module, kind=LayerKind.LINEAR, weights=weights, scheme=scheme, why=why
        )

    def lines(*layers: LayerRecord) -> tuple[str, ...]:
        record = QuantizationRecord(layers=layers, measured_on="images")
        recipe = Recipe(format=Format.ONNX, precision=Precision.INT8, optimize=Optimize.NONE)
        return msgspec.structs.replace(load_manifest(path), recipe=recipe, quantization=record).shortfalls()

    alike, noisy, last = layer(0, Scheme.STATIC), "static would cost it 21.0 dB", "its output is one of the network's"
    assert lines(alike) == ()
    found = lines(alike, *(layer(n, Scheme.DYNAMIC, noisy) for n in (1, 2)), layer(3, Scheme.DYNAMIC, last),
                  layer(4, Scheme.WEIGHTS, "no kernel"))  # fmt: skip
    assert found == (
        "layers with int8 weights alone x 1: no kernel (in blocks.4)",
        f"dynamic layers x 2: {noisy} (in blocks.1, blocks.2)",
        f"dynamic layers x 1: {last} (in blocks.3)",
    )
    *five, more = lines(*(layer(n, Scheme.DYNAMIC, f"static would cost it {n} dB") for n in range(8)))
    assert len(five) == 5 and more == "and 3 more layers that are not as the others of their kind, all in the manifest"
    searched, kept = (layer(n, Scheme.FLOAT, why) for n, why in ((1, SEARCHED), (2, f"{KEPT}'blocks.2'")))
    assert lines(layer(0, Scheme.STATIC, weights=99), searched, kept) == ("the search left 1 of 3 layers float",)
    assert lines(alike, kept, layer(5, Scheme.FLOAT)) == (
        "67% of the weights of layers are float; fp16 would be smaller",
    )


def test_what_a_pass_that_runs_twice_leaves_is_what_its_last_run_left() -> None:
    refusal = Refusal(operator="aten::batch_norm", count=3, why="others read it", modules=())
    first = PassLog(name="fold", rewrites=1, detail="", refused=(refusal,))
    second = PassLog(name="fold", rewrites=3, detail="")
    recipe = Recipe(format=Format.ONNX)
    assert optimised(recipe, (first, second)) == "full: 2/2"
    assert optimised(recipe, (second, first)) == "full: 2/2, 3 left"
