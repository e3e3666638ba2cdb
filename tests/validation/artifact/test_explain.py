"""What is told of a comparison that failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_artifacts import corrupt_weight, small_net, write_artifact

from edgevit.errors import SessionError
from export.golden import load_golden
from export.manifest import load_manifest
from export.recipe import Format
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.explain import explained
from validation.artifact.parity import compare


def test_reasons_worst_input_and_place_and_reasons_alone_where_tracing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(write_artifact(tmp_path, Format.ONNX))
    path = tmp_path / manifest.file
    corrupt_weight(path, small_net().state_dict()["blocks.1.expand.bias"].numpy(), 3, 0.5)
    golden, session = load_golden(tmp_path / manifest.golden.file), open_session(path, Format.ONNX)
    report = compare(session, golden, inputs=manifest.inputs)
    words, found = explained(session, golden, report, manifest.inputs)
    assert words[: len(report.reasons)] == report.reasons
    assert words[-2].startswith(f"worst input: {report.worst.label}, error ")
    assert found is not None and found.module == "blocks.1.expand"
    assert words[-1] == f"where they part: {found.describe()}"

    def failing(self: Session, arrays: object) -> None:
        raise SessionError("out of memory")

    monkeypatch.setattr(type(session), "trace", failing)
    words, found = explained(session, golden, report, manifest.inputs)
    assert found is None
    assert words[-1] == "where they part could not be found: out of memory"
