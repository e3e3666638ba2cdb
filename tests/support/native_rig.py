"""Native runners as the store keeps them, and devices to run them on."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import mobile_artifacts
import numpy as np
import pytest
from adbd_rig import ROOT
from latency_records import state as device_state
from msgspec.structs import replace

from edgevit.records import sha256_file
from edgevit.spec import Task
from export.recipe import Format
from runtimes.bench.record import Verification
from runtimes.runners.contract import REQUEST_VERSION
from runtimes.runners.native import usable
from runtimes.runners.native.launch import NativeFiles
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import Found, StoredLibrary, StoredProgram, stored_file
from runtimes.runners.runner import Feed, Subject
from runtimes.sessions.table import open_session


def native_files(directory: Path, format: Format = Format.ONNX, *, own_glibc: bool = False) -> NativeFiles:
    """Files that only look like a runner and its library, in ``directory``."""
    row = NATIVE[format]
    glibc = library(directory / "glibc", "glibc", "2.36", "ld-linux-x86-64.so.2", "libc.so.6") if own_glibc else None
    found = library(directory / row.runtime, row.runtime, "1.2.3", "libruntime.so", "libneeded.so")
    return NativeFiles(row, stored_program(directory / "program", row.program), found, glibc)


def stored_program(directory: Path, name: str) -> Found[StoredProgram]:
    """A program of ``directory``, made up."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(b"program")
    record = StoredProgram(
        name=name, abi="x86_64-linux", file=stored_file(path), source_sha256="0" * 64, request_version=REQUEST_VERSION,
        compiler="none",
    )  # fmt: skip
    return Found(record, directory)


def library(directory: Path, runtime: str, version: str, *names: str) -> Found[StoredLibrary]:
    """A library of ``directory`` with files of these names, made up."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_bytes(f"{runtime} {name}".encode())
    files = tuple(stored_file(directory / name) for name in names)
    return Found(
        StoredLibrary(runtime=runtime, version=version, abi="x86_64-linux", files=files, origin="made up"), directory
    )


def use_runners(
    monkeypatch: pytest.MonkeyPatch, abi: str, *formats: Format, own_glibc: bool = False
) -> dict[Format, NativeFiles]:
    """Let the store be the one that ``make runners`` fills; skip, or in CI fail, where it lacks what ``formats`` need.

    Returns:
        What runs each of ``formats``.
    """
    home = os.environ.get("EDGEVIT_TEST_RUNNERS") or str(ROOT / ".runners")
    monkeypatch.setenv("EDGEVIT_RUNNERS", home)
    state = replace(device_state(), abi=abi.removesuffix("-linux"), android_version=None)
    files = {}
    for format in formats:
        found = usable.native_files(state, format, None, own_glibc=own_glibc)
        if isinstance(found, usable.Missing):
            reason = f"{found.why} (make runners)"
            if os.environ.get("CI") == "true":
                pytest.fail(f"{reason}, and in CI its tests must run", pytrace=False)
            pytest.skip(reason)
        files[format] = found
    return files


@cache
def network(format: Format, *, whole: bool = False) -> Subject:
    """A small network, or a whole EdgeViT-XXS at 64 x 64, with three feeds."""
    built = mobile_artifacts.edgevit(format, Task.CLASSIFY) if whole else mobile_artifacts.small(format)
    session = open_session(built.path, format)
    generator = np.random.default_rng(7)
    feeds = tuple(
        {spec.name: generator.normal(size=spec.shape).astype(spec.dtype) for spec in session.inputs} for _ in range(3)
    )
    found = Subject(
        name=built.path.name, path=built.path, format=format, sha256=sha256_file(built.path),
        size_bytes=built.path.stat().st_size, inputs=session.inputs, outputs=session.outputs, feeds=feeds,
    )  # fmt: skip
    session.close()
    return found


@cache
def python_answers(format: Format, *, whole: bool = False) -> tuple[Feed, ...]:
    """What the Python session of this machine answers to each feed of ``network``."""
    subject = network(format, whole=whole)
    session = open_session(subject.path, format)
    answers = tuple(session.run(dict(feed)) for feed in subject.feeds)
    session.close()
    return answers


def like_python(subject: Subject, answers: list[Feed], runtime: str) -> Verification:
    """A judge: every answer is the Python session's within the noise of float32."""
    expected = next(
        python_answers(subject.format, whole=whole)
        for whole in (False, True)
        if network(subject.format, whole=whole).sha256 == subject.sha256
    )
    assert len(answers) == len(expected), "one for each feed"
    for seen, wanted in zip(answers, expected, strict=True):
        assert seen.keys() == wanted.keys()
        for name, array in wanted.items():
            scale = float(np.abs(array).max())
            worst = float(np.abs(seen[name] - array).max()) / scale
            if seen[name].dtype != array.dtype or not worst <= 1e-5:  # some ten times what other kernels differ by
                return Verification(status="failed", reason=f"{name} differs by {worst:g} of its peak")
    return Verification(status="passed")
