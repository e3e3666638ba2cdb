"""Runs one ``.ptl`` file in the torch of another Python; it travels there alone, so it speaks Python 3.8.

    python -I ptl_served.py            says in a line of JSON which torch this is, and whether it has XNNPACK
    python -I ptl_served.py FILE N     runs FILE with N threads, one message out for each message in

A message is the number of its bytes as 8 bytes, little-endian, and an archive of arrays (``.npz``, as ``numpy.savez``
names them) in the file's order. The process ends when the input does; what it cannot do is its last line on stderr.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import IO, Any

import numpy as np


def receive(source: IO[bytes]) -> list[Any] | None:
    """The arrays of the next message; None where there is none any more."""
    head = source.read(8)
    if len(head) < 8:
        return None
    with np.load(io.BytesIO(source.read(int.from_bytes(head, "little"))), allow_pickle=False) as held:
        return [held[f"arr_{place}"] for place in range(len(held.files))]


def send(target: IO[bytes], arrays: list[Any]) -> None:
    """Write ``arrays`` as a message."""
    body = io.BytesIO()
    np.savez(body, *arrays)
    data = body.getvalue()
    target.write(len(data).to_bytes(8, "little") + data)
    target.flush()


def describe(target: IO[bytes]) -> None:
    """Say which torch this is."""
    import torch

    facts = {"torch": torch.__version__, "xnnpack": bool(torch._C._is_xnnpack_enabled())}
    target.write(json.dumps(facts).encode())


def serve(path: str, threads: int, source: IO[bytes], target: IO[bytes]) -> None:
    """Answer every message of ``source`` with what the file computes; the first answer says that it was opened."""
    import torch
    from torch.jit.mobile import _load_for_lite_interpreter

    torch.set_num_threads(threads)
    module = _load_for_lite_interpreter(path, map_location="cpu")  # type: ignore[no-untyped-call]
    send(target, [])
    while True:
        arrays = receive(source)
        if arrays is None:
            break
        with torch.no_grad():
            results = module.forward(*[torch.from_numpy(np.ascontiguousarray(array)) for array in arrays])
        found = results if isinstance(results, (tuple, list)) else (results,)
        send(target, [value.contiguous().numpy() for value in found])


def main(arguments: list[str]) -> None:
    """Do what the arguments say, with the real stdout for answers alone: what torch prints is none."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        if arguments:
            serve(arguments[0], int(arguments[1]), sys.stdin.buffer, answers)
        else:
            describe(answers)


if __name__ == "__main__":
    main(sys.argv[1:])
