"""A file in the cache of huggingface_hub, laid out as its client lays it out."""

from __future__ import annotations

from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put(cache: Path, repository: str, name: str, data: bytes) -> Path:
    """Store ``data`` as ``name`` of the one commit of ``repository``, which is its branch main; returns the file."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    path = folder / "snapshots" / COMMIT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
