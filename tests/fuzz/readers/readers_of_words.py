"""Readers of words: options of the command line, environment variables, names."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache

from fuzz_mutation import Kind
from fuzz_reader import DATA, Reader, of_argument, words

from edgevit.errors import EdgevitExportError, UsageError
from edgevit_export.commands.bench import parse_factors, parse_threads
from edgevit_export.commands.compare import parse_share, parse_topics
from edgevit_export.commands.energy import parse_top1
from edgevit_export.commands.options import parse_floats, parse_size, split_list
from edgevit_export.console import print_error, print_note, print_table
from export.formats.table import parse_format
from export.manifest import created_utc
from runtimes.conditions.affinity import affinity_mask
from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state_parsers import parse_state
from runtimes.devices.adb.server import server_address
from runtimes.power.reading.columns import parse_units
from validation.report.accuracy import stated_on_command_line


@cache
def _phone() -> DeviceState:
    text = (DATA / "device" / "state_phone.txt").read_text(encoding="utf-8")
    return parse_state(text, serial="8BC1", kind="adb", unix_time_s=0.0)


def _environment(name: str, read: Callable[[], object]) -> Callable[[str], object]:
    def under(text: str) -> object:
        os.environ[name] = text
        try:
            return read()
        finally:
            del os.environ[name]

    return under


def _address(text: str | None = None) -> str:
    """An address, as it stands in messages; its name must be one that sockets can take."""
    found = server_address(text)
    found.host.encode("idna")
    return str(found)


def terminal(text: str) -> str:
    """A name from elsewhere in an error, a note, a table: no control character comes out, in any encoding."""
    text, shown = text[:300], ""  # no name of a file or a device is longer
    for encoding in ("utf-8", "ascii"):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace") for _ in range(2)]
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            print_error(UsageError(f"cannot read {text}", hint=text))
            print_note(text)
            print_table(("name", "count"), [(text, "1")], title=text)
        for stream in streams:
            stream.flush()
            said = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # a BytesIO
            assert not [char for char in said if char != "\n" and not char.isprintable()], "it steers the terminal"
            shown += said
    return shown


def _row(
    name: str, reads: str, read: Callable[[str], object], *seeds: str, refuses: type[EdgevitExportError] = UsageError
) -> Reader:
    return Reader(name, reads, of_argument(read), (refuses,), words(*seeds), Kind.TEXT)


READERS = (
    _row("terminal", "names from elsewhere, on the terminal", terminal, "edgevit-s.onnx", "a b\n", "\x1b[2Jäö"),
    _row("affinity", "--affinity", lambda text: affinity_mask(_phone(), text), "big", "little", "0xf0", "4-7", "0,4"),
    _row("size", "--input-size", parse_size, "224", "320x256", "64×64"),
    _row("floats", "--mean, --std", lambda text: parse_floats("--mean", text), "0.5,0.5,0.5", "1"),
    _row("threads", "--threads", parse_threads, "1", "1,2,4"),
    _row("factors", "--burst-factors", parse_factors, "1,3", "1"),
    _row("share", "--max-regression", parse_share, "5%", "0.05"),
    _row("topics", "--allow", lambda text: parse_topics(split_list([text])), "device,cores", "network"),
    _row("top1", "--top1", lambda text: parse_top1([text]), "81.0", "edgevit-s=81.0"),
    _row("accuracy", "--accuracy", stated_on_command_line, "edgevit-s=81.0", "x=ap:38.7", "y=miou:41.4"),
    _row("units", "--units", parse_units, "time=ms,current=mA", "power=-W"),
    _row("adb-server", "--adb-server", _address, "rack.local:5037", ":5038", "[::1]:5037",
    "host"),
    _row("adb-socket", "ADB_SERVER_SOCKET", _environment("ADB_SERVER_SOCKET", _address), "tcp:host:5037",
    "tcp:5037"),
    _row("adb-port", "ANDROID_ADB_SERVER_PORT", _environment("ANDROID_ADB_SERVER_PORT", _address), "5037",
    "65535"),
    _row("source-date", "SOURCE_DATE_EPOCH", _environment("SOURCE_DATE_EPOCH", created_utc), "1700000000", "0"),
    _row("format", "--format", parse_format, "onnx", "TFLite", ".ptl"),
)  # fmt: skip
