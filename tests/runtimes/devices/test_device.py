"""What every device must do alike, commands and files: this host, and the real adbd behind the real adb server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from adbd_rig import names

from edgevit.errors import DeviceError, DeviceTimeoutError
from runtimes.devices.device import Device, in_context, named, quote

AWKWARD = ["a b", "$HOME", "'single'", '"double"', "`id`", "*", "back\\slash", "é→", "-n", "", "tab\there", "a;b&c|d>e"]


def test_arguments_arrive_as_they_are(device: Device) -> None:
    result = device.run(["printf", "<%s>\\n", *AWKWARD])
    assert result.out.splitlines() == [f"<{word}>" for word in AWKWARD]


@pytest.mark.parametrize(
    ("argv", "rc"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["no-such-program"], 127),
        (["sh", "-c", "kill -9 $$"], 137),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_codes_are_a_shells(device: Device, argv: list[str], rc: int) -> None:
    assert device.run(argv).rc == rc


def test_output_and_errors_are_apart(device: Device) -> None:
    result = device.run(["sh", "-c", "echo out; echo err >&2"])
    assert (result.out, result.err) == ("out\n", "err\n")


def test_large_output_is_whole(device: Device) -> None:
    result = device.run(["sh", "-c", "seq 1 200000"])
    assert result.out.splitlines()[-1] == "200000"
    assert len(result.out.splitlines()) == 200000


def test_directory_and_environment(device: Device, remote: Path) -> None:
    argv = in_context(["sh", "-c", 'pwd; echo "$WORD"'], cwd=str(remote), env={"WORD": "a $b 'c'"})
    assert device.run(argv).out.splitlines() == [str(remote), "a $b 'c'"]


def test_a_command_that_hangs_is_named_whatever_is_around_it(device: Device, remote: Path) -> None:
    argv = in_context(["sleep", "5"], cwd=str(remote), env={"A": "b"})
    for command in (argv, ["sh", "-c", 'exec "$@"', named(argv), *argv]):
        with pytest.raises(DeviceTimeoutError, match=f"^'sleep' on {device.serial} did not end within 0.4 s"):
            device.run(command, 0.4)
    with pytest.raises(DeviceTimeoutError, match=r"^'sha256sum' on "):
        device.script("sleep 5", timeout_s=0.4, name="sha256sum")


def test_commands_have_names() -> None:
    names = [["true"], ["sh", "-c", "true"], ["sh", "-c", "$0", "tool", "x"], ["sh", "tool", "a", "b"]]
    assert [named(argv) for argv in names] == ["true", "sh", "tool", "sh"]


def test_quote_refuses_nothing_to_run() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        quote([])


def test_a_file_goes_there_and_back(device: Device, remote: Path, tmp_path: Path) -> None:
    local = tmp_path / "mödel $x's.bin"
    local.write_bytes(os.urandom(300_001))
    target = str(remote / "new dir" / "ü, 'n$e\" w.bin")
    seen: list[tuple[int, int]] = []
    assert device.push(local, target, progress=lambda _, done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ((0, 300_001), (300_001, 300_001))
    assert names(remote / "new dir") == [Path(target).name]
    device.pull(target, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_an_empty_file_too(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    device.push(tmp_path / "empty", str(remote / "empty"))
    assert (remote / "empty").read_bytes() == b""
    device.pull(str(remote / "empty"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_the_same_bytes_are_not_sent_twice(device: Device, remote: Path, tmp_path: Path) -> None:
    local, target = tmp_path / "a", remote / "a"
    local.write_bytes(b"x" * 1000)
    assert device.push(local, str(target))
    before = target.stat().st_mtime_ns, target.stat().st_ino
    assert not device.push(local, str(target), mode=0o755, progress=lambda *told: pytest.fail(f"told {told}"))
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == before
    assert target.stat().st_mode & 0o777 == 0o755


def test_other_bytes_of_the_same_size_are_sent(device: Device, remote: Path, tmp_path: Path) -> None:
    (remote / "a").write_bytes(b"y" * 1000)
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert device.push(tmp_path / "a", str(remote / "a"))
    assert (remote / "a").read_bytes() == b"x" * 1000


def test_a_leftover_part_is_never_trusted(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (remote / "a.part").write_bytes(b"z" * 2000)
    device.push(tmp_path / "a", str(remote / "a"))
    assert (remote / "a").read_bytes() == b"x" * 1000


def test_a_program_can_be_pushed_and_run(device: Device, tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text('#!/bin/sh\necho "ran with $1"\n')
    target = f"{device.scratch_dir()}/tool"
    device.push(program, target, mode=0o755)
    assert device.run([target, "a b"]).out == "ran with a b\n"


def test_a_directory_is_not_overwritten(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (remote / "dir").mkdir()
    with pytest.raises(DeviceError):
        device.push(tmp_path / "a", str(remote / "dir"))
    assert names(remote) == ["dir"]


def test_a_path_that_cannot_be_written(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(DeviceError, match="/proc/no/such"):
        device.push(tmp_path / "a", "/proc/no/such/file")


@pytest.mark.parametrize(("name", "reason"), [("missing", "not|exist"), ("dir", "is a directory")])
def test_a_failed_pull_keeps_the_good_file(
    device: Device, remote: Path, tmp_path: Path, name: str, reason: str
) -> None:
    (remote / "dir").mkdir()
    (tmp_path / "good").write_text("good")
    with pytest.raises(DeviceError, match=reason):
        device.pull(str(remote / name), tmp_path / "good")
    assert (tmp_path / "good").read_text() == "good"
    assert not list(tmp_path.glob(".good*"))
