"""Inputs guided by coverage, where the package atheris is installed (Linux and macOS; it is part of no extra).

    pip install atheris && python tests/fuzz/run.py --atheris 300 --reader 'tool-*'

Each reader has a process of its own, which begins with the seeds and the inputs that failed once, and is judged as in
the seeded run. What is found is kept and the search goes on. Such a run cannot be repeated: it is not for CI.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

MOST_BYTES = 1 << 16  # chosen: guided inputs grow slowly, and every seed but a recording is smaller


def guided(readers: Sequence[object], seconds: int, target: Path) -> int:
    """``seconds`` for each reader; 1 if anything was found, 3 where atheris is not installed."""
    if find_spec("atheris") is None:
        print("error: --atheris needs the package atheris, which is not installed here", file=sys.stderr)
        print("hint: pip install atheris (Linux, macOS); the seeded run needs nothing", file=sys.stderr)
        return 3
    found = False
    for reader in readers:
        name = str(getattr(reader, "name", reader))
        kept = target / f"atheris-{name}"
        with tempfile.TemporaryDirectory(prefix="fuzz-atheris-") as corpus:
            subprocess.run(
                [sys.executable, "-W", "ignore", __file__, name, str(seconds), corpus, str(kept)], check=False
            )
        found |= kept.is_dir() and any(kept.iterdir())
    return int(found)


def search(atheris: ModuleType, name: str, seconds: int, corpus: Path, kept: Path) -> None:
    """Search in this process; it does not return."""
    with atheris.instrument_imports(include=["edgevit", "export", "runtimes", "validation", "edgevit_export"]):
        from fuzz_registry import READERS
    from fuzz_campaign import DEADLINE_S, Finding
    from fuzz_child import Room, examine
    from fuzz_guard import MEMORY_BYTES, Guard, resident_bytes

    reader = READERS[name]
    for number, data in enumerate([*reader.inputs, *(path.read_bytes() for path in reader.corpus())]):
        (corpus / str(number)).write_bytes(data)
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.environ |= {"HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    room, guard = Room(home), Guard(home, connects=reader.connects)
    seen: set[str] = set()

    def one(data: bytes) -> None:
        answer = examine(reader, data, room, guard)
        if answer["outcome"] != "foreign":
            return
        finding = Finding(name, 0, *(str(answer.get(key, "")) for key in ("error", "where", "said")))
        if finding.kind not in seen:
            seen.add(finding.kind)
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{len(seen):03}").write_bytes(data)
            print(f"{name}: {finding.kind}, {kept / f'{len(seen):03}'}: {finding.said[:160]}", flush=True)

    limit_mib = (resident_bytes() + 2 * MEMORY_BYTES) >> 20
    kept.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={seconds}", f"-timeout={DEADLINE_S:.0f}", f"-rss_limit_mb={limit_mib}",
        f"-max_len={MOST_BYTES}",
        "-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={kept}/", str(corpus),
    )  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    import atheris
    import fuzz_path  # noqa: F401

    search(atheris, sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
