"""The rooms: what the wheel holds, who imports whom, and what --help must not import."""

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
HEAVY = ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_litert", "executorch", "matplotlib", "numpy")


def sources() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported_names(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_nothing_to_its_right(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    to_the_right = ROOMS[ROOMS.index(room) + 1 :]
    seen = {name.split(".")[0] for name in imported_names(ast.parse(path.read_text(encoding="utf-8")))}
    assert not seen & set(to_the_right)


@pytest.mark.parametrize("room", ["export", "runtimes", "validation"])
def test_beyond_the_network_room_only_the_contract_of_edgevit_is_known(room: str) -> None:
    allowed = {"edgevit.errors", "edgevit.records", "edgevit.spec", "edgevit.paper", "edgevit"}
    for path in sorted((ROOT / room).rglob("*.py")):
        seen = {
            name
            for name in imported_names(ast.parse(path.read_text(encoding="utf-8")))
            if name.split(".")[0] == "edgevit"
        }
        assert seen <= allowed, f"{path.relative_to(ROOT)} imports {seen - allowed}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_the_wheel_holds_exactly_the_five_packages(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # a copy, since setuptools keeps what an earlier build left in build/
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == set(ROOMS)
    packaged = {name for name in names if name.endswith(".py")}
    assert packaged == {str(path.relative_to(ROOT)) for path in sources()}
    assert "edgevit/network/variants.toml" in names
    assert "edgevit/paper_tables.json" in names


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom edgevit_export.__main__ import run\n"
        "code = run(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"
    assert "--variant s --format ptl,onnx,tflite" in done.stdout
