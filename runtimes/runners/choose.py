"""Which runner can measure which format on a device, and how to get the missing ones."""

from __future__ import annotations

import sys
from pathlib import Path

from edgevit.errors import DeviceError, MissingDependencyError, UsageError
from edgevit.records import Record, read_json
from export.recipe import Format
from runtimes.conditions.state import DeviceState
from runtimes.devices.device import Device
from runtimes.runners.exits import program_abi, standard_abi
from runtimes.runners.python.bundle import PYTHON_REQUIRED
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Runner
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.adapter import ToolAdapter
from runtimes.runners.tools.launch import ToolRunner
from runtimes.sessions.table import RUNTIMES

PROBE_TIMEOUT_S = 60.0  # chosen, because a python on a slow card takes some seconds to start

# Finds modules without importing them: torch alone would take seconds.
_PROBE = (
    "import sys, json; from importlib.util import find_spec; "
    "print(json.dumps({'version': list(sys.version_info[:3]), "
    "'modules': [name for name in sys.argv[1:] if find_spec(name)]}))"
)


class PythonFacts(Record):
    """The device's python3: version None when there is none, ``complaint`` why."""

    command: str
    version: tuple[int, int, int] | None
    modules: tuple[str, ...]
    complaint: str = ""

    def why_not(self, format: Format) -> str | None:
        """Why it cannot run ``format``; None when it can."""
        if self.version is None:
            return f"no '{self.command}' on the device ({self.complaint})"
        if self.version[:2] < PYTHON_REQUIRED:
            seen, needed = ".".join(map(str, self.version)), ".".join(map(str, PYTHON_REQUIRED))
            return f"its python is {seen}, {needed} or newer is needed"
        runtimes = RUNTIMES[format].needs
        missing = [] if "numpy" in self.modules else ["numpy"]
        if not any(name in self.modules for name in runtimes):
            missing.append(" or ".join(runtimes))
        return f"its python lacks {', '.join(missing)}" if missing else None


class _Probed(Record):
    """What ``_PROBE`` prints."""

    version: tuple[int, int, int]
    modules: tuple[str, ...]


class RunnerOption(Record):
    """One runner for one format on one device. ``how`` says how to get it when it cannot be used."""

    format: Format
    runner: str
    usable: bool
    why_not: str | None
    how: str
    verifies: bool


class RunnerOptions(Record):
    """Which runner can be used for which format on one device; ``devices --setup`` prints it."""

    serial: str
    abi: str
    python: PythonFacts
    options: tuple[RunnerOption, ...]


def probe_python(device: Device, command: str) -> PythonFacts:
    """Ask the device's python for its version and for the modules that the formats need."""
    names = {"numpy", *(name for row in RUNTIMES.values() for name in row.needs)}
    result = device.run([command, "-c", _PROBE, *sorted(names)], PROBE_TIMEOUT_S)
    if not result.ok:
        return PythonFacts(command=command, version=None, modules=(), complaint=result.complaint[:200])
    try:
        line = result.out.strip().rpartition("\n")[2]
        seen = read_json(line, _Probed, what="answer", origin="it", failure=DeviceError)
    except DeviceError as error:
        raise DeviceError(f"'{command}' on {device.serial} answered nonsense: {result.out[:200]!r}") from error
    return PythonFacts(command=command, version=seen.version, modules=seen.modules)


def find_tool(adapter: ToolAdapter, tools_dir: Path | None, abi: str) -> Path | None:
    """The tool's binary for ``abi``: ``DIR/<abi>/<binary>``, or the one file there whose name contains it."""
    if tools_dir is None:
        return None
    home = tools_dir / abi
    exact = home / adapter.name
    if exact.is_file():
        return exact
    similar = sorted(path for path in home.glob(f"*{adapter.name}*") if path.is_file())
    return similar[0] if len(similar) == 1 else None


def runner_options(device: Device, state: DeviceState, *, python: str | None, tools_dir: Path | None) -> RunnerOptions:
    """Which runner can be used for which format; ``python`` None means ``python3``, here the one that runs this.

    Raises:
        DeviceError: The device was lost or answered nonsense.
    """
    facts = probe_python(device, python or (sys.executable if device.kind == "host" else "python3"))
    abi = standard_abi(state.abi or "unknown")
    options: list[RunnerOption] = []
    for format, row in RUNTIMES.items():
        why = facts.why_not(format)
        how = f"python3 -m pip install numpy {row.packages[0]}   (on the device, with python 3.11 or newer)"
        options.append(_option(format, "python", why, how, verifies=True))
        adapter = TOOLS[format]
        why = _tool_why_not(adapter, tools_dir, abi)
        how = f"{adapter.how_to_get}; then put it at TOOLS/{abi}/{adapter.name} and give --tools-dir TOOLS"
        options.append(_option(format, adapter.name, why, how, verifies=adapter.dumps_outputs))
    return RunnerOptions(serial=device.serial, abi=abi, python=facts, options=tuple(options))


def _option(format: Format, runner: str, why_not: str | None, how: str, *, verifies: bool) -> RunnerOption:
    return RunnerOption(
        format=format, runner=runner, usable=why_not is None, why_not=why_not, how=how, verifies=verifies
    )


def _tool_why_not(adapter: ToolAdapter, tools_dir: Path | None, abi: str) -> str | None:
    if tools_dir is None:
        return "no --tools-dir was given"
    binary = find_tool(adapter, tools_dir, abi)
    if binary is None:
        return f"no {tools_dir / abi / adapter.name}"
    return abi_problem(binary, abi)


def abi_problem(binary: Path, abi: str) -> str | None:
    """Why ``binary`` cannot run on a device of ``abi``, by its ELF header; None when it can or is no ELF file."""
    built_for = program_abi(binary)
    if built_for is None or abi == "unknown" or built_for == standard_abi(abi):
        return None
    if (abi, built_for) in {("arm64-v8a", "armeabi-v7a"), ("x86_64", "x86")}:
        return None  # 64-bit devices run 32-bit programs, as far as their vendor allows
    return f"{binary} was built for {built_for}, the device is {abi}"


def choose_runner(
    found: RunnerOptions, wanted: str, format: Format, *, tools_dir: Path | None, android: bool
) -> Runner:
    """The runner for ``format`` on a device, as ``--runner`` asks.

    Args:
        found: Which runners can be used there.
        wanted: ``auto`` (python, else the tool), ``python``, ``tool``, or the path of a tool's binary.
        format: What it is to run.
        tools_dir: ``--tools-dir``.
        android: Whether tools write to Android's log.

    Raises:
        UsageError: ``--runner`` is neither a choice nor a file.
        MissingDependencyError: The runner is not there; the hint says how to get it.
        DeviceError: The tool was built for another ABI.
    """
    adapter = TOOLS[format]
    if wanted not in ("auto", "python", "tool", adapter.name):
        return ToolRunner(adapter, _given_tool(found, wanted, format), android=android)
    options = {option.runner: option for option in found.options if option.format is format}
    names = {"auto": ("python", adapter.name), "python": ("python",)}.get(wanted, (adapter.name,))
    usable = next((name for name in names if options[name].usable), None)
    if usable is None:
        reasons = "; ".join(f"{name}: {options[name].why_not}" for name in names)
        raise MissingDependencyError(
            f"nothing on {found.serial} ({found.abi}) can run {format}: {reasons}",
            hint="edgevit-export devices --setup says how to get each runner",
        )
    if usable == "python":
        return PythonRunner(found.python.command)
    binary = find_tool(adapter, tools_dir, found.abi)
    assert binary is not None
    return ToolRunner(adapter, binary, android=android)


def _given_tool(found: RunnerOptions, wanted: str, format: Format) -> Path:
    """The binary that ``--runner`` names."""
    binary, adapter = Path(wanted), TOOLS[format]
    if not binary.is_file():
        raise UsageError(f"--runner '{wanted}': choose auto, python, tool, {adapter.name} (for {format}), or a file")
    if problem := abi_problem(binary, found.abi):
        raise DeviceError(problem, hint=f"get a build for {found.abi}: {adapter.how_to_get}")
    return binary
