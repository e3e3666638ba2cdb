"""A user's own code: found, hashed before it runs, and every failure told with its line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevit.errors import UsageError
from edgevit.records import sha256_file
from edgevit.sources.user_code import load_user_code, split_target


@pytest.fixture(autouse=True)
def paths_as_they_were() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("_edgevit_module_", "own_")):
            del sys.modules[name]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("net.py", ("net.py", "")),
        ("a:b/net.py", ("a:b/net.py", "")),
        ("dir/net.py:make", ("dir/net.py", "make")),
        ("own.net", ("own.net", "")),
        ("own.net:make", ("own.net", "make")),
    ],
)
def test_the_parts_of_a_name(text: str, parts: tuple[str, str]) -> None:
    assert split_target(text) == parts


def test_a_file_is_imported_with_what_lies_beside_it(tmp_path: Path) -> None:
    written(tmp_path, "own_layers.py", "SIZE = 7\n")
    path = written(tmp_path, "net.py", "import own_layers\ndef get_model():\n    return own_layers.SIZE\n")
    code = load_user_code(str(path))
    assert (code.factory, code.path, code.sha256) == ("get_model", path, sha256_file(path))
    assert code.call("get_model") == 7
    assert load_user_code(f"{path}:get_model", sha256_file(path)).module is code.module, "imported once"


def test_a_module_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "own_package/__init__.py", "")
    path = written(tmp_path, "own_package/net.py", "def make():\n    return 5\n")
    monkeypatch.chdir(tmp_path)
    code = load_user_code("own_package.net:make")
    assert code.call(code.factory) == 5 and code.path.resolve() == path.resolve()


def test_another_file_is_refused_before_any_of_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = written(tmp_path, "net.py", f"open({str(mark)!r}, 'w')\ndef get_model(): pass\n")
    with pytest.raises(UsageError, match="it was changed since, or is another file; nothing of it was run"):
        load_user_code(str(path), "0" * 64)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise KeyError('gone')\n", r"cannot import .*net.py: KeyError: 'gone' \(.*net.py:1, in <module>\)"),
        ("import own_nowhere\n", r"ModuleNotFoundError: .*own_nowhere.*net.py:1"),
        ("def broken(:\n", r"SyntaxError: .*net.py:1\)"),
        ("def make(): pass\nget_model = 3\n", "has no function 'get_model'"),
        ("from .x import y\n", r"relative import"),
        ("import sys\nsys.exit()\n", r"cannot import .*net.py: SystemExit.*net.py:2, in <module>\)"),
        ("def get_model():\n    raise SystemExit(0)\n", r"of net.py fails: SystemExit: 0 \(.*net.py:2, in get_model\)"),
        ("import sys\ndef get_model():\n    sys.nowhere\n", r"of net.py fails: AttributeError.*net.py:3, in get_model"),
    ],
)  # fmt: skip
def test_failures_of_the_code_keep_their_line(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, "net.py", text)
    before = set(sys.modules)
    with pytest.raises(UsageError, match=words) as caught:
        load_user_code(str(path)).call("get_model")
    if "make" in text:
        assert f"--module {path}:make" in str(caught.value.hint)
    assert ("PACKAGE.MODULE" in str(caught.value.hint)) == ("relative" in words)
    assert "get_model" in text or not [name for name in set(sys.modules) - before if name.startswith("_edgevit")]


@pytest.mark.parametrize("name", ["gone.py", "own_gone.net:make", "own_gone", "sys:exit", "", "/tmp", __file__ + "x"])
def test_what_cannot_be_found(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"no such file: gone.py|no module|cannot import|no file whose name ends in .py"
    ):
        load_user_code(name)
