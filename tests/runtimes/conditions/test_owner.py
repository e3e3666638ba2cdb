"""A process is known by all that tells it from others; what is not known to have ended is alive."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from number_space import OWN_SPACE, ROOT, needs_number_space

import runtimes.conditions.owner as owner_module
from runtimes.conditions.owner import in_words, is_dead, new_owner
from runtimes.devices.recording import stable

OWNER_OF_CHILD = "from runtimes.conditions.owner import new_owner; print(new_owner(), flush=True); input()"


def start(*prefix: str) -> tuple[subprocess.Popen[str], str]:
    """Another process of this program, and who it says that it is."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", OWNER_OF_CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def test_an_owner_is_for_people_and_for_us() -> None:
    owner = new_owner()
    assert in_words(owner) == f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()}"
    assert owner != new_owner()
    assert stable(["own", owner]) == ("own", "OWNER")


def test_a_process_is_dead_once_it_has_ended() -> None:
    process, owner = start()
    assert not is_dead(owner, [])
    end(process)
    assert is_dead(owner, [])


def test_another_process_with_its_number_is_not_it() -> None:
    process, owner = start()
    reborn = re.sub(r"-\d+-", "-1-", owner)
    assert reborn != owner
    assert is_dead(reborn, []), "that one was started one tick after the machine"
    end(process)


def test_a_session_of_this_process_is_dead_once_it_is_not_open() -> None:
    owner, other = new_owner(), new_owner()
    assert not is_dead(owner, [other, owner])
    assert is_dead(owner, [other])
    assert is_dead(re.sub(r"-\d+-", "-1-", owner), [owner]), "an earlier process with our number"


@needs_number_space
def test_process_one_of_another_container_is_not_known_to_be_dead() -> None:
    """Nor is it taken for a process of ours that happens to have that number, or to have none."""
    process, owner = start(*OWN_SPACE)
    number = re.search(r" pid (\d+) ", owner)
    assert number is not None and number[1] == "1"
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    assert not Path(f"/proc/{gone}").exists()
    assert not is_dead(owner, [])
    assert not is_dead(owner.replace(" pid 1 ", f" pid {gone} "), [])
    end(process)
    assert not is_dead(owner, []), "who cannot be looked for is not known to have ended"


@pytest.mark.parametrize(
    "owner",
    ["", "ada@rack", "ada@rack pid ", "ada@rack pid 4194303 abcdefabcdef", "ada@rack pid \u00b2 PLACE-1-abcdefabcdef",
     "ada@rack pid 4194303 00000000-1-abcdefabcdef", "ada@rack pid 4194303 PLACE-1-abc",
     "pid 4194303 PLACE-1-abcdefabcdef"],
)  # fmt: skip
def test_what_cannot_be_read_is_not_known_to_be_dead(owner: str) -> None:
    place = new_owner().rpartition(" ")[2].partition("-")[0]
    assert not is_dead(owner.replace("PLACE", place), [])
    assert is_dead(f"ada@rack pid 4194303 {place}-1-abcdefabcdef", []), "but this one can"
    assert is_dead(f"ada@rack pid 9999999999 {place}-1-abcdefabcdef", []), "no process can have that number"


def test_a_process_that_may_not_be_signalled_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    process, owner = start()

    def forbidden(pid: int, number: int) -> None:
        assert (pid, number) == (process.pid, 0)
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(owner_module.os, "kill", forbidden)
        assert not is_dead(owner, [])
        assert is_dead(re.sub(r"-\d+-", "-1-", owner), []), "but it is another one"
    end(process)


def test_without_proc_the_number_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_module, "Path", lambda *_: Path("/nonexistent"))
    process = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(owner_module.os, "getpid", lambda: process.pid)
    owner = new_owner()
    monkeypatch.undo()
    monkeypatch.setattr(owner_module, "Path", lambda *_: Path("/nonexistent"))
    assert re.search(r" [0-9a-f]{8}--[0-9a-f]{12}$", owner)
    assert not is_dead(owner, [])
    process.kill()
    process.wait(10)
    assert is_dead(owner, [])


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a number that its passwd file does not know."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(owner_module.getpass, "getuser", unknown)
    assert new_owner().startswith(f"user{os.getuid()}@")
