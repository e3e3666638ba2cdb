"""Golden inputs and outputs on their way to a device and back: ``.npz`` files with keys ``<index>/<tensor name>``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.sessions.session import Array


def read_sets(path: Path | IO[bytes]) -> list[dict[str, Array]]:
    """The arrays of an ``.npz`` with keys ``<index>/<name>``, one dict per index, shapes and types as stored."""
    import numpy as np

    sets: dict[int, dict[str, Array]] = {}
    with np.load(path, allow_pickle=False) as stored:
        if any(each.compress_type or each.file_size != each.compress_size for each in stored.zip.infolist()):
            raise ValueError("arrays that are packed, which the runner's own never are")
        for key in stored.files:
            index, _, name = key.partition("/")
            sets.setdefault(int(index), {})[name] = stored[key]
    return [sets[index] for index in range(len(sets))]


def write_sets(path: Path, sets: list[dict[str, Array]]) -> None:
    """The reverse of ``read_sets``; the same arrays give the same bytes, in C order whatever theirs is."""
    import numpy as np

    flat = {
        f"{index}/{name}": np.asarray(array, order="C")
        for index, arrays in enumerate(sets)
        for name, array in arrays.items()
    }
    with path.open("wb") as file:
        np.savez(file, **flat)  # type: ignore[arg-type]  # keys are never "allow_pickle": they start with a digit
