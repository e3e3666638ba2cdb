"""From records to the comparison with Table 2: what goes together, what is left out, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from paper_records import paper_run
from report_records import in_precision, run_of

from export.recipe import Calibration, Optimize, Precision
from runtimes.bench.record import DeviceRun
from validation.report.entries import joined_entries
from validation.report.neighbours.judge import paper_comparisons
from validation.report.results import Results
from validation.report.rows import Agreement, PaperComparison, PaperRatio


def compared(*runs: DeviceRun) -> tuple[PaperComparison, ...]:
    return paper_comparisons(joined_entries(Results(runs=list(runs)), {}))


def rows_of(runs: Sequence[DeviceRun]) -> dict[str, PaperRatio]:
    (comparison,) = compared(*runs)
    return {row.model: row for row in comparison.rows}


XXS, DEIT = paper_run("EdgeViT-XXS", 10.0), paper_run("DeiT-Tiny", 17.0)


def test_ratios_stand_beside_the_papers() -> None:
    rows = rows_of([XXS, DEIT, paper_run("MobileViT-XXS", 9.0), paper_run("ResNet18", 21.0)])
    deit = rows["DeiT-Tiny"]
    assert deit.measured is not None
    assert deit.reported is not None
    assert deit.measured.value == pytest.approx(1.7, rel=0.02)
    assert (deit.reported.value, deit.reported_top1_pct) == (pytest.approx(46.2 / 32.8), 72.2)
    assert (deit.agreement, deit.status) == (Agreement.HOLDS, "valid")
    assert rows["MobileViT-XXS"].agreement is Agreement.FAILS
    assert rows["EdgeViT-XXS"].agreement is None
    anchor = rows["ResNet18"]
    assert (anchor.reported, anchor.agreement) == (None, None)
    assert anchor.measured is not None
    assert rows["T2T-ViT-7"].agreement is Agreement.UNMEASURED
    assert "--module" in rows["T2T-ViT-7"].reasons[0]
    assert rows["PVT-v2-B0"].reasons == ("no record",)


def test_nothing_is_said_without_a_neighbour() -> None:
    assert compared(XXS, paper_run("EdgeViT-S", 26.0)) == ()
    assert compared(DEIT, run_of("other.tflite", 3.0)) == ()


@pytest.mark.parametrize(
    "other",
    [
        paper_run("DeiT-Tiny", 30.0, suffix="onnx"),
        paper_run("DeiT-Tiny", 30.0, threads=2),
        paper_run("DeiT-Tiny", 30.0, device="another"),
        paper_run("DeiT-Tiny", 30.0, runtime="another 1.0"),
        paper_run("DeiT-Tiny", 30.0, optimize=Optimize.NONE),
        in_precision(paper_run("DeiT-Tiny", 30.0), Precision.INT8),
    ],
    ids=["format", "threads", "device", "runtime", "recipe", "precision"],
)
def test_formats_devices_threads_and_recipes_are_never_mixed(other: DeviceRun) -> None:
    assert compared(XXS, other) == ()
    (comparison,) = compared(XXS, DEIT, other)
    assert {row.model: row.median_ms for row in comparison.rows}["DeiT-Tiny"] == pytest.approx(17.0, rel=0.01)


def test_another_size_is_not_the_papers() -> None:
    (comparison,) = compared(paper_run("EdgeViT-XXS", 1.0, side=64), paper_run("DeiT-Tiny", 2.0, side=64))
    assert {claim.agreement for claim in comparison.claims} == {Agreement.UNMEASURED}
    rows = {row.model: row for row in comparison.rows}
    assert rows["DeiT-Tiny"].reasons == ("at 64x64 only, not at the paper's 224",)
    assert rows["DeiT-Tiny"].measured is None


def test_mobilevit_counts_at_256_pixels_alone() -> None:
    rows = rows_of([XXS, paper_run("MobileViT-XXS", 9.0, side=224)])
    assert rows["MobileViT-XXS"].reasons == ("at 224x224 only, not at the paper's 256",)


def test_the_newest_record_counts_but_a_failed_one_does_not() -> None:
    import msgspec

    old = msgspec.structs.replace(paper_run("DeiT-Tiny", 9.0), created_utc="2025-01-01T00:00:00+00:00")
    failed = paper_run("DeiT-Tiny", 30.0, suspended_ns=5_000_000)
    failed = msgspec.structs.replace(failed, created_utc="2026-02-01T00:00:00+00:00")
    for runs in ([XXS, old, DEIT, failed], [XXS, failed, DEIT, old]):
        assert rows_of(runs)["DeiT-Tiny"].median_ms == pytest.approx(17.0, rel=0.01)
    alone = rows_of([XXS, failed])["DeiT-Tiny"]
    assert (alone.agreement, alone.status) == (Agreement.UNMEASURED, "failed")
    assert "suspended" in alone.reasons[0]


def test_reservations_are_told() -> None:
    later = paper_run("DeiT-Tiny", 17.0, started="2026-01-02T00:00:00+00:00")
    (comparison,) = compared(XXS, later, paper_run("PVT-v2-B0", 12.0, sd=0.5))
    rows = {row.model: row for row in comparison.rows}
    assert rows["DeiT-Tiny"].reasons == ("not measured in turns with EdgeViT-XXS",)
    assert rows["PVT-v2-B0"].status == "noisy"
    assert "noisy: PVT-v2-B0" in comparison.notes
    assert any(note.startswith("PVT-v2-B0: 3.7 M parameters") for note in comparison.notes)
    assert "Galaxy S21, TorchScript lite" in comparison.notes[0]
    assert "Top-1 is as reported" in comparison.notes[2]


def test_without_the_base_other_claims_still_stand() -> None:
    (comparison,) = compared(paper_run("EdgeViT-S", 26.0), paper_run("MobileViT-S", 33.0))
    rows = {row.model: row for row in comparison.rows}
    assert rows["MobileViT-S"].reasons == ("EdgeViT-XXS was not measured",)
    claim = next(each for each in comparison.claims if each.text.endswith(" MobileViT-S"))
    assert claim.agreement is Agreement.HOLDS


def test_int8_networks_are_compared_among_themselves_whatever_the_pixels_of_their_calibration() -> None:
    runs = [in_precision(run, Precision.INT8, images=100) for run in (XXS, DEIT)]
    recipe = runs[1].artifact.recipe
    assert recipe is not None
    recipe = msgspec.structs.replace(recipe, calibration=Calibration(count=100, sha256="ff" * 32))
    runs[1] = msgspec.structs.replace(runs[1], artifact=msgspec.structs.replace(runs[1].artifact, recipe=recipe))
    first, second = compared(XXS, DEIT, *runs)
    assert (first.title.endswith(", tflite"), second.title.endswith(", tflite, int8 static")) == (True, True)
    assert first.slug != second.slug
