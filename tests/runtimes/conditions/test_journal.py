"""Changes are written down first, undone in reverse, and each undo is read back."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from adbd_rig import Adbd
from session_child import WRITE, turn

import runtimes.conditions.journal as journal_module
from edgevit.errors import ArtifactError, DeviceError, DeviceLostError, DeviceTimeoutError, RestoreError
from runtimes.conditions.journal import Change, Journal, journal_path, leftover_journals, read_journal, restore
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import CommandResult, Device
from runtimes.devices.host import HostDevice

pytestmark = pytest.mark.usefixtures("state_dir")


def test_changes_are_undone_newest_first(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "one"))
        session.make(msgspec.structs.replace(turn(device, knob, "two"), key="second"))
    assert knob.read_text() == "old value"


def test_the_journal_is_written_before_the_change(device: Device, knob: Path) -> None:
    seen: list[str] = []
    run = device.run

    def spy(argv: list[str], timeout_s: float = 30.0) -> object:
        if argv[:3] == ["sh", "-c", WRITE] or tuple(argv[:3]) == ("sh", "-c", WRITE):
            seen.append(f"{len(read_journal(journal_path(device.serial))[1])} journalled, {knob.read_text()}")
        return run(argv, timeout_s)

    with DeviceSession(device) as session:
        change = turn(device, knob)
        device.run = spy  # type: ignore[method-assign,assignment]
        session.make(change)
        script = Path(device.scratch_dir()) / "session" / "restore.sh"
        assert str(knob).replace("'", "'\"'\"'") in script.read_text()
    assert seen[0] == "1 journalled, old value"


def test_a_change_that_is_not_taken(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), apply=("true",))
    with DeviceSession(device) as session, pytest.raises(DeviceError, match=r"did not take .* still reads 'old value'"):
        session.make(change)
    assert not journal_path(device.serial).exists()


def test_an_undo_that_fails_is_told_and_kept(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), undo=("true",))
    reason = r"reads 'new', and was 'old value' \(by hand: true\)"
    with pytest.raises(RestoreError, match=reason) as caught, DeviceSession(device) as session:
        session.make(change)
    assert caught.value.hint == "edgevit-export devices --restore"
    assert [each.key for each in read_journal(journal_path(device.serial))[1]] == [knob.name]
    assert [path for path, _ in leftover_journals()] == [journal_path(device.serial)]


def test_another_device_at_the_same_address_is_left_alone(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    (adbd.data / "getprop").write_text("[ro.serialno]: [FIRST]\n")
    journal = Journal(adb_device, restore_script=None)
    journal.open()
    journal.make(turn(adb_device, knob))
    (adbd.data / "getprop").write_text("[ro.serialno]: [SECOND]\n")
    with pytest.raises(RestoreError, match=r"another device \('FIRST', not 'SECOND'\)"):
        restore(adb_device)
    assert knob.read_text() == "new"


def test_a_journal_that_a_crash_cut_short(device: Device, knob: Path) -> None:
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(turn(device, knob))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"head":null,"change":{"key":"half')
    told: list[str] = []
    restore(device, told.append)
    assert told == [f"{knob.name} is 'old value' again"]
    assert knob.read_text() == "old value"
    journal.path.write_bytes(b'{"head":{"ser')
    restore(device)
    assert not journal.path.exists()


def test_a_file_that_is_no_journal(device: Device) -> None:
    path = journal_path(device.serial)
    path.parent.mkdir(parents=True)
    path.write_text('{"what": 1}\n')
    with pytest.raises(ArtifactError, match="line 1 is not a valid line of a journal of changes: "):
        restore(device)
    assert path.exists()


def test_a_change_without_a_command_is_none(tmp_path: Path) -> None:
    for changed in ({"apply": ()}, {"undo": ()}):
        with pytest.raises(ArtifactError, match="a change of 'x' without a command"):
            Change(**{"key": "x", "apply": ("true",), "undo": ("true",), **changed})  # type: ignore[arg-type]
    path = tmp_path / "x.jsonl"
    path.write_text('{"change": {"key": "x", "apply": ["true"], "undo": []}}\n')
    with pytest.raises(ArtifactError, match="without a command"):
        read_journal(path)


def test_the_script_on_the_device_undoes_without_us(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "it's $new"))
        device.run(["sh", f"{device.scratch_dir()}/session/restore.sh"])
        assert knob.read_text() == "old value"


class Host(HostDevice):
    """This host, which keeps the commands that it ran, and on which some are answered otherwise."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "scratch")
        self.ran: list[tuple[str, ...]] = []
        self.instead: dict[tuple[str, ...], Callable[[], CommandResult]] = {}

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        self.ran.append(tuple(argv))
        answer = self.instead.get(tuple(argv))
        return answer() if answer is not None else super().run(argv, timeout_s)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def journal(host: Host) -> Journal:
    opened = Journal(host, restore_script=None)
    opened.open()
    return opened


def raising(error: DeviceError) -> Callable[[], CommandResult]:
    def answer() -> CommandResult:
        raise error

    return answer


def still_changed(journal: Journal) -> list[str]:
    return [change.key for change in read_journal(journal.path)[1]]


def unchecked(apply: str, undo: str = "true") -> Change:
    return Change(key="the mode", apply=("sh", "-c", apply), undo=("sh", "-c", undo))


@pytest.mark.parametrize(
    ("apply", "complaint"),
    [("exit 3", "exit code 3"), ("echo no such mode >&2; exit 1", "no such mode"), ("echo Failed", "Failed")],
)
def test_without_a_check_the_command_itself_must_succeed(
    host: Host, journal: Journal, apply: str, complaint: str
) -> None:
    change = unchecked(apply)
    with pytest.raises(DeviceError, match=f"host did not take the change of the mode: .*{complaint}"):
        journal.make(change)
    assert still_changed(journal) == []
    assert change.undo not in host.ran, "nothing was changed"


def test_without_a_check_success_is_taken_and_undone(host: Host, journal: Journal, knob: Path) -> None:
    told: list[str] = []
    journal.make(unchecked("echo done", f'echo back >"{str(knob).replace("$", chr(92) + "$")}"'))
    assert still_changed(journal) == ["the mode"]
    journal.undo_all(told.append)
    assert (told, knob.read_text(), still_changed(journal)) == (["the mode is undone"], "back\n", [])


def test_without_a_check_an_undo_that_fails_is_kept(journal: Journal) -> None:
    journal.make(unchecked("true", "echo denied >&2; exit 1"))
    with pytest.raises(RestoreError, match=r"the mode: denied \(by hand: sh -c 'echo denied >&2; exit 1'\)"):
        journal.undo_all()
    assert still_changed(journal) == ["the mode"]


def test_with_a_check_a_command_that_fails_half_way_is_brought_back(host: Host, journal: Journal, knob: Path) -> None:
    change = turn(host, knob)
    half = msgspec.structs.replace(change, apply=("sh", "-c", 'echo half >"$1"; exit 1', "sh", str(knob)))
    with pytest.raises(DeviceError, match="did not take the change"):
        journal.make(half)
    assert (knob.read_text(), still_changed(journal)) == ("old value", [])


def test_with_a_check_failed_is_a_word_like_others(host: Host, journal: Journal, knob: Path) -> None:
    change = turn(host, knob)
    journal.make(msgspec.structs.replace(change, apply=("sh", "-c", 'echo Failed; printf new >"$1"', "sh", str(knob))))
    assert knob.read_text() == "new"


def test_a_refused_change_that_cannot_be_brought_back_is_kept(
    host: Host, journal: Journal, knob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SETTLE_TRIES", 1)
    change = msgspec.structs.replace(turn(host, knob), apply=("sh", "-c", 'echo half >"$1"', "sh", str(knob)))
    with pytest.raises(DeviceError, match="it still reads 'half'"):
        journal.make(msgspec.structs.replace(change, undo=("true",)))
    assert still_changed(journal) == [knob.name]
    with pytest.raises(RestoreError, match="it reads 'half', and was 'old value'"):
        journal.undo_all()


def test_any_value_will_do_where_none_is_asked_for(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(msgspec.structs.replace(turn(host, knob, "whatever"), new=None))
    journal.undo_all()
    assert knob.read_text() == "old value"


def test_a_value_may_take_a_moment(host: Host, journal: Journal, knob: Path) -> None:
    late = '(sleep 0.7; printf new >"$1") >/dev/null 2>&1 &'
    journal.make(msgspec.structs.replace(turn(host, knob), apply=("sh", "-c", late, "sh", str(knob))))
    assert knob.read_text() == "new"


def test_nothing_is_changed_without_the_script_that_undoes_it(host: Host, knob: Path, tmp_path: Path) -> None:
    script = tmp_path / "no such directory" / "restore.sh"
    journal = Journal(host, restore_script=str(script))
    journal.open()
    with pytest.raises(DeviceError, match=f"cannot write {script} on host: .*(directory|nonexistent)"):
        journal.make(turn(host, knob))
    assert knob.read_text() == "old value"


def test_the_script_undoes_newest_first_and_only_what_is_left(host: Host, knob: Path, tmp_path: Path) -> None:
    script = tmp_path / "restore.sh"
    journal = Journal(host, restore_script=str(script))
    journal.open()
    journal.make(turn(host, knob, "one"))
    journal.make(msgspec.structs.replace(turn(host, knob, "two"), key="second"))
    assert script.read_text().index("one") < script.read_text().index("'old value'")
    refused = msgspec.structs.replace(unchecked("false", "echo never"), key="third")
    with pytest.raises(DeviceError, match="third"):
        journal.make(refused)
    journal.make(msgspec.structs.replace(unchecked("true", "echo fourth"), key="fourth"))
    assert "never" not in script.read_text()


def test_a_line_is_on_the_disk_before_what_it_says_happens(
    host: Host, journal: Journal, knob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(journal.path.read_bytes()))
    seen: list[list[bytes]] = []
    change = turn(host, knob)
    host.instead[change.apply] = lambda: (seen.append(synced.copy()), CommandResult(rc=0, out="", err=""))[1]
    journal.make(msgspec.structs.replace(change, new=None))
    assert seen == [[journal.path.read_bytes()]]
    assert seen[0][0].count(b"\n") == 2


def test_a_new_journal_takes_the_place_of_an_old_one(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(turn(host, knob))
    Journal(host, restore_script=None).open()
    assert read_journal(journal.path)[1] == ()
    assert journal.path.read_bytes().count(b"\n") == 1


def test_a_second_loss_behind_a_cut_line_leaves_a_journal_that_can_be_read(
    host: Host, journal: Journal, knob: Path
) -> None:
    first = turn(host, knob, "one")
    journal.make(first)
    journal.make(msgspec.structs.replace(turn(host, knob, "two"), key="second"))
    with journal.path.open("ab") as file:
        file.write(b'{"head":null,"change":{"key":"half')
    host.instead[first.undo] = raising(DeviceLostError("host is gone"))
    with pytest.raises(
        DeviceLostError, match=f"host is gone; still changed on it: .*{knob.name[-4:]}; its journal is kept"
    ) as caught:
        restore(host)
    assert caught.value.hint == "edgevit-export devices --restore"
    assert (still_changed(journal), knob.read_text()) == ([knob.name], "one")
    host.instead.clear()
    restore(host)
    assert (journal.path.exists(), knob.read_text()) == (False, "old value")


def test_an_undo_that_hangs_does_not_keep_the_others(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(turn(host, knob))
    hanging = unchecked("true", "sleep 99")
    journal.make(hanging)
    host.instead[hanging.undo] = raising(DeviceTimeoutError("'sh' on host did not end in 10 s"))
    with pytest.raises(DeviceTimeoutError, match=r"the mode: 'sh' on host did not end in 10 s \(by hand: sh"):
        journal.undo_all()
    assert (knob.read_text(), still_changed(journal)) == ("old value", ["the mode"])
    with pytest.raises(DeviceTimeoutError, match="its journal is kept"):
        restore(host)


def test_undoing_is_not_waited_for_longer_than_ten_seconds(journal: Journal, knob: Path, host: Host) -> None:
    waited: list[float] = []
    change = turn(host, knob)
    journal.make(change)
    run = host.run
    host.run = lambda argv, timeout_s=30.0: (waited.append(timeout_s), run(argv, timeout_s))[1]  # type: ignore[method-assign]
    journal.undo_all()
    assert waited == [10.0, 10.0]


def test_a_change_is_forgotten_once_it_is_undone(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(turn(host, knob))
    journal.undo_all()
    knob.write_text("the user's own")
    journal.undo_all()
    assert knob.read_text() == "the user's own"


def test_a_journal_of_another_device_is_kept(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(turn(host, knob))
    head, _ = read_journal(journal.path)
    text = journal.path.read_text().replace(f'"identity":"{head.identity}"', '"identity":"another"')
    journal.path.write_text(text)
    with pytest.raises(RestoreError, match=f"on another device \\('another', not '{head.identity}'\\)"):
        restore(host)
    assert (journal.path.exists(), knob.read_text()) == (True, "new")


def test_a_journal_needs_its_head(host: Host, journal: Journal, knob: Path) -> None:
    journal.make(turn(host, knob))
    _, *lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines))
    with pytest.raises(ArtifactError, match="not a journal of changes: it has no head"):
        restore(host)


def test_where_journals_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert journal_path("192.168.0.5:5555") == tmp_path / "state/edgevit-export/journal/192.168.0.5_5555.jsonl"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unset in ("", None):
        monkeypatch.setenv("XDG_STATE_HOME", unset) if unset is not None else monkeypatch.delenv("XDG_STATE_HOME")
        assert journal_path("8BC1") == tmp_path / "home/.local/state/edgevit-export/journal/8BC1.jsonl"


def test_the_head_says_whose_changes_these_are(host: Host, journal: Journal) -> None:
    head, _ = read_journal(journal.path)
    assert (head.serial, head.scratch_dir, head.adb_server) == ("host", host.scratch_dir(), None)
    machine = Path("/etc/machine-id")
    assert head.identity == (machine.read_text().strip() if machine.exists() else "")
    assert leftover_journals() == ((journal.path, head),)
    journal.close()
    journal.close()
    assert leftover_journals() == ()


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file can grow beyond this size: the system itself cuts what is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 20])
def test_nothing_is_changed_that_cannot_be_written_down(host: Host, journal: Journal, knob: Path, room: int) -> None:
    journal.make(turn(host, knob, "one"))
    whole = journal.path.read_bytes()
    change = msgspec.structs.replace(turn(host, knob, "two"), key="second")
    with room_for(len(whole) + room), pytest.raises(DeviceError, match=f"cannot write {journal.path}, .*: ") as caught:
        journal.make(change)
    assert caught.value.hint is not None and "free some space" in caught.value.hint
    assert (knob.read_text(), journal.path.read_bytes()) == ("one", whole)
    journal.undo_all()
    journal.close()
    assert knob.read_text() == "old value"
