"""Which runner can measure which format on a device, and how to get the missing ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import DeviceError, MissingDependencyError, UsageError
from edgevit.records import Record, read_json
from edgevit.shell import command_line, quoted
from export.recipe import Format
from runtimes.conditions.state import DeviceState
from runtimes.devices.device import Device
from runtimes.runners.exits import program_abi, standard_abi
from runtimes.runners.native.launch import NATIVE, NATIVE_GLIBC, NativeFiles, NativeRunner
from runtimes.runners.native.usable import Lacking, Missing, glibc_version, native_files
from runtimes.runners.python.bundle import PYTHON_REQUIRED
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Runner
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.adapter import ToolAdapter
from runtimes.runners.tools.launch import ToolRunner
from runtimes.sessions.table import RUNTIMES

RUNNER_CHOICES = ("auto", "python", NATIVE, NATIVE_GLIBC, "tool")
_TOOL_NAMES = tuple(adapter.name for adapter in TOOLS.values())
_TAKEN_BY = {"--python": ("auto", "python"), "--tools-dir": ("auto", "tool", *_TOOL_NAMES)}
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

    def setup(self, formats: Iterable[Format]) -> str | None:
        """The command on the device that brings what this python lacks; None where it lacks nothing, or is none."""
        lacking = [] if "numpy" in self.modules else ["numpy"]
        rows = [RUNTIMES[format] for format in formats]
        lacking += [row.packages[0] for row in rows if not any(name in self.modules for name in row.needs)]
        if self.version is None or self.version[:2] < PYTHON_REQUIRED or not lacking:
            return None
        return command_line(self.command, "-m", "pip", "install", *lacking)


class _Probed(Record):
    """What ``_PROBE`` prints."""

    version: tuple[int, int, int]
    modules: tuple[str, ...]


class RunnerOption(Record):
    """One runner for one format on one device. ``how`` says how to get it when it cannot be used.

    ``experimental`` ones are never chosen by themselves. ``is_brought``: what is missing is among what
    ``RunnerOptions.native_setup`` brings.
    """

    format: Format
    runner: str
    usable: bool
    why_not: str | None
    how: str
    verifies: bool
    experimental: bool = False
    is_brought: bool = False


class RunnerOptions(Record):
    """Which runner can be used for which format on one device; ``devices --setup`` prints it.

    Attributes:
        serial: Of the device.
        abi: Of the device.
        python: The device's own.
        options: All that were looked up.
        auto: For each format the runner that ``auto`` takes, None for none; empty where it was not asked for.
        native_setup: The line of commands that brings all that the native runner lacks; None where it lacks nothing
            that could be brought.
        python_setup: The command, on the device, that brings all that its python lacks; None where it lacks nothing,
            or is none that packages would help.
    """

    serial: str
    abi: str
    python: PythonFacts
    options: tuple[RunnerOption, ...]
    auto: dict[Format, str | None]
    native_setup: str | None = None
    python_setup: str | None = None


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


@dataclass(frozen=True)
class FoundRunners:
    """What was found on one device and here: what to print, and what the native runner consists of, by its name."""

    options: RunnerOptions
    native: Mapping[tuple[Format, str], NativeFiles]


def runner_options(
    device: Device,
    state: DeviceState,
    *,
    python: str | None,
    tools_dir: Path | None,
    formats: Iterable[Format] = tuple(Format),
    wanted: str | None = None,
) -> FoundRunners:
    """Which runner can be used for which format; ``python`` None means ``python3``, here the one that runs this.

    ``wanted`` is what ``choose_runner`` will be asked for: native runners that it would not take are not looked up,
    since every look checks the hashes of large files. None looks for all.

    Raises:
        DeviceError: The device was lost or answered nonsense.
    """
    facts = probe_python(device, python or (sys.executable if device.kind == "host" else "python3"))
    abi = standard_abi(state.abi or "unknown")
    libc = glibc_version(device, state)
    options: list[RunnerOption] = []
    native: dict[tuple[Format, str], NativeFiles] = {}
    lacking: Lacking | None = None
    formats = tuple(dict.fromkeys(formats))
    for format in formats:
        options.append(_python_option(facts, format))
        for name in _native_names(wanted, state, python_usable=options[-1].usable):
            found = native_files(state, format, libc, own_glibc=name == NATIVE_GLIBC)
            if isinstance(found, NativeFiles):
                native[format, name] = found
            elif name == NATIVE and found.lacking is not None:
                lacking = lacking | found.lacking if lacking else found.lacking
            options.append(_native_option(format, name, found))
        options.append(_tool_option(format, tools_dir, abi))
    android = state.android_version is not None
    taken = {each: _first_usable(options, each, _auto_order(each, android=android)) for each in formats}
    told = RunnerOptions(
        serial=device.serial,
        abi=abi,
        python=facts,
        options=tuple(options),
        auto=taken if wanted in (None, "auto") else {},
        native_setup=lacking.commands if lacking else None,
        python_setup=facts.setup(formats),
    )
    return FoundRunners(told, native)


def _auto_order(format: Format, *, android: bool) -> tuple[str, ...]:
    """The runners that ``auto`` may take, the first that can be used."""
    tool = TOOLS[format].name
    return (NATIVE, "python", tool) if android else ("python", NATIVE, tool)


def _first_usable(options: Iterable[RunnerOption], format: Format, names: Iterable[str]) -> str | None:
    usable = {option.runner for option in options if option.format is format and option.usable}
    return next((name for name in names if name in usable), None)


def _native_names(wanted: str | None, state: DeviceState, *, python_usable: bool) -> list[str]:
    """The native runners that may be taken."""
    if wanted == "auto":
        return [NATIVE] if state.android_version is not None or not python_usable else []
    return [name for name in (NATIVE, NATIVE_GLIBC) if wanted in (None, name)]


def _python_option(facts: PythonFacts, format: Format) -> RunnerOption:
    why = facts.why_not(format)
    package = RUNTIMES[format].packages[0]
    how = f"python3 -m pip install numpy {package}   (on the device, with python 3.11 or newer)"
    return RunnerOption(format=format, runner="python", usable=why is None, why_not=why, how=how, verifies=True)


def _native_option(format: Format, name: str, found: NativeFiles | Missing) -> RunnerOption:
    missing = found if isinstance(found, Missing) else None
    return RunnerOption(
        format=format,
        runner=name,
        usable=missing is None,
        why_not=missing.why if missing else None,
        how=missing.how if missing else "",
        verifies=True,
        experimental=name == NATIVE_GLIBC,
        is_brought=name == NATIVE and missing is not None and missing.lacking is not None,
    )


def _tool_option(format: Format, tools_dir: Path | None, abi: str) -> RunnerOption:
    adapter = TOOLS[format]
    why = _tool_why_not(adapter, tools_dir, abi)
    how = f"{adapter.how_to_get}; then put it at TOOLS/{abi}/{adapter.name} and give --tools-dir TOOLS"
    verifies = adapter.dumps_outputs
    return RunnerOption(format=format, runner=adapter.name, usable=why is None, why_not=why, how=how, verifies=verifies)


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


def require_taken(wanted: str, *, python: str | None, tools_dir: str | None) -> None:
    """Refuse what the runner that is asked for would not look at; ``auto`` looks at all of it.

    Raises:
        UsageError: ``--python`` or ``--tools-dir`` has no effect with this ``--runner``.
    """
    if wanted not in (*RUNNER_CHOICES, *_TOOL_NAMES) and not Path(wanted).is_file():
        return  # ``choose_runner`` knows the choices for the format
    given = {"--python": python, "--tools-dir": tools_dir}
    unused = [option for option, value in given.items() if value is not None and wanted not in _TAKEN_BY[option]]
    if unused:
        options, takes = ", ".join(unused), "auto" if len(unused) > 1 else _TAKEN_BY[unused[0]][1]
        raise UsageError(
            f"{options} with --runner {quoted(wanted)}: no effect on that runner",
            hint=f"leave out {options}, or ask for --runner {quoted(takes)}",
        )


def choose_runner(found: FoundRunners, wanted: str, format: Format, *, tools_dir: Path | None, android: bool) -> Runner:
    """The runner for ``format`` on a device, as ``--runner`` asks.

    Args:
        found: Which runners can be used there.
        wanted: ``auto`` (python, else native, else the tool; on Android native first), ``python``, ``native``,
            ``native-glibc``, ``tool``, or the path of a tool's binary.
        format: What it is to run.
        tools_dir: ``--tools-dir``.
        android: Whether tools write to Android's log.

    Raises:
        UsageError: ``--runner`` is neither a choice nor a file.
        MissingDependencyError: The runner is not there; the hint says how to get it.
        DeviceError: The tool was built for another ABI.
    """
    adapter, told = TOOLS[format], found.options
    if wanted not in (*RUNNER_CHOICES, adapter.name):
        return _tool_runner(adapter, _given_tool(told, wanted, format), told.abi, android=android)
    auto = _auto_order(format, android=android)
    names = {"auto": auto, "tool": (adapter.name,)}.get(wanted, (wanted,))
    usable = _first_usable(told.options, format, names)
    if usable is None:
        options = {option.runner: option for option in told.options if option.format is format}
        raise _nothing_usable(told, format, [options[name] for name in names if name in options])
    if usable == "python":
        return PythonRunner(told.python.command)
    if (files := found.native.get((format, usable))) is not None:
        return NativeRunner(files)
    binary = find_tool(adapter, tools_dir, told.abi)
    assert binary is not None
    return _tool_runner(adapter, binary, told.abi, android=android)


def _tool_runner(adapter: ToolAdapter, binary: Path, abi: str, *, android: bool) -> ToolRunner:
    return ToolRunner(adapter, binary, android=android, built_for=abi if program_abi(binary) == abi else None)


def _nothing_usable(found: RunnerOptions, format: Format, tried: list[RunnerOption]) -> MissingDependencyError:
    reasons = "; ".join(f"{option.runner}: {option.why_not}" for option in tried)
    return MissingDependencyError(
        f"nothing on {found.serial} ({found.abi}) can run {format}: {reasons}",
        hint=tried[0].how if len(tried) == 1 else "edgevit-export devices --setup says how to get one",
    )


def _given_tool(found: RunnerOptions, wanted: str, format: Format) -> Path:
    """The binary that ``--runner`` names."""
    binary, adapter = Path(wanted), TOOLS[format]
    if not binary.is_file():
        raise UsageError(
            f"--runner '{wanted}': choose {', '.join(RUNNER_CHOICES)}, {adapter.name} (for {format}), or a file"
        )
    if problem := abi_problem(binary, found.abi):
        raise DeviceError(problem, hint=f"get a build for {found.abi}: {adapter.how_to_get}")
    return binary
