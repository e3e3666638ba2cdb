"""One reader of the project as data: what it takes, what may come of it, and inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fuzz_mutation import Kind, input_for

from edgevit.errors import EdgevitExportError
from edgevit.records import Record

DATA = Path(__file__).resolve().parents[2] / "data"
SEEDS = DATA / "seeds"
HOSTILE = DATA / "hostile"


@dataclass(frozen=True)
class Reader:
    """A row of the table of readers.

    Attributes:
        name: Short; also of its folder below ``tests/data/hostile``.
        reads: What it reads, in words, for docs/security.md.
        call: Reads an input, by its bytes; the directory is empty and its own.
        refuses: The errors by which it may refuse one.
        seeds: Valid inputs.
        kind: How they are changed.
        tokens: What means something to this reader alone.
        connects: Whether it may connect to a socket of this machine, where a stand-in for a server answers.
        corpora: Further folders of ``tests/data/hostile`` whose files it reads.
    """

    name: str
    reads: str
    call: Callable[[bytes, Path], object]
    refuses: tuple[type[EdgevitExportError], ...]
    seeds: Callable[[], Sequence[bytes]]
    kind: Kind
    tokens: tuple[bytes, ...] = ()
    connects: bool = False
    corpora: tuple[str, ...] = ()

    @cached_property
    def inputs(self) -> tuple[bytes, ...]:
        """The seeds, made once."""
        return tuple(self.seeds())

    def mutated(self, *, seed: int, number: int) -> bytes:
        """Its input ``number`` under ``seed``."""
        return input_for(self.name, self.inputs, self.kind, self.tokens, seed=seed, number=number)

    def corpus(self) -> list[Path]:
        """Inputs that failed once."""
        folders = (HOSTILE / name for name in (self.name, *self.corpora))
        return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


def at(name: str) -> Callable[[bytes, Path], Path]:
    """Puts an input into a file called ``name``."""

    def put(data: bytes, room: Path) -> Path:
        path = room / name
        path.write_bytes(data)
        return path

    return put


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader that takes a path."""
    put = at(name)
    return lambda data, room: read(put(data, room))


def of_text(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    """A reader that takes what a device printed, decoded as ``runtimes.devices.packets`` does."""
    return lambda data, room: read(data.decode("utf-8", "replace"))


def of_argument(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    """A reader that takes a word of the command line, decoded as Python does."""
    return lambda data, room: read(data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


def of_record(kind: type[Record]) -> Callable[[bytes, Path], object]:
    """A record that is read from a file."""
    return of_file("record.json", kind.load)


def files(*names: str) -> Callable[[], list[bytes]]:
    """Seeds that are files below ``tests/data``."""
    return lambda: [(DATA / name).read_bytes() for name in names]


def words(*texts: str) -> Callable[[], list[bytes]]:
    """Seeds that are short."""
    return lambda: [text.encode() for text in texts]
