"""A session that is recorded, and played back without its device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.errors import ArtifactError, DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.host import HostDevice
from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice, stable


@pytest.fixture
def recorder(tmp_path: Path) -> RecordingDevice:
    return RecordingDevice(HostDevice(tmp_path / "scratch"))


def played(recorder: RecordingDevice, path: Path) -> ReplayDevice:
    recorder.recording("as asked").save(path)
    return ReplayDevice(Recording.load(path))


def test_commands_answer_as_they_did_in_their_order(recorder: RecordingDevice, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    script = ["sh", "-c", 'echo x >>"$0"; wc -l <"$0"; echo told >&2; exit 3', str(counter)]
    recorder.run(script)
    recorder.run(script)
    replay = played(recorder, tmp_path / "r.json")
    seen = [replay.run(script) for _ in range(3)]
    assert [answer.out.strip() for answer in seen] == ["1", "2", "2"]
    assert {(answer.rc, answer.err) for answer in seen} == {(3, "told\n")}
    assert counter.read_text() == "x\nx\n"


def test_what_was_never_asked_is_an_error(recorder: RecordingDevice, tmp_path: Path) -> None:
    replay = played(recorder, tmp_path / "r.json")
    with pytest.raises(DeviceError, match="has no command 'true': it is of another run"):
        replay.run(["true"])
    with pytest.raises(DeviceLostError, match="ends here"):
        replay.reconnect()


def test_a_deadline_that_passed_passes_at_once(recorder: RecordingDevice, tmp_path: Path) -> None:
    with pytest.raises(DeviceTimeoutError):
        recorder.run(["sleep", "60"], timeout_s=0.1)
    replay = played(recorder, tmp_path / "r.json")
    with pytest.raises(DeviceTimeoutError):
        replay.run(["sleep", "60"], timeout_s=60)


def test_files_come_back_and_refusals_too(recorder: RecordingDevice, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00bytes")
    recorder.push(tmp_path / "a", str(tmp_path / "there"))
    recorder.pull(str(tmp_path / "there"), tmp_path / "b")
    with pytest.raises(DeviceError) as refused:
        recorder.pull(str(tmp_path / "none"), tmp_path / "c")
    replay = played(recorder, tmp_path / "r.json")
    assert replay.push(tmp_path / "a", str(tmp_path / "there"))
    replay.pull(str(tmp_path / "there"), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"\x00bytes"
    with pytest.raises(DeviceError) as played_refusal:
        replay.pull(str(tmp_path / "none"), tmp_path / "c")
    assert played_refusal.value.message == refused.value.message


def test_earlier_recordings_are_still_read(recorder: RecordingDevice, tmp_path: Path) -> None:
    recorder.run(["echo", "kept"])
    fields = json.loads(recorder.recording().to_json())
    fields.update(is_network=True, properties={"ro.product.model": "X"}, features=["shell_v2"])
    fields["answers"][0]["merged"] = False
    transfer = {"sha256": "0" * 64, "size_bytes": 6, "skipped": False, "verified_by": "sha256"}
    fields["pushed"] = [{"remote": "/x", "transfer": transfer, "error": None}]
    fields["pulled"] = [{"remote": "/x", "data_base64": "", "transfer": transfer, "error": None}]
    (tmp_path / "old.json").write_text(json.dumps(fields))
    assert ReplayDevice(Recording.load(tmp_path / "old.json")).run(["echo", "kept"]).out == "kept\n"


def test_lock_owners_are_one_command() -> None:
    assert stable(["own", "ada@rack pid 71 0123456789ab"]) == stable(["own", "bob@desk pid 3 ba9876543210"])
    assert stable(["echo", "a pid 3"]) == ("echo", "a pid 3")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"answers": [{"words": ["a"], "rc": 0, "out_base64": "a", "err_base64": ""}]},
            r"'a' is no base64.*answers\[0\]",
        ),
        ({"answers": [{"words": ["a"], "rc": 0, "out_base64": "", "err_base64": "ä==="}]}, "is no base64"),
        ({"answers": [{"words": [], "rc": 0, "out_base64": "", "err_base64": ""}]}, "a command without a word"),
        ({"answers": [{"words": ["a"], "rc": 10**9, "out_base64": "", "err_base64": ""}]}, "rc is 1000000000"),
        ({"pulled": [{"remote": "/a", "data_base64": "YW\nI="}]}, r"is no base64.*pulled\[0\]"),
        ({"schema_version": 2}, r"of a newer version \(2\)"),
        ({"serial": "\ud800"}, "not a valid Recording"),
    ],
)
def test_a_recording_that_cannot_be_played_is_refused_when_it_is_read(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    whole = {"serial": "8BC1", "kind": "adb", "scratch": "/t", "answers": [], "pulled": [], "pushed": []}
    (tmp_path / "r.json").write_text(json.dumps(whole))
    assert Recording.load(tmp_path / "r.json").serial == "8BC1"
    (tmp_path / "r.json").write_text(json.dumps(whole | changed))
    with pytest.raises(ArtifactError, match=words) as refused:
        Recording.load(tmp_path / "r.json")
    assert str(tmp_path / "r.json") in refused.value.message
