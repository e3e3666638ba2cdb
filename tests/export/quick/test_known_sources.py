"""What replaces parts of packages is in force only beside the very sources that were read."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from export.quick.known_sources import are_known, source_hash


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a class that has one method; the hash that its source has."""
    source = "    def work(self):\n        return 1\n"
    (tmp_path / "read_once.py").write_text(f"class Worker:\n{source}")
    monkeypatch.syspath_prepend(tmp_path)
    return sha256(source.encode()).hexdigest()[:32]


def test_a_source_is_known_by_its_text(package: str) -> None:
    assert source_hash("read_once.Worker.work") == package
    assert are_known({}, {"read_once.Worker.work": package})
    assert not are_known({}, {"read_once.Worker.work": "0" * 32})


@pytest.mark.parametrize("name", ["read_once.Worker.gone", "read_once.Gone.work", "read_never.Worker.work"])
def test_what_is_not_there_is_not_known(name: str, package: str) -> None:
    assert source_hash(name) == ""
    assert not are_known({}, {name: package})


@pytest.mark.parametrize(("installed", "known"), [("2.13.0+cpu", True), ("2.13.0", True), ("2.13.1", False)])
def test_a_release_is_known_whatever_it_was_built_for(
    installed: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.quick.known_sources.version", lambda package: installed)
    assert are_known({"torch": "2.13.0"}, {}) is known
