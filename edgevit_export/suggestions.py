"""What to type instead of what the command line did not understand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from edgevit.errors import UsageError

COMMANDS = (
    "bench",
    "compare",
    "devices",
    "doctor",
    "energy",
    "export",
    "inspect",
    "models",
    "paper",
    "report",
    "runner",
    "verify",
)
ENERGY_COMMANDS = ("analyze", "meters", "simulate")
RUNNER_COMMANDS = ("build", "fetch", "list")

_EXPORT = "edgevit-export export --variant s --format ptl,onnx,tflite"
_BENCH = "edgevit-export bench artifacts/"
_VERIFY = "edgevit-export verify artifacts/"
_REPORT = "edgevit-export report results/"
_INSPECT = "edgevit-export inspect FILE"
OTHER_NAMES = {
    **dict.fromkeys(("convert", "build", "compile", "create", "make", "deploy", "optimize", "optimise"), _EXPORT),
    **dict.fromkeys(("quantize", "quantise"), f"artifacts are float32 alone; {_EXPORT}"),
    **dict.fromkeys(("visualize", "visualise", "plot", "draw", "graph", "table"), f"{_REPORT}, or {_INSPECT}"),
    **dict.fromkeys(("benchmark", "measure", "profile", "time", "latency", "perf"), _BENCH),
    **dict.fromkeys(("validate", "check", "test", "prove", "audit", "parity"), _VERIFY),
    **dict.fromkeys(("run", "infer", "predict", "eval", "evaluate"), f"{_VERIFY}, or {_BENCH}"),
    **dict.fromkeys(("info", "show", "view", "print", "describe", "cat"), _INSPECT),
    **dict.fromkeys(("list", "variants", "ls"), "edgevit-export models"),
    **dict.fromkeys(("install", "setup", "env", "version", "versions", "diagnose"), "edgevit-export doctor"),
    **dict.fromkeys(("adb", "device", "phones"), "edgevit-export devices"),
    **dict.fromkeys(("power", "monsoon", "analyze", "analyse"), "edgevit-export energy analyze TRACE --runs 50"),
    "meters": "edgevit-export energy meters",
    "simulate": "edgevit-export energy simulate",
    **dict.fromkeys(("fetch", "ndk", "native", "runners"), "edgevit-export runner --help"),
    **dict.fromkeys(("diff", "regression"), "edgevit-export compare BEFORE.json AFTER.json"),
    "help": "edgevit-export --help",
}
"""What other tools call their commands, and what serves here."""
_ALIKE = 0.75  # two letters exchanged in five are 0.8; "train" is 0.67 to "print", which is another word
_LEAST_START = 3  # letters that begin no two commands


def usage_error(message: str, command: str) -> UsageError:
    """What the parser refused, with the command that was probably meant."""
    meant = _command_for(message)
    return UsageError(message.partition(" Did you mean")[0] if meant else message, hint=meant or f"{command} --help")


def command_in(arguments: Sequence[str]) -> str:
    """The command that ``arguments`` begin with, for errors that do not say in which they arose."""
    words = list(arguments[:1]) if arguments and arguments[0] in COMMANDS else []
    below = {"energy": ENERGY_COMMANDS, "runner": RUNNER_COMMANDS}
    words += [word for word in arguments[1:2] if words and word in below.get(words[0], ())]
    return " ".join(["edgevit-export", *words])


def _command_for(message: str) -> str | None:
    """What to type instead of a command that there is not."""
    start, _, rest = message.partition("'")
    if not start.startswith("No such command"):
        return None
    word = rest.partition("'")[0].lower()
    if word in OTHER_NAMES:
        return OTHER_NAMES[word]
    variant = re.sub("^edgevit[-_]?", "", word)
    if variant in _variants():
        return f"edgevit-export export --variant {variant}"
    begun = [name for name in COMMANDS if len(word) >= _LEAST_START and name.startswith(word)]
    close = begun or get_close_matches(word, [*COMMANDS, *OTHER_NAMES], n=1, cutoff=_ALIKE)
    return None if not close else OTHER_NAMES.get(close[0], f"did you mean 'edgevit-export {close[0]}'?")


def _variants() -> tuple[str, ...]:
    from edgevit.network.variants import variants

    return tuple(variants())
