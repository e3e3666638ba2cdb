"""The real adb client and AOSP's real adbd on loopback, apart from whatever else runs on this machine.

``AdbRig`` owns an adb server (own port, own HOME and so own keys) and any number of daemons; each daemon gets a
directory with stand-ins for Android's programs (getprop, dumpsys...) in front of its PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from runtimes.devices.adb.server import ServerAddress
from runtimes.devices.device import Progress

ROOT = Path(__file__).resolve().parents[2]

GETPROP = """#!/bin/sh
if [ -n "$1" ]; then sed -n "s/^\\[$1\\]: \\[\\(.*\\)\\]\\$/\\1/p" "{data}/getprop"; else cat "{data}/getprop"; fi
"""
DUMPSYS = """#!/bin/sh
cat "{data}/dumpsys_$1" 2>/dev/null || echo "Can't find service: $1"
"""
SETTINGS = """#!/bin/sh
file="{data}/setting_$2_$3"
case $1 in
  get) cat "$file" 2>/dev/null || echo null ;;
  put) echo "$4" >"$file" ;;
  delete) rm -f "$file" ;;
esac
"""
CMD = """#!/bin/sh
echo "$@" >>"{data}/cmd_log"
case "$1 $2" in
  "power set-fixed-performance-mode-enabled") [ -e "{data}/no_fixed_mode" ] && {{ echo "Failed"; exit 255; }}
    echo "$3" >"{data}/fixed_mode" ;;
esac
"""
INPUT = """#!/bin/sh
echo "$@" >>"{data}/input_log"
[ "$1 $2" = "keyevent 224" ] && sed -i 's/mWakefulness=.*/mWakefulness=Awake/' "{data}/dumpsys_power"
[ "$1 $2" = "keyevent 223" ] && sed -i 's/mWakefulness=.*/mWakefulness=Asleep/' "{data}/dumpsys_power"
exit 0
"""
STUBS = {"getprop": GETPROP, "dumpsys": DUMPSYS, "settings": SETTINGS, "cmd": CMD, "input": INPUT}


def adbd_path() -> Path | None:
    """The built daemon: ``$EDGEVIT_ADBD``, or ``.adbd/adbd`` in the repository."""
    named = os.environ.get("EDGEVIT_ADBD")
    path = Path(named) if named else ROOT / ".adbd" / "adbd"
    return path if os.access(path, os.X_OK) and path.is_file() else None


def why_not(*, daemon: bool = True) -> str | None:
    """Why these tests cannot run here; None when they can.

    In CI (``CI=true``) they must run: what is missing fails them there, so that nobody takes skipped for passed.
    """
    reason = None
    if shutil.which("adb") is None:
        reason = "no adb program (apt install adb)"
    elif daemon and adbd_path() is None:
        reason = "no adbd (build it with: tests/support/adbd/build.sh .adbd)"
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and in CI its tests must run", pytrace=False)
    return reason


def names(directory: Path) -> list[str]:
    """What lies in a directory."""
    return sorted(path.name for path in directory.iterdir())


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def after(done_bytes: int, act: object) -> Progress:
    """A progress callback that acts once, in the middle of the transfer."""
    acted = []

    def progress(_: str, done: int, total: int) -> None:
        if done > done_bytes and not acted and done < total:
            acted.append(True)
            assert callable(act)
            act()

    return progress


class Adbd:
    """One daemon: a process group of its own, so that pulling its cable takes everything along.

    Attributes:
        serial: ``127.0.0.1:PORT``.
        data: Directory that the stand-in programs answer from.
        root: Directory for pushed files.
    """

    def __init__(self, directory: Path, *, properties: str = "", env: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.serial = f"127.0.0.1:{self.port}"
        self.data = directory / "data"
        self.root = directory / "device root"
        self.log = directory / "adbd.log"
        self._properties = properties
        self._env = env or {}
        bin_dir = directory / "bin"
        for folder in (self.data, self.root, bin_dir):
            folder.mkdir(parents=True)
        for name, text in STUBS.items():
            (bin_dir / name).write_text(text.format(data=self.data))
            (bin_dir / name).chmod(0o755)
        self._path = f"{bin_dir}:{os.environ['PATH']}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the daemon; it listens when this returns."""
        program = adbd_path()
        assert program is not None
        if self.process is not None:
            self.process.wait(5)  # it has been killed, perhaps by a process that could not wait for it
        properties = f"service.adb.listen_addrs=tcp:{self.port};ro.product.model=Test;{self._properties}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program],
                env={**os.environ, "PATH": self._path, "ADBD_PROPS": properties, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_listening(self.port)

    def pull_cable(self) -> None:
        """The connection goes at once and without a word."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(5)

    def hang(self) -> None:
        """The daemon answers no more, but the connection stays."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """The end of ``hang``."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def close(self) -> None:
        """End the daemon."""
        self.wake()
        if self.process is not None and self.process.poll() is None:
            self.pull_cable()


class AdbRig:
    """An adb server of its own, and its daemons."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir()
        self.server = ServerAddress(host="127.0.0.1", port=free_port())
        self.daemons: list[Adbd] = []
        self.adb("start-server")

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to talk to this server and to no other."""
        return {**_clean_environ(), "HOME": str(self.home), "ANDROID_ADB_SERVER_PORT": str(self.server.port)}

    def adb(self, *words: str, timeout_s: float = 20.0) -> str:
        """Run the real client."""
        command = ["adb", "-P", str(self.server.port), *words]
        done = subprocess.run(
            command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    def add(self, name: str = "one", *, properties: str = "", env: dict[str, str] | None = None) -> Adbd:
        """Start a daemon and connect the server to it."""
        daemon = Adbd(self.directory / name, properties=properties, env=env)
        self.daemons.append(daemon)
        self.connect(daemon.serial)
        return daemon

    def connect(self, serial: str, state: str = "device") -> None:
        """Connect the server to a daemon and wait until it is in ``state``."""
        deadline = time.monotonic() + 10
        self.adb("connect", serial)
        while f"{serial}\t{state}" not in (listing := self.adb("devices")):
            assert time.monotonic() < deadline, listing
            time.sleep(0.05)

    def close(self) -> None:
        """End the daemons and the server."""
        for daemon in self.daemons:
            daemon.close()
        self.adb("kill-server")


def _clean_environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("ANDROID_", "ADB_"))}


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.02)
