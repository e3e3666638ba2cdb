"""Where an artifact and the reference part: the first layer, found from the values of its intermediate tensors.

Tensor names in an artifact are the converter's, and passes fuse layers, so names cannot be matched; values can. Every
tensor that the runtime hands out is compared with the fingerprints of the network's modules (``export.fingerprint``):
the same number of elements, and statistics within a few times what float32 itself makes of them. The answer is the
place behind the last tensor, in execution order, that agrees with some module: "between ``blocks3.0`` (agrees) and
``/blocks3/1/Conv`` (does not)". Flat tensors agree with everything and are not evidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.fingerprint import TraceFingerprint, marginals, statistics
from export.golden import GoldenSet
from runtimes.sessions.session import Array, Session
from validation.artifact.feeding import batch_sizes, feed_of
from validation.artifact.parity import ParityReport

Floats = NDArray[np.float64]

TOLERANCE = 8.0  # times float32 eager's own noise: what parity allows at the output (validation.artifact.limits)
_INFORMATIVE = 50.0  # times the tolerance; chosen, because then chance does not make two modules agree
_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # passes move halves and doublings between layers, as GELU's
_RMS = 3  # position among export.fingerprint.statistics
_SEPARATORS = re.compile("[/;:]+")
_EPS = float(np.finfo(np.float32).eps)


class Divergence(Record):
    """The first place where an artifact leaves the reference.

    ``last_module`` and ``last_tensor`` are the last that agree (None: already the first one does not); ``tensor`` is
    the first tensor of the file that does not, ``operator`` what makes it, ``module`` the first module of the network
    behind ``last_module`` that should have been recognised and was not: the error is made there or, where passes
    dissolved modules (fused projections), between the two. ``agreeing`` of ``modules`` were recognised, which says how
    fine the answer is: an optimised file keeps fewer of the network's tensors. ``note`` says what else is known.
    """

    schema_version: Literal[1] = 1
    input: str
    tensor: str | None
    operator: str | None = None
    module: str | None = None
    last_tensor: str | None = None
    last_module: str | None = None
    agreeing: int = 0
    modules: int = 0
    note: str | None = None

    def describe(self) -> str:
        """One sentence for consoles and reports."""
        if self.tensor is None:
            return self.note or "no tensor of the artifact leaves the reference"
        made = f" ({self.operator})" if self.operator else ""
        where = f", in or before module {self.module}," if self.module else ""
        start = f"between {self.last_module} (agrees) and " if self.last_module else "at the very start: "
        note = f"; {self.note}" if self.note else ""
        return f"on {self.input}, {start}{self.tensor}{made}{where}{note}"


def find_divergence(
    session: Session, golden: GoldenSet, report: ParityReport, *, inputs: tuple[TensorSpec, ...] | None = None
) -> Divergence | None:
    """Find the first layer where a failed artifact parts from the reference.

    Args:
        session: The opened artifact.
        golden: The golden set, with fingerprints; without them only non-finite values can be placed.
        report: The failed comparison: its worst input is traced, or the worst of those that have fingerprints.
        inputs: As for ``validation.artifact.parity.compare``.

    Returns:
        None if the session cannot trace.

    Raises:
        SessionError: The runtime failed while tracing.
    """
    prints = golden.fingerprint
    row, index = _choose_input(report, golden, prints)
    inputs = inputs or session.inputs
    batch = batch_sizes(inputs)[0]
    feed = feed_of(inputs, golden, range(index, index + 1), batch)
    tensors = session.trace(feed)
    if tensors is None:
        return None
    label = golden.labels[index]
    operators = session.producers()
    found = _first_non_finite(tensors, label)
    if found is None and prints is not None:
        found = first_parting(tensors, prints, row, batch, label)
    if found is None:
        return Divergence(
            input=label, tensor=None, note="the golden set carries no fingerprints of the network's layers"
        )
    note = _runtime_note(session, golden, feed, tensors)
    return replace(
        found, operator=operators.get(found.tensor or ""), note="; ".join(filter(None, [found.note, note])) or None
    )


def first_parting(
    tensors: Mapping[str, Array], prints: TraceFingerprint, row: int, batch: int, label: str
) -> Divergence:
    """Compare a trace with fingerprints; pure arithmetic.

    Args:
        tensors: The artifact's tensors in execution order, in any layout, the batch perhaps folded into another
            axis; all ``batch`` samples must be the same input.
        prints: Fingerprints of the network's modules.
        row: Which fingerprinted input the trace is of.
        batch: Batch size of the trace.
        label: Name of that input.
    """
    names = [name for name, array in tensors.items() if array.dtype.kind == "f" and array.size]
    usable = informative(prints, row)
    modules = [match_module(tensors[name], prints, row, batch, usable) for name in names]
    last = max((position for position, module in enumerate(modules) if module is not None), default=None)
    seen = {module for module in modules if module is not None}
    found = Divergence(
        input=label,
        tensor=None,
        last_tensor=None if last is None else names[last],
        last_module=None if last is None else str(prints.modules[modules[last]]),
        agreeing=len(seen),
        modules=len(usable),
    )
    after = 0 if last is None else last + 1
    if after >= len(names):
        return replace(found, note="every intermediate tensor agrees up to the last one: only the final outputs differ")
    expected = _expected(prints, usable, seen)
    tensor = next((name for name in names[after:] if _can_agree(name, prints, expected)), names[after])
    missed = str(prints.modules[expected[0]]) if expected else None
    inside = module_in_name(tensor, prints)
    closest = missed if inside is None or (missed or "").startswith(f"{inside}.") else inside
    return replace(found, tensor=tensor, module=closest)


def _expected(prints: TraceFingerprint, usable: Sequence[int], seen: set[int]) -> list[int]:
    """The modules behind the last that agrees whose output should have been recognised.

    Passes fold some modules away everywhere: where those of a kind before that point were never recognised, that they
    are not behind it says nothing.
    """
    furthest = max(seen, default=-1)
    recognised = {_kind(prints, module) for module in seen}
    folded = {_kind(prints, module) for module in usable if module < furthest} - recognised
    return [module for module in usable if module > furthest and _kind(prints, module) not in folded]


def _can_agree(tensor: str, prints: TraceFingerprint, expected: Sequence[int]) -> bool:
    """Whether a tensor's name leaves room for one of the expected modules."""
    module = module_in_name(tensor, prints)
    return module is None or module in {str(prints.modules[position]) for position in expected}


def _kind(prints: TraceFingerprint, module: int) -> str:
    """What a module is to its parent, without the numbers of repetition: ``attn.qkv`` of ``blocks3.1.attn.qkv``."""
    parts = [part for part in str(prints.modules[module]).partition("#")[0].split(".") if not part.isdigit()]
    return ".".join(parts[-2:])


def module_in_name(tensor: str, prints: TraceFingerprint) -> str | None:
    """The longest module path that a tensor's name contains, as converters' names often do; None if there is none."""
    dotted = "." + _SEPARATORS.sub(".", tensor) + "."
    inside = [module for module in map(str, prints.modules) if f".{module}." in dotted]
    return max(inside, key=len, default=None)


def informative(prints: TraceFingerprint, row: int) -> list[int]:
    """The modules whose output varies far more than it is uncertain: only these can be recognised."""
    return [
        module
        for module in range(len(prints.modules))
        if prints.counts[module] > 1 and prints.stats[module, row, 1] > _INFORMATIVE * _tolerance(prints, row, module)
    ]


def match_module(array: Array, prints: TraceFingerprint, row: int, batch: int, candidates: Sequence[int]) -> int | None:
    """The last of the candidate modules whose output this tensor is, up to a permutation of its axes.

    ``array`` has ``batch`` times a module's elements in any shape: batch and channels may be anywhere.
    """
    fitting = [module for module in candidates if int(prints.counts[module]) * batch == array.size]
    if not fitting:
        return None
    stats = statistics(array)
    return next((module for module in reversed(fitting) if _agrees(array, stats, prints, row, module)), None)


def _agrees(array: Array, stats: Floats, prints: TraceFingerprint, row: int, module: int) -> bool:
    """Whether a tensor is a module's output, or a small power of two times it (the half of GELU moves freely).

    ``array`` has any shape; ``stats`` is its ``(11,)`` of ``export.fingerprint.statistics``.
    """
    reference, allowed = prints.stats[module, row], _tolerance(prints, row, module)
    if reference[_RMS] == 0.0 or stats[_RMS] == 0.0:
        return False
    factor = 2.0 ** round(float(np.log2(stats[_RMS] / reference[_RMS])))
    if factor not in _FACTORS or np.abs(stats / factor - reference).max() > allowed:
        return False
    return _channels_fit(array, factor, prints.module_marginals(module, row), allowed)


def _tolerance(prints: TraceFingerprint, row: int, module: int) -> float:
    largest = float(np.abs(prints.stats[module, row, 4:6]).max())
    return TOLERANCE * float(prints.noise[module, row]) + _EPS * largest


def _channels_fit(array: Array, factor: float, reference: Floats, allowed: float) -> bool:
    """Whether some axis of a tensor of any shape has the channels of ``reference``, ``(2, channels)``.

    True if it has no axis of that length, since passes fold channels into other axes.
    """
    axes = [axis for axis in range(array.ndim) if array.shape[axis] == reference.shape[1]]
    if not axes or reference.shape[1] == 0:
        return True
    return any(np.abs(marginals(array, axis) / factor - reference).max() <= allowed for axis in axes)


def _choose_input(report: ParityReport, golden: GoldenSet, prints: TraceFingerprint | None) -> tuple[int, int]:
    """Row among the fingerprints and position in the golden set of the worst input that can be compared."""
    severity: dict[str, tuple[int, float]] = {}
    for entry in report.rows:
        severity[entry.label] = max(severity.get(entry.label, (0, 0.0)), (entry.non_finite, entry.multiple))
    usable = range(len(golden.labels)) if prints is None else [int(index) for index in prints.inputs]
    row = max(range(len(usable)), key=lambda i: severity.get(golden.labels[usable[i]], (0, 0.0)))
    return row, usable[row]


def _first_non_finite(tensors: Mapping[str, Array], label: str) -> Divergence | None:
    """The first tensor, of any shape, that holds NaN or Inf."""
    previous: str | None = None
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            note = f"{np.count_nonzero(~np.isfinite(array))} of its {array.size} values are not finite"
            return Divergence(input=label, tensor=name, last_tensor=previous, note=note)
        previous = name
    return None


def _runtime_note(
    session: Session, golden: GoldenSet, feed: Mapping[str, Array], tensors: Mapping[str, Array]
) -> str | None:
    """Say so when the traced run, without the runtime's own optimiser, gives other outputs than the plain run."""
    answers = session.run(dict(feed))
    for name, answer in answers.items():
        traced, scale = tensors.get(name), golden.yardstick.get(name)
        if traced is None or scale is None or traced.shape != answer.shape:
            continue
        if not np.allclose(traced, answer, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True):
            return f"'{name}' differs between the plain and the traced run: the runtime's own optimiser is involved"
    return None
