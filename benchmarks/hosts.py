"""Which hosts each extra can be installed on, from the wheels that the package index has of every pinned version.

    python benchmarks/hosts.py            # the table of docs/runtimes.md

Nothing is downloaded but the index's lists of files. Extras, and what their packages need in turn, are taken from the
packages installed here, with their markers evaluated for the host in question. A package without a wheel for a host
counts as missing: where a compiler is at hand, pip may still build it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[1]
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
PURE = {"adbutils", "antlr4-python3-runtime"}  # pip builds them anywhere: Python alone, where there is no wheel
EXTRAS = ("", "ptl", "onnx", "tflite", "executorch", "verify", "adb", "monsoon", "report")
GLIBC = (2, 36)  # Debian 12
HOSTS = {
    "Linux x86-64": ("linux", "Linux", "x86_64"),
    "Linux arm64": ("linux", "Linux", "aarch64"),
    "macOS arm64": ("darwin", "Darwin", "arm64"),
    "macOS x86-64": ("darwin", "Darwin", "x86_64"),
}
MACOS = (14, 0)


def platforms(host: str) -> list[str]:
    """The platform tags that pip would take on ``host``."""
    system, _, machine = HOSTS[host]
    if system == "darwin":
        return list(mac_platforms(MACOS, machine))
    return [f"manylinux_{GLIBC[0]}_{minor}_{machine}" for minor in range(GLIBC[1], 4, -1)] + [
        f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}", f"linux_{machine}",
    ]  # fmt: skip


@cache
def tags(host: str, python: tuple[int, int]) -> frozenset[Tag]:
    """All wheel tags that ``host`` takes."""
    names = platforms(host)
    interpreter = f"cp{python[0]}{python[1]}"
    return frozenset((*cpython_tags(python, platforms=names), *compatible_tags(python, interpreter, names)))


def markers(host: str, python: tuple[int, int], extra: str) -> dict[str, str]:
    """The environment that requirements' markers see on ``host``."""
    system, name, machine = HOSTS[host]
    version = f"{python[0]}.{python[1]}"
    return {
        "extra": extra, "python_version": version, "python_full_version": f"{version}.0", "sys_platform": system,
        "platform_system": name, "platform_machine": machine, "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip


@cache
def index_url() -> str:
    """The package index that pip is set to."""
    from pip._internal.models.index import PyPI

    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or PyPI.simple_url


@cache
def wheels(name: str, version: str) -> tuple[frozenset[Tag], ...]:
    """The tags of every wheel of one version; empty where the index has none."""
    request = urllib.request.Request(
        f"{index_url().rstrip('/')}/{canonicalize_name(name)}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    if text.lstrip().startswith("{"):
        files = [file["filename"] for file in json.loads(text)["files"]]
    else:
        files = re.findall(r">\s*([^<>]+\.whl)\s*</a>", text)
    found = [parse_wheel_filename(file) for file in files if file.endswith(".whl") and f"-{version}" in file]
    return tuple(each[3] for each in found if each[1].public == version)


@cache
def pinned() -> dict[str, str]:
    """By package, the version in the constraints."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {canonicalize_name(name.strip()): version.strip() for name, _, version in pairs}


def closure(host: str, python: tuple[int, int], extra: str) -> set[str]:
    """All packages that ``edgevit-export[extra]`` brings along on ``host``."""
    seen: set[tuple[str, str]] = set()
    todo = [("edgevit-export", each) for each in {"", extra}]
    while todo:
        name, of_extra = todo.pop()
        if (name, of_extra) in seen:
            continue
        seen.add((name, of_extra))
        for needed in _needs(name, host, python, of_extra):
            todo += [(canonicalize_name(needed.name), each) for each in {"", *needed.extras}]
    return {name for name, _ in seen} - {"edgevit-export"}


def _needs(name: str, host: str, python: tuple[int, int], extra: str) -> Iterator[Requirement]:
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for text in texts:
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate(markers(host, python, extra)):
            yield needed


def missing(host: str, python: tuple[int, int], extra: str) -> list[str]:
    """The packages of ``extra`` that have no wheel for ``host``, with their versions."""
    lacking = []
    for name in sorted(closure(host, python, extra)):
        version = pinned().get(name)
        if version is None:
            lacking.append(f"{name} (not pinned)")
        elif name not in PURE and not any(each & tags(host, python) for each in wheels(name, version)):
            lacking.append(f"{name} {version}")
    return lacking


def main() -> None:
    """Print the table, a row per extra and a column per host, and the packages that keep a host out."""
    print("| extra | " + " | ".join(HOSTS) + " |\n|" + "---|" * (len(HOSTS) + 1))
    kept_out: dict[str, list[str]] = {}
    for extra in EXTRAS:
        cells = []
        for host in HOSTS:
            by_python = {f"{major}.{minor}": missing(host, (major, minor), extra) for major, minor in PYTHONS}
            cells.append(", ".join(python for python, lacking in by_python.items() if not lacking) or "no")
            for python, package in ((python, each) for python, lacking in by_python.items() for each in lacking):
                places = kept_out.setdefault(package, [])
                places += [place for place in [f"{host} {python}"] if place not in places]
        print(f"| {f'`{extra}`' if extra else 'none'} | " + " | ".join(cells) + " |")
    print("\n| package | has no wheel for |\n|---|---|")
    for package, places in sorted(kept_out.items()):
        print(f"| {package} | {', '.join(places)} |")


if __name__ == "__main__":
    main()
