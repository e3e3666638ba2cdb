"""The adb server: where it is, starting it when it is ours, and its answers as our errors."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, MissingDependencyError, UsageError
from edgevit.records import Record
from runtimes.devices.packets import last_lines

if TYPE_CHECKING:
    from adbutils import AdbClient

DEFAULT_PORT = 5037  # adb's own
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ANSWER_TIMEOUT_S = 10.0  # chosen, because a server on the network answers within one
START_TIMEOUT_S = 20.0  # chosen, because adb itself gives up earlier

_PORT = re.compile(r"[0-9]{1,5}")
LISTING = "edgevit-export devices"
UNAUTHORIZED_HINT = (
    "unlock the device and accept the question 'Allow USB debugging?'; if none appears, revoke the authorisations in "
    "its developer options and plug it in again"
)


class ServerAddress(Record):
    """Where an adb server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def server_address(requested: str | None = None) -> ServerAddress:
    """The server to talk to: the request, else adb's own environment variables, else port 5037 of this machine.

    The variables are ``ADB_SERVER_SOCKET`` (``tcp:HOST:PORT``), else ``ANDROID_ADB_SERVER_ADDRESS`` (or ``_HOST``) and
    ``ANDROID_ADB_SERVER_PORT``.

    Args:
        requested: ``HOST:PORT``, ``HOST`` or ``:PORT``, as in ``--adb-server``.

    Raises:
        UsageError: An address that cannot be read.
    """
    if requested:
        return _parse_address(requested, "--adb-server")
    if spec := os.environ.get("ADB_SERVER_SOCKET"):
        if not spec.startswith("tcp:"):
            raise UsageError(f"ADB_SERVER_SOCKET is '{spec}': only tcp:HOST:PORT or tcp:PORT can be used")
        address = spec.removeprefix("tcp:")
        return _parse_address(f":{address}" if _PORT.fullmatch(address) else address, "ADB_SERVER_SOCKET")
    host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or os.environ.get("ANDROID_ADB_SERVER_HOST") or "127.0.0.1"
    host = _parse_host(host, "ANDROID_ADB_SERVER_ADDRESS")
    port = os.environ.get("ANDROID_ADB_SERVER_PORT") or str(DEFAULT_PORT)
    return ServerAddress(host=host, port=_parse_port(port, "ANDROID_ADB_SERVER_PORT"))


def _parse_address(text: str, origin: str) -> ServerAddress:
    match = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?", text.strip())
    if match is None or not text.strip():
        raise UsageError(f"{origin} is '{text}': expected HOST:PORT, for example rack.local:{DEFAULT_PORT}")
    host = match["six"] or match["host"] or "127.0.0.1"
    port = match["port"]
    return ServerAddress(
        host=_parse_host(host, origin), port=DEFAULT_PORT if port is None else _parse_port(port, origin)
    )


def _parse_host(text: str, origin: str) -> str:
    try:
        text.encode("idna")  # as sockets will
    except UnicodeError as error:
        raise UsageError(f"{origin}: '{text}' is no name of a machine") from error
    return text


def _parse_port(text: str, origin: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise UsageError(f"{origin}: '{text}' is not a port number (1 to 65535)")
    return int(text)


def is_listening(address: ServerAddress, timeout_s: float = 3.0) -> bool:
    """Whether something accepts connections at ``address``."""
    try:
        with socket.create_connection((address.host, address.port), timeout=timeout_s):
            return True
    except OSError:
        return False


def start_server(address: ServerAddress) -> None:
    """Start the adb server of this machine on the port of ``address``.

    Raises:
        MissingDependencyError: There is no ``adb`` program.
        DeviceError: It cannot be started.
    """
    from adbutils import AdbError, adb_path

    try:
        program = str(adb_path())  # $ADBUTILS_ADB_PATH, the one on the path, or the one in the adbutils wheel
    except AdbError as error:
        raise MissingDependencyError(
            "no adb program was found", hint="install it ('apt install adb', 'brew install android-platform-tools')"
        ) from error
    try:
        done = subprocess.run(
            [program, "-P", str(address.port), "start-server"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"'{program} start-server' failed: {error}", hint="run 'adb start-server' by hand") from error
    if not is_listening(address):
        said = last_lines(done.stderr.decode(errors="replace")) or "it said nothing"
        raise DeviceError(f"the adb server did not start on port {address.port}: {said}")


def connect_client(address: ServerAddress) -> AdbClient:
    """A client of a server that answers; a local one is started when it does not run.

    Raises:
        MissingDependencyError: No adbutils, or no ``adb`` program to start a server with.
        DeviceError: The server cannot be started, or is another machine's and does not answer.
    """
    if find_spec("adbutils") is None:
        raise MissingDependencyError(
            "devices are reached through the package adbutils, which is not installed",
            extra="adb",
        )
    from adbutils import AdbClient

    if not is_listening(address):
        if address.host not in LOCAL_HOSTS:
            raise DeviceError(
                f"no adb server answers at {address}",
                hint=f"on {address.host} run 'adb -a -P {address.port} nodaemon server', or tunnel to it with ssh -L",
            )
        start_server(address)
    return AdbClient(host=address.host, port=address.port, socket_timeout=ANSWER_TIMEOUT_S)


@contextmanager
def translated(serial: str, doing: str) -> Iterator[None]:
    """Turn what sockets and adbutils raise into this project's errors, with the device's name and the next step."""
    from adbutils.errors import AdbConnectionError, AdbError, AdbTimeout

    try:
        yield
    except (AdbTimeout, TimeoutError) as error:
        raise DeviceTimeoutError(
            f"{serial} did not answer in time while {doing}", hint=f"reconnect it, then: {LISTING}"
        ) from error
    except (AdbConnectionError, EOFError, ConnectionError) as error:
        raise lost(serial, doing) from error
    except (AdbError, ValueError) as error:
        raise _refusal(serial, doing, str(error.args[0] if error.args else error)) from error
    except OSError as error:
        raise DeviceLostError(f"{serial}: {error} while {doing}", hint=LISTING) from error


def lost(serial: str, doing: str) -> DeviceLostError:
    """The error for a connection that ended while something was ``doing``."""
    return DeviceLostError(f"{serial} was lost while {doing}", hint=f"check the cable or network, then: {LISTING}")


def _refusal(serial: str, doing: str, text: str) -> DeviceError:
    low = text.lower()
    if "unauthorized" in low:
        return DeviceError(f"{serial} has not authorised this computer", hint=UNAUTHORIZED_HINT)
    if "no permissions" in low or "insufficient permissions" in low:
        return DeviceError(
            f"this user may not open {serial}",
            hint="install the udev rules ('apt install android-sdk-platform-tools-common') and join group plugdev",
        )
    if any(word in low for word in ("not found", "offline", "closed", "no devices", "device still")):
        detail = "is offline" if "offline" in low else "is not attached" if "not found" in low else "was lost"
        return DeviceLostError(f"{serial} {detail} ({doing})", hint=f"check the cable or network, then: {LISTING}")
    return DeviceError(f"{serial} refused while {doing}: {text or 'no reason given'}")
