"""The house: which way imports point, how large its parts are, where tests are found, and what the wheel holds."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from string_arrows import string_arrows

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "litert_torch",
    "ai_edge_litert",
    "executorch",
    "matplotlib",
    "jinja2",
)

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 50
MOST_MODULES = 20

# Modules with logic that no tests/<its folder>/test_<its name>.py tests, each with the reason.
MOST_EXCEPTIONS = 20
TESTED_ELSEWHERE: dict[str, str] = {}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders or ROOMS for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def holds_logic(path: Path) -> bool:
    """Whether a function does anything; records, tables and protocols declare."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions(path)
        for statement in function.body
    )


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """What ``make lint`` runs, on the tree given."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_rooms(target: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, target / name)
    return target


def plant(tree: Path, file: str, line: str) -> None:
    with (tree / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")


def test_imports_keep_the_contracts(tmp_path: Path) -> None:
    """With one more that they allow, so that a copy is known to be read as the tree is."""
    tree = copy_of_the_rooms(tmp_path)
    plant(tree, "export/formats/flatbuffer.py", "import export.artifact")
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout


def test_every_arrow_to_the_right_breaks_a_contract(tmp_path: Path) -> None:
    tree = copy_of_the_rooms(tmp_path)
    arrows = (
        ("export/quiet.py", "import validation", "export.quiet -> validation"),
        (
            "edgevit/records.py",
            'MODULE = "runtimes.sessions.run_onnx:open"',
            "edgevit.records -> runtimes.sessions.run_onnx",
        ),
        (
            "runtimes/sessions/feed.py",
            'MODULE = f"runtimes.bench.{__name__}"',
            "runtimes.sessions.feed -> runtimes.bench",
        ),
        (
            "export/formats/ptl_file/read.py",
            'WRITER = "export.formats.ptl_file.write:write"',
            "export.formats.ptl_file.read -> export.formats.ptl_file.write",
        ),
    )
    for file, line, _ in arrows:
        plant(tree, file, line)
    done = lint_imports(tree)
    assert done.returncode == 1
    assert [arrow for *_, arrow in arrows if arrow not in done.stdout] == []


def test_module_paths_in_strings_are_found() -> None:
    modules = frozenset({"export", "export.formats", "export.formats.table", "runtimes", "runtimes.sessions"})
    text = """
"export.formats.table"
TABLE = {"onnx": "export.formats.table:read", "ptl": ("export.formats.gone", "runtimes.sessions.table.json")}
load(f"runtimes.run_{name}"), load(f"runtimes.sessions.{name}"), load(f"{room}.sessions")
"export", "exporter.formats", "see export.formats.table", "runtimes.", f"export {name}"
"""
    assert [tuple(arrow) for arrow in string_arrows(text, modules)] == [
        (2, "export.formats.table"),
        (3, "export.formats.table"),
        (3, "export.formats"),
        (3, "runtimes.sessions"),
        (4, "runtimes"),
        (4, "runtimes.sessions"),
    ]


@pytest.mark.parametrize("path", sources(*ROOMS, "tests", "benchmarks"), ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MOST_LINES
    for function in functions(path):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= MOST_LINES_OF_A_FUNCTION, f"{function.name} has {lines} lines"


def test_folders_stay_small() -> None:
    folders = {path.parent for path in sources(*ROOMS, "tests", "benchmarks")}
    crowded = {
        name_of(folder): count
        for folder in folders
        if (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > MOST_MODULES
    }
    one_rewrite_a_file = {"export/passes", "tests/export/passes"}
    found_by_pytest = {"tests/support"}  # pythonpath: imported by bare names, so that it cannot have rooms
    assert set(crowded) <= one_rewrite_a_file | found_by_pytest, crowded


def test_every_module_with_logic_has_a_test_of_its_name() -> None:
    untested = {
        name_of(path)
        for path in sources()
        if path.name != "__init__.py"
        and holds_logic(path)
        and not (ROOT / "tests" / path.relative_to(ROOT)).with_name(f"test_{path.name}").exists()
    }
    assert sorted(untested - set(TESTED_ELSEWHERE)) == []
    assert sorted(set(TESTED_ELSEWHERE) - untested) == [], "these need no exception any more"
    assert len(TESTED_ELSEWHERE) <= MOST_EXCEPTIONS


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name_of)
def test_no_file_of_tests_is_empty(path: Path) -> None:
    assert any(function.name.startswith("test_") for function in functions(path))


def test_the_wheel_holds_exactly_the_five_packages(tmp_path: Path) -> None:
    tree = copy_of_the_rooms(tmp_path / "tree")  # a copy, since setuptools keeps what an earlier build left in build/
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
    assert packaged == {name_of(path) for path in sources()}
    assert "edgevit/network/variants.toml" in names
    assert "edgevit/paper_tables.json" in names
    native = ROOT / "runtimes" / "runners" / "native" / "source"
    sources_in_c = {name_of(path) for path in native.rglob("*") if path.is_file()}
    assert sources_in_c and sources_in_c == {name for name in names if name.startswith(f"{name_of(native)}/")}


def heavy_modules_after(program: str, *heavy: str) -> str:
    """Run a program in a fresh interpreter, and say which heavy modules it loaded."""
    ending = f"\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])\n"
    done = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=True)
    return done.stdout


def test_help_imports_nothing_heavy() -> None:
    program = "from edgevit_export.__main__ import run\nassert run(['--help']) == 0\n"
    output = heavy_modules_after(program, *HEAVY, "numpy")
    assert output.splitlines()[-1] == "[]"
    assert "--variant s --format ptl,onnx,tflite" in output


WRITERS_ALONE = {
    "write.py", "steps.py", "quantize.py", "half.py", "layers.py", "int8_values.py", "clamp.py", "int8_call.py",
    "writing.py"
}  # fmt: skip  # of export/formats


def test_who_measures_judges_or_reads_an_artifact_loads_no_converter_and_no_runtime() -> None:
    light = [
        path
        for path in sources("runtimes", "validation", "edgevit_export", "export/formats")
        if path.name not in WRITERS_ALONE or "formats" not in path.parts
    ]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in light]
    program = "".join(f"import {module}\n" for module in modules)
    assert heavy_modules_after(program, *HEAVY, "adbutils", "usb", "Monsoon").splitlines()[-1] == "[]"


def test_no_file_that_the_tests_read_is_left_out_of_the_repository() -> None:
    """A pattern of ``.gitignore`` meant for the root must not reach into the source: a clone would lack those files."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listing = [git, "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", *ROOMS, "tests", "docs"]
    ignored = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    assert [name for name in ignored if name and not name.endswith(".pyc") and "_cache/" not in name] == []
