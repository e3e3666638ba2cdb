"""``doctor``: versions, which formats can be exported and run here, and what to install for the rest."""

from __future__ import annotations

import importlib
import platform
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from edgevit.errors import MissingDependencyError, first_line
from edgevit.installation import install_extra
from edgevit.records import Record
from edgevit_export.commands.options import AsJson, Quiet
from edgevit_export.console import Progress, print_line, print_note, print_record, print_table, print_text
from export.formats.table import FORMATS
from export.manifest import tool_versions
from export.recipe import Format
from runtimes.sessions.table import require_sound_runtime

_PACKAGES = (
    "edgevit-export", "torch", "safetensors", "onnx", "onnxscript", "onnxsim", "onnxruntime", "litert-torch",
    "ai-edge-litert", "tflite-runtime", "executorch", "timm", "torchvision", "adbutils", "monsoon", "pyusb", "numpy",
    "pillow", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class DoctorOptions:
    """The options of ``doctor``."""

    as_json: AsJson = False
    quiet: Quiet = False


class Ability(Record):
    """Whether one thing can be done here. ``reason`` and ``install`` are empty when it can."""

    what: str
    able: bool
    reason: str = ""
    install: str = ""


class Diagnosis(Record):
    """All that ``doctor`` found; ``packages`` maps distribution name to version, installed ones only."""

    schema_version: Literal[1] = 1
    python: str
    platform: str
    packages: dict[str, str]
    abilities: tuple[Ability, ...]


def diagnose(progress: Progress) -> Diagnosis:
    """Import what each format needs, since an installed package may still be broken, and collect versions."""
    abilities: list[Ability] = []
    for row in FORMATS.values():
        with progress.step(f"checking {row.title}"):
            abilities.append(_can_use(f"export {row.format}", row.export_modules, row.extra))
            abilities.append(_can_run(row.format))
    abilities += [_can_reach_devices(), _can_use("Monsoon power monitor", ("Monsoon", "usb"), "monsoon")]
    abilities.append(_can_use("reports with plots", ("matplotlib", "jinja2"), "report"))
    with progress.step("checking timm"):
        abilities.append(_can_use_timm())
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Diagnosis(
        python=platform.python_version(), platform=system, packages=tool_versions(_PACKAGES), abilities=tuple(abilities)
    )


def _import_problem(module: str) -> str:
    """Why ``module`` cannot be used, or an empty string."""
    from export.quiet import quiet

    if find_spec(module) is None:
        return f"{module} not installed"
    try:
        with quiet():
            importlib.import_module(module)
    except Exception as error:  # a broken native library raises anything; doctor must report it and go on
        return f"{module} is broken: {type(error).__name__}: {error}".splitlines()[0]
    return ""


def _can_run(format: Format) -> Ability:
    what = f"run and verify {format}"
    try:
        require_sound_runtime(format)
    except MissingDependencyError as error:
        reason = error.message.removeprefix(f"cannot run {format}: ")
        return Ability(what=what, able=False, reason=reason, install=error.hint or "")
    return Ability(what=what, able=True)


def _can_use(what: str, modules: tuple[str, ...], extra: str) -> Ability:
    problems = [problem for module in modules if (problem := _import_problem(module))]
    if not problems:
        return Ability(what=what, able=True)
    return Ability(what=what, able=False, reason="; ".join(problems), install=install_extra(extra))


def _can_use_timm() -> Ability:
    """Whether timm can be imported, which takes a torchvision that fits this torch."""
    from edgevit.sources.timm_installed import timm_module
    from export.quiet import quiet

    what = "build timm's networks"
    try:
        with quiet():
            timm_module()
    except MissingDependencyError as error:
        reason = error.message.removeprefix("cannot use timm's networks: ")
        return Ability(what=what, able=False, reason=reason, install=error.hint or "")
    except Exception as error:  # broken in its own way, which the doctor must report and go on
        reason = f"timm is broken: {type(error).__name__}: {first_line(error)}"
        return Ability(what=what, able=False, reason=reason, install=install_extra("timm"))
    return Ability(what=what, able=True)


def _can_reach_devices() -> Ability:
    what = "devices over ADB"
    found = _can_use(what, ("adbutils",), "adb")
    if not found.able:
        return found
    import adbutils

    if shutil.which("adb") is None and not adbutils.adb_path():
        install = "install Android's platform-tools, e.g. apt-get install adb"
        return Ability(what=what, able=False, reason="no adb program", install=install)
    return found


def doctor(options: DoctorOptions) -> None:
    """Show what can be done here.

    Versions, which formats can be exported and run, and what to install for the rest.
    """
    diagnosis = diagnose(Progress())
    if options.as_json:
        print_record(diagnosis)
        return
    print_note(f"Python {diagnosis.python} on {diagnosis.platform}")
    print_table(("package", "version"), list(diagnosis.packages.items()))
    print_line()
    rows = [(a.what, "yes" if a.able else "no", a.reason) for a in diagnosis.abilities]
    print_table(("this machine can", "", "why not"), rows)
    for command in dict.fromkeys(a.install for a in diagnosis.abilities if a.install):
        print_line()
        print_text(f"to {'; '.join(a.what for a in diagnosis.abilities if a.install == command)}:")
        print_line(f"  {command}")
