"""What every command prints on terminals of 60 to 120 columns, and piped: no line wider, no number or name broken."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from latency_records import device_run, normal_rounds, state
from paper_records import save_paper_results
from report_records import ACCURACY_TOML, small_results
from rich.cells import cell_len
from verify_reports import FAILED, MISSING, PASSED

from edgevit.errors import UsageError
from edgevit.spec import TensorSpec
from edgevit_export import layout
from edgevit_export.__main__ import run
from edgevit_export.commands import bench, devices, doctor, energy, export, inspect
from edgevit_export.workflows.export import ExportReport, FormatOutcome
from export.artifact import Delegation, Operator, ParityResult, PassLog, Piece
from export.recipe import Format, Recipe
from runtimes.devices.attached import AttachedDevice
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.runners.native.listing import ListedRunner
from runtimes.runners.native.survey import AbiSurvey, NativeSurvey
from validation.energy.analysis import analyze_energy

LONG = "edgevit-xs-224x224-nhwc-opset18-bytecode7.onnx"
WIDE = "模型の名前-224x224.tflite"
WHY = f"the largest error is 12345678901234 where 7.07e-06 is allowed, in {LONG}: " + "so say the words here, " * 9
DIGITS = 12345678901234.0


def verify() -> None:
    reports = [
        msgspec.structs.replace(PASSED, file=LONG), msgspec.structs.replace(FAILED, file=WIDE),
        msgspec.structs.replace(MISSING, file="s.pte", format=Format.PTE),
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgevit_export.workflows.verify.verify", lambda *_, **__: reports)
        assert run(["verify"]) == 1


def bench_runs() -> None:
    runs = [
        device_run(normal_rounds(ms, seed=1), name=name, threads=threads)
        for name, ms, threads in ((LONG, 31.0, 1), (WIDE, DIGITS / 1e6, 1), (LONG, 21.0, 4))
    ]
    bench.print_runs(runs, bench.BenchOptions(artifacts=[]))
    bench.print_runs(runs[:1], bench.BenchOptions(artifacts=[]))


def models() -> None:
    assert run(["models"]) == 0


def inspected() -> None:
    tensor = TensorSpec(name="a_tensor/with/joints.and.a.name." * 4, shape=(-1, 3, 12345678, 12345678))
    found = inspect.Inspection(
        format=Format.TFLITE, inputs=(tensor,), outputs=(tensor,), requires="TFLite >= 2.9.0",
        operators=(Operator(name="FULLY_CONNECTED", count=12345678901234, version=5, since="2.0.0", why_not=WHY),),
        metadata={"spec": '{"name":"' + "long," * 90 + '","shape":[1,3,224,224]}'}, manifest="m", optimised="full: 1/1",
        passes=(PassLog(name="fold_batch_norm", rewrites=12345678901234, detail=WHY),),
        parity=ParityResult(
            passed=True, runtime="litert 2.3", inputs_compared=18, max_abs_error=7e-6, mean_abs_error=1e-7,
            yardstick=1e-6, multiple=1.7, sqnr_db=126.0, cosine=1.0,
        ),
        delegation=Delegation(
            delegate="XNNPACK", delegated=396, total=397, partitions=2, left=(WHY,),
            pieces=(
                Piece(delegated=True, operators=396),
                Piece(delegated=False, operators=1, names=("FULLY_CONNECTED",), modules=("blocks1.0.attn",) * 5),
            ),
        ),
        shortfalls=(WHY,),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "read_facts", lambda _: found)
        patch.setattr(inspect, "_inspection", lambda *_: found)
        inspect.inspect(inspect.InspectOptions(file=Path(__file__)))


def listed_devices() -> None:
    serials = ("adb-1234567890ABCDEF-AbCdEf._adb-tls-connect._tcp", "端末", "8BC1")
    attached = [
        AttachedDevice(serial=serial, kind="adb", state="unauthorized", model="A Phone of 2026", hint=WHY)
        for serial in serials
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_selected", lambda _: attached)
        devices.devices(devices.DevicesOptions())
    hot = msgspec.structs.replace(state(thermal_status=4), soc="A maker's SoC", serial=serials[0])
    from validation.latency.fitness import fitness

    rows = [devices._row(hot, fitness(hot, max_temp_c=30.0))] * 2
    devices.print_table(devices._COLUMNS, rows)


def setup() -> None:
    assert run(["devices", "--setup", "--device", "host"]) == 0


def compare() -> None:
    for name, ms in (("a.json", 10.0), ("b.json", 11.0)):
        device_run(normal_rounds(ms, seed=1), name=LONG).save(Path(name))
    assert run(["compare", "a.json", "b.json"]) == 0


def analyze() -> None:
    made = simulate(scenario_named("short"), 4)
    energy.print_report(analyze_energy(made.trace, stamps=made.stamps), verbose=True)
    energy.print_report(analyze_energy(made.trace, runs=50), verbose=True)


def meters() -> None:
    assert run(["energy", "meters"]) == 0
    assert run(["energy", "simulate", "--list"]) == 0


def report() -> None:
    small_results(Path("results"))
    Path("a.toml").write_text(ACCURACY_TOML)
    assert run(["report", "-a", "a.toml", "-f", "md"]) == 0


def claims() -> None:
    save_paper_results(Path("paper"), {"EdgeViT-XXS": 10.0, "MobileNet-v3-0.75": DIGITS / 1e12, "PVT-v2-B0": 12.0})
    assert run(["report", "paper", "-f", "md"]) == 0


def diagnosis() -> None:
    stored = ListedRunner(
        kind="library", abi="x86_64", name="onnxruntime", version="1.31.1", problem="its record says otherwise"
    )
    found = doctor.Diagnosis(
        python="3.11.7", platform="Linux 6.18 x86_64", packages={"ai-edge-litert": "2.3.0", LONG: "1"},
        abilities=(doctor.Ability(what="export onnx", able=False, reason=WHY, install="pip install x"),) * 2,
        native_runners=NativeSurvey(home=f"/a/cache/{LONG}", abis=(AbiSurvey(abi="x86_64", stored=(stored,) * 4),) * 2),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "diagnose", lambda _: found)
        assert run(["doctor"]) == 0


def exported() -> None:
    from test_export import WIDEST, build_spec

    failed = FormatOutcome(recipe=Recipe(format=Format.PTE), verdict="error", exit_code=5, seconds=2, reasons=(WHY,))
    export.print_report(
        ExportReport(spec=build_spec(), directory="artifacts", outcomes=(WIDEST, failed)), export.ExportOptions()
    )


def errors() -> None:
    from edgevit_export.console import print_error

    print_error(UsageError(WHY))


COMMANDS = (
    verify, bench_runs, models, inspected, listed_devices, setup, compare, analyze, meters, report, claims, diagnosis,
    exported, errors,
)  # fmt: skip


COPIED = re.compile("  edgevit-export [^&]+( &&)?$")
"""A command to be copied, which is never broken but behind its end."""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[str, str, list[layout.Table]]]:
    """What a command prints to stdout and stderr, and the tables that it wanted to show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "commands"))
    tables: list[layout.Table] = []
    lay_out = layout.lay_out

    def recorded(table: layout.Table, width: int, *, fold: bool = True) -> list[layout.Line]:
        tables.append(table)
        return lay_out(table, width, fold=fold)

    def call(command: Callable[[], None], columns: int | None) -> tuple[str, str, list[layout.Table]]:
        monkeypatch.setattr(layout, "lay_out", recorded)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns or 40))
        out, err = (Terminal(is_terminal=columns is not None) for _ in range(2))
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        command()
        return plain(out.getvalue()), plain(err.getvalue()), tables

    return call


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
@pytest.mark.parametrize("columns", [60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_or_name_is_broken(
    command: Callable[[], None], columns: int, printed: Callable[..., tuple[str, str, list[layout.Table]]]
) -> None:
    out, err, tables = printed(command, columns)
    assert out + err
    for line in (out + err).replace("\r", "\n").split("\n"):
        assert cell_len(line) <= columns or COPIED.match(line), line
    assert_whole(out, tables, columns)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_piped_tables_are_no_wider_than_120_and_their_words_whole(
    command: Callable[[], None], printed: Callable[..., tuple[str, str, list[layout.Table]]]
) -> None:
    out, _, tables = printed(command, None)
    assert "\x1b" not in out
    for line in out.split("\n"):
        assert cell_len(line) <= 120 or " " not in line.strip() or line.startswith("  edgevit-export "), line
    assert_whole(out, tables, None)


def assert_whole(out: str, tables: list[layout.Table], columns: int | None) -> None:
    """Every number stands on one line, and every word that is not wider than the terminal."""
    lines = out.split("\n")
    letters = "".join("".join(lines).split())
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                for word in [cell] if column in table.right else cell.split(" "):
                    found = any(word in line for line in lines)
                    assert found or (columns and cell_len(word) > columns - 4 and word in letters), word
