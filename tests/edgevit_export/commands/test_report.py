"""``report`` as a user calls it: files, output, exit codes, refusals."""

import csv
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from paper_records import save_paper_results
from report_records import ACCURACY_TOML, PARITY, SHARE, run_of, save_run, sha_of, small_results

from edgevit.installation import install_extra
from edgevit.network.describe import ModelRequest, model_spec
from edgevit.network.variants import variants
from edgevit.spec import Task, Weights
from edgevit_export.__main__ import run
from export.artifact import AuditResult, GoldenReference, Manifest, Operator
from export.recipe import Format, Recipe

TABLES = ("--format", "md,csv")


def call(*arguments: str | Path) -> int:
    return run(["report", *map(str, arguments)])


def lines_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((path / "report.csv").read_text(encoding="utf-8"))))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "accuracy.toml").write_text(ACCURACY_TOML, encoding="utf-8")
    return small_results(tmp_path / "results")


def test_results_become_all_formats(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out" / "report"
    assert call(results, "-a", tmp_path / "accuracy.toml", "-o", output) == 0
    written = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    stem = "plots/maker-phone-1-8bc1-onnxruntime-1-31-1"
    plots = [f"{stem}-1-thread-224x224-{cost}" for cost in ("energy", "latency", "size")]
    plots += [f"{stem}-4-threads-224x224-{cost}" for cost in ("latency", "size")]
    expected = [f"{plot}.{suffix}" for plot in plots for suffix in ("png", "svg")]
    assert written == sorted([*expected, "report.csv", "report.html", "report.md"])
    out = capsys.readouterr().out
    assert all(str(output / name) in out for name in written)
    assert "noisy" in out


def test_rows_hold_what_was_measured_and_stated(results: Path, tmp_path: Path) -> None:
    assert call(results, "-a", tmp_path / "accuracy.toml", "-o", tmp_path, *TABLES) == 0
    rows = {(row["model"], row["threads"]): row for row in lines_of(tmp_path)}
    small = rows["edgevit-xxs", "1"]
    assert float(small["latency_ms"]) == pytest.approx(31.0, rel=0.01)
    assert float(small["efficiency_pct_per_mj"]) == pytest.approx(74.4 / 120.0)
    assert (small["accuracy_kind"], small["on_energy_front"]) == ("stated", "yes")
    assert rows["edgevit-s", "1"]["accuracy_kind"] == "measured"
    assert rows["edgevit-s", "1"]["energy_verdict"] == "unverified"
    assert rows["wrong", "1"]["on_latency_front"] == ""
    assert rows["edgevit-s", "4"]["energy_mj"] == ""
    assert rows["EdgeViT-S", ""]["origin"] == "reported"


def test_the_paper_alone_reads_no_results_and_draws_its_own_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert call("--paper", "--format", "csv,svg") == 0
    drawing = (tmp_path / "report" / "plots" / "paper-table-3-energy.svg").read_text(encoding="utf-8")
    front = "MobileNet-v3-0.75, EdgeViT-XXS, EfficientNet-B0, EdgeViT-XS, PVT-v2-B1, EdgeViT-S."
    assert f"Pareto front by rising energy: {front}" in drawing
    assert {row["origin"] for row in lines_of(tmp_path / "report")} == {"reported"}
    assert {row["table"][:13] for row in lines_of(tmp_path / "report")} == {f"paper-table-{n}" for n in "23478"}


def test_the_papers_figures_stand_beside_comparable_ones_unless_unwanted(results: Path, tmp_path: Path) -> None:
    def tables(*options: str) -> set[str]:
        assert call(results, "-a", tmp_path / "accuracy.toml", "-o", tmp_path, "--format", "csv", *options) == 0
        return {row["table"] for row in lines_of(tmp_path) if row["origin"] == "reported"}

    assert tables() == {"paper-classification"}
    assert tables("--no-paper") == set()
    assert tables("--paper") > {"paper-classification", "paper-table-4a", "paper-table-8"}


def test_json_goes_to_stdout_alone(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(results, "-a", "edgevit-s*=81", "-o", tmp_path, *TABLES, "--json", "--title", "Mine") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["title"] == "Mine"
    assert data["tables"][0]["rows"][0]["latency_ms"]["sd"] > 0


def test_without_accuracy_there_are_tables_and_a_word_on_how_to_get_plots(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(results, "-o", tmp_path, "--format", "md,svg") == 0
    assert "--accuracy NAME=PERCENT" in capsys.readouterr().err
    assert not (tmp_path / "plots").exists()
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "median ms" in text and "energy mJ" in text, "energies keep their table"


def test_unreadable_results_are_named_and_the_others_reported(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "cut.json").write_text('{"schema_version": 1, "art')
    assert call(results, "-o", tmp_path, *TABLES) == 5
    assert "cut.json" in capsys.readouterr().err
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "cut.json" in text and "truncated" in text and "edgevit-xxs" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-a", "edgevit-s-224x244=81"], "unknown artifact in --accuracy 'edgevit-s-224x244'"),
        (["-a", "edgevit-s-224x224=0.81"], "share"),
        (["-a", "edgevit-s"], "expected .toml, .json or .csv"),
        (["--format", "pdf"], "unknown report format 'pdf': choose from csv, html, md, png, svg"),
        (["--artifacts", "nowhere"], "--artifacts nowhere: no such directory"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert call(results, "-o", tmp_path / "report", *arguments) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "report").exists()


def test_no_results_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "-o", tmp_path / "report", *TABLES) == 2
    assert "report --paper" in capsys.readouterr().err
    assert call(tmp_path / "nowhere", *TABLES) == 2


def test_options_for_results_are_refused_for_the_paper_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--paper", "-a", "x=80", "-o", tmp_path / "report") == 2
    assert "--accuracy" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named_before_any_work_and_tables_need_none(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    assert call(results, "-o", tmp_path / "report") == 3
    shown = capsys.readouterr()
    assert package in shown.err and install_extra("report") in shown.err
    assert not (tmp_path / "report").exists()
    assert call(results, "-o", tmp_path / "report", *TABLES) == 0


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(results, "-o", tmp_path, *TABLES) == 0
    before = (tmp_path / "report.md").read_bytes()
    (tmp_path / "report.csv").unlink()
    (tmp_path / "report.csv").mkdir()
    assert call(results, "-o", tmp_path, "-a", "edgevit-s*=81", *TABLES) == 2
    assert "cannot write" in capsys.readouterr().err
    assert (tmp_path / "report.md").read_bytes() == before
    assert not list(tmp_path.glob("*partial*"))


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


def test_manifests_give_parameters_and_multiply_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "edgevit-xxs-224x224.onnx"
    save_run(tmp_path / "results", run_of(name, 31.0))
    (tmp_path / "artifacts").mkdir()
    manifest_of("xxs", name, seed=0).save(tmp_path / "artifacts" / f"{name}.json")
    arguments = (tmp_path / "results", "--artifacts", tmp_path / "artifacts", "-a", "edgevit-xxs*=74.4", "-o", tmp_path)
    assert call(*arguments, "--no-paper", *TABLES) == 0
    (row,) = lines_of(tmp_path)
    assert float(row["parameters_m"]) == pytest.approx(4.07, abs=0.005)
    assert float(row["multiply_adds_g"]) == pytest.approx(0.55, abs=0.01)
    assert "random weights" in capsys.readouterr().err


def test_help_of_report_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom edgevit_export.__main__ import run\ncode = run(['report', '--help'])\n"
        "print({'torch', 'matplotlib', 'numpy', 'jinja2'} & set(sys.modules), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set() 0"
    assert "--accuracy" in done.stdout


def test_without_accuracy_there_are_latency_size_operators_delegation_and_parity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("edgevit-xxs-224x224.tflite", "edgevit-xxs-224x224.onnx")
    for name, latency_ms in zip(names, (20.0, 30.0), strict=True):
        save_run(tmp_path / "results", run_of(name, latency_ms))
    (tmp_path / "artifacts").mkdir()
    manifest = msgspec.structs.replace(manifest_of("xxs", names[0], seed=0), delegation=SHARE, parity=PARITY)
    manifest = msgspec.structs.replace(manifest, operators=(Operator(name="ADD", count=397),))
    manifest.save(tmp_path / "artifacts" / f"{names[0]}.json")
    assert (
        call(tmp_path / "results", "--artifacts", tmp_path / "artifacts", "-o", tmp_path, "--format", "html,csv") == 0
    )
    shown = capsys.readouterr()
    for words in ("fastest edgevit-xxs: tflite with 1 thread", "396 of 397 in 2", "2.36 x"):
        assert words in shown.out
    assert f"no manifest of {names[1]}" in shown.err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "outside: FULLY_CONNECTED in blocks.1" in page
    rows = {row["artifact"]: row for row in lines_of(tmp_path)}
    assert (rows[names[0]]["operators"], rows[names[0]]["delegated"], rows[names[1]]["operators"]) == ("397", "396", "")


def test_the_papers_claims_are_printed_with_their_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = save_paper_results(tmp_path / "results", {"EdgeViT-XXS": 10.0, "MobileViT-XXS": 9.0, "PVT-v2-B0": 8.0})
    assert call(results, "-o", tmp_path / "report", *TABLES) == 0
    out, err = capsys.readouterr()
    assert "Table 2 on this device: Maker Phone 1 (8BC1), onnxruntime 1.31.1, 1 thread, tflite" in out
    verdicts = {line[:45].strip(): line.rpartition("  ")[2].strip() for line in out.splitlines()}
    assert verdicts["EdgeViT-XXS is faster than MobileViT-XXS"] == "does not hold"
    assert verdicts["EdgeViT-XXS is slower than PVT-v2-B0"] == "holds"
    assert verdicts["EdgeViT-XXS is as fast as MobileNet-v2"] == "not measured"
    start = out.index("Table 2 on this device")
    assert max(map(len, out[start : out.index("ResNet18", start)].splitlines()[1:])) <= 80
    assert "tflite: Uniformer-Tiny*, T2T-ViT-7, T2T-ViT-12: not in timm" in err
