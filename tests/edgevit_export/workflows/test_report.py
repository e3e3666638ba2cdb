"""What a report is put together from: manifests, stated accuracies, the paper's tables."""

from pathlib import Path

import pytest
from paper_records import save_paper_results
from report_records import ACCURACY_TOML, sha_of, small_results

from edgevit.errors import UsageError
from edgevit.network.describe import ModelRequest, model_spec
from edgevit.network.variants import variants
from edgevit.spec import Task, Weights
from edgevit_export.workflows.report import facts_of_manifest, gather_paper, gather_results
from export.artifact import AuditResult, GoldenReference, Manifest
from export.recipe import Format, Recipe


def manifest_of(variant: str, name: str, *, seed: int | None) -> Manifest:
    request = ModelRequest(
        config=variants()[variant], task=Task.CLASSIFY, num_classes=1000, in_channels=3, input_size=(224, 224), batch=1
    )
    weights = Weights(source="random", seed=seed) if seed is not None else Weights(source="checkpoint", file="w.pth")
    spec = model_spec(request, weights)
    return Manifest(
        file=name, sha256=sha_of(name), bytes=1, created_utc="2026-01-01", spec=spec, recipe=Recipe(format=Format.ONNX),
        inputs=spec.inputs, outputs=spec.outputs, operators=(), requires="", audit=AuditResult(passed=True),
        golden=GoldenReference(file="g.npz", sha256="0" * 64, inputs=1, yardstick={}), tools={}, command=(),
    )  # fmt: skip


def test_a_manifest_of_another_network_gives_its_inputs_only() -> None:
    manifest = manifest_of("s", "a.onnx", seed=None)
    import msgspec

    other = msgspec.structs.replace(manifest, spec=msgspec.structs.replace(manifest.spec, variant="resnet18"))
    facts = facts_of_manifest(other)
    assert (facts.parameters, facts.multiply_adds, facts.weights) == (None, None, None)
    assert facts.inputs == manifest.inputs
    assert facts_of_manifest(manifest).parameters == pytest.approx(13.11e6, rel=0.001)


def test_the_command_line_wins_over_files_of_accuracies(tmp_path: Path) -> None:
    (tmp_path / "accuracy.toml").write_text(ACCURACY_TOML, encoding="utf-8")
    results = small_results(tmp_path / "results")
    data = gather_results([results], accuracy=[str(tmp_path / "accuracy.toml"), "edgevit-xxs-224x224=60"], paper=False)
    stated = {row.model: row.accuracy.value for table in data.tables for row in table.rows if row.accuracy}
    assert stated["edgevit-xxs"] == 60
    assert stated["edgevit-s"] != 60
    with pytest.raises(UsageError, match="unknown artifact in --accuracy 'resnet'"):
        gather_results([results], accuracy=["resnet=60"])


def test_the_papers_tables_alone_or_beside(tmp_path: Path) -> None:
    results = small_results(tmp_path / "results")
    alone = gather_paper("Title")
    assert (alone.title, alone.paper, {table.origin for table in alone.tables}) == ("Title", {}, {"reported"})
    both = gather_results([results], accuracy=["edgevit*=75"], paper=True)
    assert {table.slug for table in alone.tables} <= {table.slug for table in both.tables}
    assert both.tables[0].origin == "measured"
    without = gather_results([results], accuracy=["edgevit*=75"], paper=False)
    assert {table.origin for table in without.tables} == {"measured"}


def test_table_2_stands_beside_what_was_measured_unless_the_paper_is_not_wanted(tmp_path: Path) -> None:
    results = save_paper_results(tmp_path / "results", {"EdgeViT-XXS": 10.0, "PVT-v2-B0": 12.0})
    (comparison,) = gather_results([results]).comparisons
    assert [row.model for row in comparison.rows if row.measured] == ["PVT-v2-B0"]
    assert gather_results([results], paper=False).comparisons == ()
    assert gather_results([small_results(tmp_path / "others")]).comparisons == ()
