"""Wheels and AARs with small libraries, and stand-ins for the programs that download or compile."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path


def packed(path: Path, files: Mapping[str, Path | str]) -> Path:
    """A zip of files and texts by their names in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str) else content.read_bytes())
    return path


def metadata(package: str, version: str, summary: str = "") -> dict[str, str]:
    """A wheel's metadata."""
    folder = f"{package.replace('-', '_')}-{version}.dist-info"
    return {f"{folder}/METADATA": f"Metadata-Version: 2.4\nName: {package}\nVersion: {version}\nSummary: {summary}\n"}


def stand_in(path: Path, text: str) -> Path:
    """A program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
