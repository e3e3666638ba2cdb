"""Which artifacts of Table 2's networks are missing, and that one which fails stops no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
import torchvision_operators  # noqa: F401  # before timm

from edgevit.errors import EdgevitExportError, ExportError, MissingDependencyError, UsageError
from edgevit.neighbours import Neighbour, neighbours
from edgevit_export.console import Progress
from edgevit_export.workflows import paper_networks
from edgevit_export.workflows.export import ExportReport, export
from edgevit_export.workflows.paper_networks import PaperNetworks, build_network, by_format, export_missing
from export.manifest import load_manifest, manifest_path
from export.recipe import Format, Recipe

PTL = Recipe(format=Format.PTL)
SIZE = (64, 64)
XXS, V3 = neighbours()["EdgeViT-XXS"], neighbours()["MobileNet-v3-0.75"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XXS at 64 pixels as TorchScript lite, verified."""
    directory = tmp_path_factory.mktemp("paper")
    model, spec = build_network(XXS, SIZE)
    assert export(model, spec, [PTL], output=directory, command=("edgevit-export",)).passed
    return directory


@pytest.fixture
def directory(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "artifacts"))


def asked(
    directory: Path, *networks: Neighbour, recipes: tuple[Recipe, ...] = (PTL,), **options: object
) -> PaperNetworks:
    return PaperNetworks(networks or (XXS,), recipes, directory, **{"input_size": SIZE, **options})  # type: ignore[arg-type]


def missing(found: PaperNetworks) -> list[tuple[str, list[str]]]:
    return [(network.model, [recipe.format for recipe in recipes]) for network, recipes in found.missing()]


def test_what_is_there_and_whole_is_not_missing(directory: Path) -> None:
    onnx = Recipe(format=Format.ONNX)
    assert missing(asked(directory)) == []
    assert missing(asked(directory, XXS, V3, recipes=(PTL, onnx))) == [
        ("EdgeViT-XXS", ["onnx"]), ("MobileNet-v3-0.75", ["ptl", "onnx"]),
    ]  # fmt: skip
    assert missing(asked(directory / "nowhere")) == [("EdgeViT-XXS", ["ptl"])]
    ((recipe, manifests),) = by_format(asked(directory, XXS, V3, recipes=(onnx, PTL)))
    assert (recipe, [path.name for path in manifests]) == (PTL, ["edgevit-xxs-64x64.ptl.json"])


@pytest.mark.parametrize("options", [{"seed": 1}, {"input_size": (96, 96)}, {"input_size": None}])
def test_another_seed_or_size_is_missing(directory: Path, options: dict[str, object]) -> None:
    assert missing(asked(directory, **options)) == [("EdgeViT-XXS", ["ptl"])]


@pytest.mark.parametrize("change", ["artifact", "golden", "gone", "unverified", "failed", "older", "no manifest"])
def test_what_is_not_whole_or_not_proven_is_missing(directory: Path, change: str) -> None:
    artifact = directory / "edgevit-xxs-64x64.ptl"
    path = manifest_path(artifact)
    manifest = load_manifest(path)
    golden = directory / manifest.golden.file
    assert manifest.parity is not None
    if change == "artifact":
        artifact.write_bytes(artifact.read_bytes()[:-1])
    elif change == "golden":
        golden.write_bytes(b"other")
    elif change == "gone":
        artifact.unlink()
    elif change == "no manifest":
        path.write_text("{}", encoding="utf-8")
    else:
        parity = msgspec.structs.replace(manifest.parity, passed=False)
        changed: dict[str, object] = {
            "unverified": {"parity": None}, "failed": {"parity": parity},
            "older": {"tools": {"edgevit-export": "0.0.1"}},
        }[change]  # fmt: skip
        msgspec.structs.replace(manifest, **changed).save(path)
    assert missing(asked(directory)) == [("EdgeViT-XXS", ["ptl"])]
    assert by_format(asked(directory)) == []


def test_a_network_without_a_source_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="T2T-ViT-7 cannot be measured: not in timm"):
        asked(tmp_path, neighbours()["T2T-ViT-7"])
    with pytest.raises(UsageError, match="no network to measure"):
        PaperNetworks((), (PTL,), tmp_path)


@pytest.mark.parametrize("model", ["Twins-SVT-Tiny*", "TNT-Tiny", "EdgeViT-S", "MobileViT-XXS"])
def test_what_is_built_is_the_network_of_the_table(model: str) -> None:
    network = neighbours()[model]
    built, spec = build_network(network, (network.input_size, network.input_size), seed=3)
    assert sum(each.numel() for each in built.parameters()) == network.parameters
    assert network.is_made_as(spec.network)
    assert (spec.weights.source, spec.weights.seed) == ("random", 3)
    assert spec.inputs[0].shape == (1, 3, network.input_size, network.input_size)


def outcomes(found: PaperNetworks) -> dict[str, ExportReport | EdgevitExportError]:
    quiet = Progress(quiet=True)
    return {network.model: outcome for network, outcome in export_missing(found, ("edgevit-export",), quiet)}


def test_one_that_fails_does_not_stop_the_others(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_manifest(directory / "edgevit-xxs-64x64.ptl.json")
    report = ExportReport(spec=manifest.spec, directory="artifacts", outcomes=())

    def work(_: object, network: Neighbour, *__: object, **___: object) -> ExportReport:
        if network is V3:
            raise ExportError("no such layer", hint="another")
        return report

    monkeypatch.setattr(paper_networks, "_export", work)
    monkeypatch.setattr(paper_networks, "can_fork", lambda: False)
    found = outcomes(asked(directory / "elsewhere", V3, XXS))
    failed = found.pop("MobileNet-v3-0.75")
    assert isinstance(failed, ExportError)
    assert (failed.message, failed.hint) == ("no such layer", "another")
    assert found == {"EdgeViT-XXS": report}
    assert outcomes(asked(directory, XXS)) == {}


def test_what_is_not_installed_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise MissingDependencyError("timm is not installed", extra="timm")

    monkeypatch.setattr(paper_networks, "_export", work)
    monkeypatch.setattr(paper_networks, "can_fork", lambda: False)
    with pytest.raises(MissingDependencyError, match="timm is not installed"):
        outcomes(asked(tmp_path, V3, XXS))
