"""The process that reads: many inputs one after the other, each announced before and told after.

    python tests/fuzz/fuzz_child.py REGISTRY READER SEED FIRST END [FILE ...]

Each line on stdout is JSON: ``{"begins": N}``, then ``{"number": N, "outcome": ...}``. Who started it keeps the time.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from fuzz_guard import MEMORY_BYTES, Guard, Trespass, forget_peak, limit_memory, peak_bytes, resident_bytes
from fuzz_path import ROOT
from fuzz_reader import Reader

from edgevit.records import Record

COLLECT_EVERY = 200  # inputs; chosen: what cycles hold must not be counted as the next input's


class Room:
    """An empty directory for each input, and one to stand in, which must stay empty."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.stand = home / "stand"
        self.stand.mkdir()
        os.chdir(self.stand)

    def clear(self) -> None:
        """Remove what a reader left where it stood."""
        for path in self.stand.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

    def next(self) -> Path:
        """An empty directory."""
        room = self._home / "room"
        if not room.exists() or any(room.iterdir()):
            shutil.rmtree(room, ignore_errors=True)
            room.mkdir()
        return room


def examine(reader: Reader, data: bytes, room: Room, guard: Guard) -> dict[str, object]:
    """Read one input; what came of it."""
    directory = room.next()
    base = resident_bytes()
    forget_peak()
    guard.seen = None
    begun_s = time.process_time()
    guard.watching = True
    try:
        outcome = _outcome(reader, data, directory)
    finally:
        guard.watching = False
    taken = max(0, peak_bytes() - base)
    outcome |= {"ms": (time.process_time() - begun_s) * 1e3, "bytes": taken}
    if guard.seen is not None:
        outcome |= {"outcome": "foreign", "error": f"Trespass: {guard.seen}", "where": outcome.get("where", "")}
    elif left := list(room.stand.iterdir()):
        outcome |= {"outcome": "foreign", "error": f"Trespass: a file {left[0].name!r} appeared", "where": ""}
        room.clear()
    elif taken > MEMORY_BYTES:
        outcome |= {"outcome": "foreign", "error": f"Memory: {taken >> 20} MiB", "where": outcome.get("where", "")}
    return outcome


def _outcome(reader: Reader, data: bytes, directory: Path) -> dict[str, object]:
    try:
        result = reader.call(data, directory)
    except reader.refuses as error:
        if _out_of_memory(error):
            return {
                "outcome": "foreign",
                "error": "MemoryError behind a refusal",
                "where": _where(error),
                "said": str(error)[:200],
            }
        return {"outcome": "refused", "error": type(error).__name__, "said": str(error)[:300]}
    except (Exception, SystemExit, Trespass) as error:
        return {"outcome": "foreign", "error": type(error).__name__, "where": _where(error), "said": str(error)[:200]}
    if isinstance(result, Record):
        try:
            same = type(result).from_json(result.to_json()) == result
        except Exception as error:
            return {"outcome": "foreign", "error": "cannot be saved", "where": _where(error), "said": str(error)[:200]}
        if not same:
            return {"outcome": "foreign", "error": "is another when saved", "where": "", "said": ""}
    return {"outcome": "accepted"}


def _out_of_memory(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or "can't allocate memory" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _where(error: BaseException) -> str:
    """The innermost lines of the project, and the line that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(str(ROOT)) and "/tests/" not in frame.filename]
    told = [f"{Path(frame.filename).relative_to(ROOT)}:{frame.name}" for frame in ours[-1:]]
    last = frames[-1] if frames else None
    return " ".join(
        [*told, *([f"(in {Path(last.filename).name}:{last.name})"] if last and last not in ours[-1:] else [])]
    )


def inputs(reader: Reader, seed: int, first: int, end: int, files: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """The inputs from ``first`` on with their numbers: those of ``seed`` up to ``end``, then the files."""
    yield from ((number, reader.mutated(seed=seed, number=number)) for number in range(first, end))
    for number in range(max(first, end), end + len(files)):
        yield number, Path(files[number - end]).read_bytes()


def main(arguments: list[str], answers: TextIO) -> None:
    """Read all inputs; the seeds first, unreported, so that what is loaded once is loaded."""
    registry, name, seed, first, end, *files = arguments
    reader: Reader = importlib.import_module(registry).READERS[name]
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.environ |= {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}
    room, guard = Room(home), Guard(home, connects=reader.connects)
    try:
        for data in reader.inputs:
            _outcome(reader, data, room.next())
        limited = limit_memory()
        answers.write(json.dumps({"ready": True, "limited": limited}) + "\n")
        for count, (number, data) in enumerate(inputs(reader, int(seed), int(first), int(end), files)):
            answers.write(json.dumps({"begins": number}) + "\n")
            answers.flush()
            answers.write(json.dumps({"number": number, **examine(reader, data, room, guard)}) + "\n")
            if count % COLLECT_EVERY == 0:
                gc.collect()
        answers.flush()
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # what a reader prints is nothing to its judge
    main(sys.argv[1:], channel)
