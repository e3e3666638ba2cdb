"""Paths for libraries that take nothing but UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """A name in UTF-8 for ``path`` while the block reads or writes it there: its own, or that of a link to it.

    File systems hold any bytes, and Python holds those that are no UTF-8 in surrogates, which the bindings of C++ and
    Rust refuse as "incompatible arguments".
    """
    if _is_utf8(str(path)):
        yield str(path)
        return
    with TemporaryDirectory(prefix="edgevit-") as directory:
        link = Path(directory) / f"file{path.suffix if _is_utf8(path.suffix) else ''}"
        link.symlink_to(path.absolute())
        yield str(link)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
