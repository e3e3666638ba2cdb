"""What an installation is told to install exists and is what pip takes, however it was installed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import pytest

from edgevit import installation
from edgevit.errors import MissingDependencyError
from edgevit.installation import install_extra, install_packages, requirements_of
from export.formats.table import FORMATS
from runtimes.sessions.table import RUNTIMES

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")


def raised() -> list[tuple[str, dict[str, ast.expr]]]:
    """Where a package is said to be missing, with the words of the call."""
    found = []
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingDependencyError":
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found.append((place, {word.arg: word.value for word in node.keywords if word.arg}))
    return found


@pytest.mark.parametrize(("place", "words"), raised(), ids=lambda each: each if isinstance(each, str) else "")
def test_whatever_is_missing_names_an_extra_that_exists(place: str, words: dict[str, ast.expr]) -> None:
    assert len(words) == 1, f"{place}: one of extra, packages, hint"
    (kind, value), text = next(iter(words.items())), ast.unparse(next(iter(words.values())))
    if kind == "extra":
        assert text == "row.extra" or ast.literal_eval(value) in EXTRAS, place
    else:
        assert kind == "packages" or "pip install" not in text, place


def test_the_extras_of_formats_and_runtimes_exist() -> None:
    assert len(raised()) > 10
    assert {row.extra for table in (FORMATS, RUNTIMES) for row in table.values()} <= set(EXTRAS)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree, in a directory whose name a shell would take apart."""
    tree = tmp_path / "my tree's"
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "constraints.txt"):
        shutil.copy(ROOT / name, tree / name)
    return tree


def dry_run(command: str, cwd: Path) -> str:
    """What pip says to a command, without the index and without what the packages need."""
    words = [sys.executable, "-m", "pip", *shlex.split(command)[shlex.split(command).index("install") :]]
    flags = ("--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed")
    done = subprocess.run([*words, *flags], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_pip_takes_every_extra_of_a_source_tree(tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "__file__", str(tree / "edgevit" / "installation.py"))
    monkeypatch.chdir(tmp_path)
    commands = {extra: install_extra(extra) for extra in EXTRAS}
    (one,) = {command.replace(f"[{extra}]", "[EXTRA]") for extra, command in commands.items()}
    assert "-c" in one and "-e" in one
    said = dry_run(one.replace("EXTRA", ",".join(EXTRAS)), tmp_path)
    assert "Would install" in said and "does not provide the extra" not in said
    monkeypatch.chdir(tree)
    assert install_extra("onnx").endswith("install -c constraints.txt -e '.[onnx]'")


class Installed(Distribution):
    """An installation from somewhere, without a source tree beside it."""

    def __init__(self, origin: dict[str, object] | None) -> None:
        self.origin = origin

    def read_text(self, filename: str) -> str | None:
        return json.dumps(self.origin) if filename == "direct_url.json" and self.origin is not None else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "site-packages" / "edgevit" / "installation.py"))
    monkeypatch.setattr(metadata, "requires", lambda _: LINES)
    return monkeypatch


LINES = [
    "numpy>=1.26", 'torch==2.13.0; extra == "ptl"', 'edgevit-export[ptl]; extra == "onnx"',
    'onnx>=1.17; extra == "onnx"',
    'uvloop; sys_platform == "linux" and extra == "onnx"', 'pillow; extra == "onnx-more"',
]  # fmt: skip


def last_words(origin: dict[str, object] | None, patch: pytest.MonkeyPatch) -> list[str]:
    patch.setattr(metadata, "distribution", lambda _: Installed(origin))
    words = shlex.split(install_extra("onnx"))
    return words[words.index("install") + 1 :]


def test_each_origin_is_named_again(elsewhere: pytest.MonkeyPatch, tmp_path: Path, tree: Path) -> None:
    wheel = tmp_path / "edgevit_export-0.1.0-py3-none-any.whl"
    wheel.touch()
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert last_words({"url": wheel.as_uri(), "archive_info": {}}, elsewhere) == [f"{wheel}[onnx]"]
    kept = last_words({"url": tree.as_uri(), "dir_info": {}}, elsewhere)
    assert kept == ["-c", f"{tree}/constraints.txt", f"{tree}[onnx]"]
    git = {"url": "https://example.org/e.git", "vcs_info": {"vcs": "git", "commit_id": commit}}
    assert last_words(git, elsewhere) == [f"edgevit-export[onnx] @ git+https://example.org/e.git@{commit}"]
    local = {**git, "url": tree.as_uri()}
    assert last_words(local, elsewhere) == [f"edgevit-export[onnx] @ git+{tree.as_uri()}@{commit}"]
    below = {**git, "subdirectory": "tool"}
    assert last_words(below, elsewhere) == [
        f"edgevit-export[onnx] @ git+https://example.org/e.git@{commit}#subdirectory=tool"
    ]
    remote = {"url": "https://example.org/edgevit_export-0.1.0-py3-none-any.whl", "archive_info": {}}
    assert last_words(remote, elsewhere) == [f"edgevit-export[onnx] @ {remote['url']}"]


def test_without_an_origin_the_packages_themselves_are_named(elsewhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages = ["torch==2.13.0", "onnx>=1.17", 'uvloop; sys_platform == "linux"']
    gone = tmp_path / "gone"
    for origin in (
        None,
        {"url": gone.as_uri(), "dir_info": {"editable": True}},
        {"url": gone.as_uri(), "archive_info": {}},
    ):
        assert last_words(origin, elsewhere) == packages
    assert requirements_of("ptl", LINES) == ["torch==2.13.0"]


def test_this_installations_own_metadata_is_understood() -> None:
    for extra, wanted in EXTRAS.items():
        found = requirements_of(extra, metadata.requires("edgevit-export") or [])
        assert found and not any(each.startswith("edgevit-export") or "extra" in each for each in found)
        own = {re.split("[<>=]", each)[0] for each in wanted if not each.startswith("edgevit-export")}
        assert own <= {re.split("[<>=;]", each)[0].strip() for each in found}


def test_a_copy_of_some_modules_still_says_something(elsewhere: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Distribution:
        raise PackageNotFoundError

    elsewhere.setattr(metadata, "distribution", missing)
    assert install_extra("onnx") == "install edgevit-export with its extra 'onnx'"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pipx", ["pipx", "runpip", "edgevit-export", "install", "x"]),
        ("uv", ["uv", "pip", "install", "--python", sys.executable, "x"]),
        ("no pip", ["pip", "--python", sys.executable, "install", "x"]),
        ("active", ["pip", "install", "x"]),
        ("not active", [sys.executable, "-m", "pip", "install", "x"]),
    ],
)
def test_the_environment_itself_is_installed_into(
    setting: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_path = {"uv": "/usr/bin/uv", "active": str(Path(sys.executable).with_name("pip"))}.get(setting)
    monkeypatch.setattr(installation, "find_spec", lambda _: None if setting in ("uv", "no pip") else object())
    monkeypatch.setattr(shutil, "which", lambda _: on_path)
    prefix = tmp_path / "edgevit-export"
    prefix.mkdir()
    monkeypatch.setattr(sys, "prefix", str(prefix))
    if setting == "pipx":
        (prefix / "pipx_metadata.json").touch()
    assert shlex.split(install_packages("x")) == words


def test_the_error_words_its_hint_itself() -> None:
    assert MissingDependencyError("no onnx", extra="onnx").hint == install_extra("onnx")
    assert MissingDependencyError("no onnx", packages=("onnx>=1.17",)).hint == install_packages("onnx>=1.17")
    assert MissingDependencyError("no adb", hint="apt install adb").hint == "apt install adb"
