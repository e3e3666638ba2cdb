"""The devices command: what is listed, what can run there, and what is brought back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from session_child import turn
from typer.testing import CliRunner, Result

from edgevit.errors import DeviceError
from edgevit_export.app import app
from runtimes.conditions.journal import Journal, journal_path
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.adb import server as adb_server
from runtimes.devices.host import HostDevice


@pytest.fixture(autouse=True)
def only_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No adb, and nothing of the user's own environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(adb_server, "find_spec", lambda _: None)


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
    result = invoke("--device", "host", "--setup")
    assert "onnxruntime_perf_test" in result.stdout
    assert "no --tools-dir was given" in result.stdout
    assert "onnxruntime_perf_test for onnx: " in result.stderr


def test_one_line_of_commands_brings_the_native_runner() -> None:
    (setup,) = json.loads(invoke("--device", "host", "--setup", "--json").stdout)["devices"]
    result = invoke("--device", "host", "--setup")
    fetch, _, build = setup["native_setup"].partition(" && ")
    assert fetch.startswith("edgevit-export runner fetch --abi ") and build.startswith(
        "edgevit-export runner build --abi "
    )
    assert result.stderr.count("edgevit-export runner ") == 2 and setup["native_setup"] in result.stderr
    assert "native-glibc" not in result.stdout, "it is experimental, and nothing that could be used"


def test_a_device_that_is_not_there_names_those_that_are() -> None:
    error = invoke("--device", "nobody").exception
    assert isinstance(error, DeviceError)
    assert error.message == "not attached: nobody; there are: host"


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
