"""The devices command: what is listed, what can run there, and what is brought back."""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path

import msgspec
import pytest
from latency_records import state as device_state
from session_child import turn
from typer.testing import CliRunner, Result

from edgevit.errors import DeviceError, UsageError
from edgevit_export.app import app
from runtimes.conditions.journal import Journal, journal_path
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.adb import server as adb_server
from runtimes.devices.host import HostDevice
from runtimes.runners.exits import standard_abi


@pytest.fixture(autouse=True)
def only_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No adb, and nothing of the user's own environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(adb_server, "find_spec", lambda _: None)


def machine() -> str:
    return standard_abi(platform.machine())


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["devices", *words])


def test_this_host_is_listed_with_its_state_and_fitness() -> None:
    result = invoke("--json")
    (entry,) = json.loads(result.stdout)["devices"]
    assert (entry["serial"], entry["state"]["kind"]) == ("host", "host")
    assert isinstance(entry["fitness"]["fit"], bool)
    assert "adbutils" in result.stderr


def test_the_table_names_the_reasons() -> None:
    result = invoke("--max-temp", "40")
    assert result.exit_code == 0
    assert "fit" in result.stdout.splitlines()[0].split() and "host: " in result.stdout


def test_runners_are_surveyed() -> None:
    (setup,) = json.loads(invoke("--device", "host", "--setup", "--json").stdout)["devices"]
    usable = {(option["format"], option["runner"]): option["usable"] for option in setup["options"]}
    assert usable["onnx", "python"] is True
    assert usable["onnx", "onnxruntime_perf_test"] is False
    assert all(option["how"] for option in setup["options"])
    assert setup["auto"] == dict.fromkeys(["ptl", "onnx", "tflite", "pte"], "python")


def test_setup_is_short_where_everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes its own search (the vendors' tools) is told to those who look for it."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = invoke("--device", "host", "--setup").stdout.splitlines()
    assert lines[0] == f"host ({machine()}): --runner auto takes python for ptl, onnx, tflite, pte"
    rows = [line.split()[:2] for line in lines if "ptl, onnx, tflite, pte" in line][1:]
    assert rows == [["python", "host"], ["native", "host"]], "a row for all formats of a runner"
    assert len(lines) <= 15 and not any("perf_test" in line for line in lines)
    assert sum("bench FILE --runner tool says how to get one" in line for line in lines) == 1


def test_tools_are_told_where_they_are_looked_for(tmp_path: Path) -> None:
    told = invoke("--device", "host", "--setup", "--tools-dir", str(tmp_path)).stdout
    assert f"no {tmp_path / machine() / 'onnxruntime_perf_test'}" in told
    assert f"onnxruntime_perf_test for onnx on {machine()}: build it from" in told


def test_what_nothing_runs_is_told_with_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone: no Python; the native runner can be brought for all but ptl, which the tool alone runs."""
    phone = msgspec.structs.replace(device_state(), abi="arm64-v8a", android_version="14")
    monkeypatch.setattr("runtimes.conditions.state.read_state", lambda _: phone)
    told = invoke("--device", "host", "--setup", "--python", "/no/python3").stdout
    lines = told.splitlines()
    assert lines[0] == "host (arm64-v8a): --runner auto takes nothing for ptl, onnx, tflite, pte"
    command = lines[lines.index("to have the native runner for arm64-v8a:") + 1]
    assert command.count("--from FILE.aar && ") == 3 and command.endswith("build --abi arm64-v8a --ndk DIR")
    assert "speed_benchmark_torch for ptl on arm64-v8a: build it from" in told
    assert not any(name in told for name in ("perf_test", "benchmark_model", "executor_runner"))


def test_packages_of_a_python_are_one_command(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho \'{"version": [3, 12, 1], "modules": ["numpy", "onnxruntime"]}\'\n')
    python.chmod(0o755)
    lines = invoke("--device", "host", "--setup", "--python", str(python)).stdout.splitlines()
    assert lines[0].endswith("takes nothing for ptl, tflite, pte; python for onnx")
    command = lines[lines.index("to have all packages for host's python, there:") + 1]
    assert command == f"  {python} -m pip install torch ai-edge-litert executorch"


def test_one_line_of_commands_brings_the_native_runner() -> None:
    (setup,) = json.loads(invoke("--device", "host", "--setup", "--json").stdout)["devices"]
    result = invoke("--device", "host", "--setup")
    fetch, _, build = setup["native_setup"].partition(" && ")
    assert fetch.startswith("edgevit-export runner fetch --abi ") and build.startswith(
        "edgevit-export runner build --abi "
    )
    assert result.stdout.count("edgevit-export runner ") == 2
    assert f"  {setup['native_setup']}" in result.stdout.splitlines()
    assert "native-glibc" not in result.stdout, "it is experimental, and nothing that could be used"


def test_a_device_that_is_not_there_names_those_that_are() -> None:
    error = invoke("--device", "nobody").exception
    assert isinstance(error, DeviceError)
    assert error.message == "not attached: nobody; there are: host"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--python", "py", "--tools-dir", "."), "--tools-dir, --python without --setup", "add --setup"),
        (("--setup", "--max-temp", "40"), "--max-temp with --setup", "leave out --max-temp"),
        (("--restore", "--setup", "--python", "py"), "--setup, --python with --restore", "leave out --setup, --python"),
        (("--restore", "--max-temp", "0"), "--max-temp with --restore", "leave out --max-temp"),
    ],
)
def test_options_without_an_effect_are_refused(words: tuple[str, ...], message: str, hint: str) -> None:
    error = invoke("--device", "host", *words).exception
    assert isinstance(error, UsageError), error
    assert (error.message, error.hint) == (f"{message}: no effect", hint)


def test_what_a_run_left_is_brought_back(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("old")
    device = HostDevice()
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(turn(device, knob))
    result = invoke("--restore", "--device", "host")
    assert (result.exit_code, result.stdout) == (0, "host: knob\n")
    assert "knob is 'old' again" in result.stderr
    assert knob.read_text() == "old"
    assert json.loads(invoke("--restore", "--json").stdout)["devices"][0]["undone"] == []


def test_what_a_killed_run_left_is_listed_until_it_is_brought_back(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("old")
    device = HostDevice()
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(turn(device, knob))
    gone = journal_path("8BC1")
    gone.write_bytes(journal.path.read_bytes().replace(b'"serial":"host"', b'"serial":"8BC1"'))
    journal_path("odd").write_text("no journal\n")
    result = invoke()
    assert result.exit_code == 0
    for serial in ("8BC1", "host"):
        said = f"{serial}: an interrupted run left changed: knob (hint: edgevit-export devices --restore)\n"
        assert said in result.stderr
    assert "odd: a run was interrupted: " in result.stderr
    (entry,) = json.loads(invoke("--json").stdout)["devices"]
    assert entry["left_changed"] == "an interrupted run left changed: knob"
    assert "8BC1" not in invoke("--device", "host").stderr
    invoke("--restore", "--device", "host")
    (entry,) = json.loads(invoke("--json").stdout)["devices"]
    assert entry["left_changed"] is None


def test_a_run_that_goes_on_has_left_nothing(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("old")
    device = HostDevice()
    with DeviceSession(device) as session:
        session.make(turn(device, knob))
        result = invoke("--json")
        assert json.loads(result.stdout)["devices"][0]["left_changed"] is None
        assert "--restore" not in result.stderr


def test_what_cannot_be_brought_back_fails_with_the_next_step() -> None:
    path = journal_path("host")
    path.parent.mkdir(parents=True)
    path.write_text('{"head":{"serial":"host","identity":"other","adb_server":null,"scratch_dir":"/tmp"}}\n')
    result = invoke("--restore", "--device", "host")
    assert result.exit_code == 4
    assert "host: failed: the journal of host was written on another device" in result.stdout
    assert "attach that device" in result.stderr
