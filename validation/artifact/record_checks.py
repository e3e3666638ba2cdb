"""What a manifest records of its own proof, against itself and against what is seen now.

A record of a proof that failed must not pass in silence, nor one that cannot be: figures that contradict each other,
and figures that differ from those measured here by more than machines may.
"""

from __future__ import annotations

from math import isclose

from export.artifact import AuditResult, Delegation, FileFacts, Manifest, ParityResult
from export.formats.pte_file.read import EXECUTORCH
from export.formats.ptl_file.prepacked import ELSEWHERE
from export.int8.record import Scheme
from export.quantization.calibration import calibration_of
from export.recipe import Format, Precision
from runtimes.sessions.table import RUNTIMES
from validation.artifact.parity import ParityReport

CLOSE = 1e-6  # relative; chosen: the figures are stored in full, and were only divided
APART = 8.0
"""Largest ratio of two errors of one artifact, on two machines: measured are 0.8 to 2.6 yardsticks over all sound
artifacts, so that not even the best of them and the worst are that far apart. Chosen with ``limits.ALLOWED``."""
_DB_APART = 20.0  # a factor of 10 in the error: just above the 8 of APART
_COSINE_APART = 1e-6  # chosen: rounding in float32 leaves 1e-12, float32 itself has steps of 1e-7
_SHARE_APART = 0.2  # chosen: where the reference is undecided, another machine may choose the other of two classes


def record_problems(manifest: Manifest, *, slack: bool = False) -> list[str]:
    """What a manifest says of its own proof that says no, or cannot be; ``slack``: some inputs have own units."""
    problems = _audit_problems(manifest.audit)
    if manifest.parity is not None:
        problems += _parity_problems(manifest.parity, manifest, slack=slack) + _runtime_problems(
            manifest.parity.runtime, manifest
        )
    if manifest.delegation is not None:
        problems += _delegation_problems(manifest.delegation, manifest)
    return problems + _quantization_problems(manifest)


def tool_problems(manifest: Manifest, facts: FileFacts) -> list[str]:
    """Where a manifest lists other releases of the converters than the file itself tells."""
    name, _, version = facts.metadata.get("producer", "").partition(" ")
    stated = {"torch": version if name == "pytorch" else "", "executorch": facts.metadata.get(EXECUTORCH, "")}
    return [
        f"the file was written by {tool} {version}, but the manifest lists {tool} {manifest.tools.get(tool, 'nowhere')}"
        for tool, version in stated.items()
        if version and manifest.tools and not _same_release(version, manifest.tools.get(tool, ""))
    ]


def figure_problems(recorded: ParityResult, seen: ParityReport) -> list[str]:
    """Recorded figures of a comparison that passed, which no machine can have given where ``seen`` passed here."""
    here = seen.summary()
    apart = {
        f"a yardstick of {recorded.yardstick:.3g}, which the golden set does not have": not any(
            isclose(recorded.yardstick, output.yardstick, rel_tol=CLOSE) for output in seen.outputs
        ),
        f"{recorded.multiple:.3g} yardsticks, but here it is {here.multiple:.3g}": _apart(
            recorded.multiple, here.multiple, 1 / APART
        ),
        f"a mean error of {recorded.mean_abs_error:.3g}, but here it is {here.mean_abs_error:.3g}": _apart(
            recorded.mean_abs_error, here.mean_abs_error, here.yardstick / APART**2
        ),
        f"an SQNR of {recorded.sqnr_db:.1f} dB, but here it is {here.sqnr_db:.1f}": (
            min(recorded.multiple, here.multiple) > 1 / APART and not abs(recorded.sqnr_db - here.sqnr_db) <= _DB_APART
        ),
        f"a cosine of {recorded.cosine:.7f}, but here it is {here.cosine:.7f}": _other_cosine(recorded, here),
        f"{_db(recorded.rounded_sqnr_db)} of torch with the same rounding, the golden set has "
        f"{_db(here.rounded_sqnr_db)}": _other_db(recorded.rounded_sqnr_db, here.rounded_sqnr_db),
        "another agreement on the top class": _other_share(recorded.top1_agreement, here.top1_agreement),
        "another agreement on the top five classes": _other_share(recorded.top5_agreement, here.top5_agreement),
    }
    return [f"the manifest records {words}" for words, holds in apart.items() if holds]


def delegation_difference(recorded: Delegation | None, seen: Delegation | None) -> str | None:
    """In words, how the delegate's share differs from the recorded one; None where it does not, or none is recorded."""
    if recorded is None or recorded == seen:
        return None
    here = _share(seen) if seen else "no delegate is at work"
    return f"the manifest records that {_share(recorded)}; here {here}"


def _share(delegation: Delegation) -> str:
    counts = f"{delegation.delegated} of {delegation.total} operators in {delegation.partitions} partitions"
    left = f", all but {'; '.join(delegation.left[:2])}" if delegation.left else ""
    return f"{delegation.delegate} takes {counts}{left}"


def _audit_problems(audit: AuditResult) -> list[str]:
    if audit.passed and not audit.violations:
        return []
    said = "passed" if audit.passed else "failed"
    return [f"the manifest records an audit that {said}: {'; '.join(audit.violations[:2]) or 'without a reason'}"]


def _parity_problems(parity: ParityResult, manifest: Manifest, *, slack: bool) -> list[str]:
    if not parity.passed or parity.reasons:
        said = "passed" if parity.passed else "failed"
        return [f"the manifest records parity that {said}: {'; '.join(parity.reasons[:2]) or 'without a reason'}"]
    expected = manifest.golden.inputs
    product = parity.multiple * parity.yardstick
    agree = isclose(parity.max_abs_error, product, rel_tol=CLOSE, abs_tol=0.0)
    agree = agree or (slack and 0 <= product < parity.max_abs_error)
    contradictions = {
        f"a comparison in {parity.precision}, of an artifact in {manifest.recipe.precision}": (
            parity.precision is not manifest.recipe.precision
        ),
        f"{parity.inputs_compared} inputs, of {expected}": parity.inputs_compared != expected,
        f"an error of {parity.max_abs_error:.3g}, as {parity.multiple:.3g} times {parity.yardstick:.3g}": not agree,
        f"a mean error of {parity.mean_abs_error:.3g}, the largest being {parity.max_abs_error:.3g}": not (
            0 <= parity.mean_abs_error <= parity.max_abs_error * (1 + CLOSE)
        ),
    }
    return [f"the manifest records {words}, which cannot be" for words, holds in contradictions.items() if holds]


def _runtime_problems(runtime: str, manifest: Manifest) -> list[str]:
    """The runtime that parity names must be one of the format's, in the release that the list of packages says.

    The torch of another Python, which prepacked weights may need, is no package of this one.
    """
    name, _, rest = runtime.partition(" ")
    if manifest.recipe.ptl_prepacked and runtime.endswith(ELSEWHERE) and name == "torch":
        return []
    version = rest.partition(" ")[0]
    if name in RUNTIMES[manifest.recipe.format].packages and _same_release(version, manifest.tools.get(name, "")):
        return []
    said = manifest.tools.get(name, "nowhere")
    return [f"the manifest records parity in '{runtime}', but lists {name} {said}"]


def _delegation_problems(delegation: Delegation, manifest: Manifest) -> list[str]:
    total = sum(operator.count for operator in manifest.operators)
    possible = 0 <= delegation.delegated <= delegation.total == total and delegation.partitions >= 0
    whole = (delegation.delegated == delegation.total) == (not delegation.left)
    problems = []
    if not possible or not whole:
        problems.append(f"the manifest records that {_share(delegation)}, which cannot be of {total} operators")
    runtime = manifest.parity.runtime if manifest.parity else ""
    if manifest.recipe.format is Format.TFLITE and not delegation.delegate.endswith(f" of {runtime}"):
        problems.append(f"the manifest records '{delegation.delegate}', but parity in '{runtime}'")
    return problems


def _quantization_problems(manifest: Manifest) -> list[str]:
    """Where what is recorded of the layers is not what the recipe says of precision and calibration."""
    recipe, record = manifest.recipe, manifest.quantization
    if recipe.precision is not Precision.INT8:
        idle = record is not None or recipe.calibration is not None
        return [f"the manifest records what became int8, but the recipe asks for {recipe.precision}"] if idle else []
    if record is None:
        return ["the manifest records no layers of its int8 artifact"]
    said = calibration_of(record.images) if record.images else None
    problems = []
    if said != recipe.calibration:
        problems.append(
            f"the manifest records {len(record.images)} images of a calibration, the recipe asks for "
            f"{'none' if recipe.calibration is None else f'{recipe.calibration.count}, or others'}"
        )
    if recipe.calibration is None and any(layer.scheme is Scheme.STATIC for layer in record.layers):
        problems.append("the manifest records static layers, the recipe has no calibration")
    return problems


def _db(value: float | None) -> str:
    return "no SQNR" if value is None else f"an SQNR of {value:.1f} dB"


def _other_db(recorded: float | None, here: float | None) -> bool:
    """Whether two SQNR of the same arrays differ."""
    return (recorded is None) != (here is None) or not isclose(recorded or 0.0, here or 0.0, rel_tol=CLOSE)


def _other_cosine(recorded: ParityResult, here: ParityResult) -> bool:
    """Whether two cosines are of other errors; rounding on purpose is done by each kernel in its own way."""
    if here.precision is Precision.FP32:
        return not abs(recorded.cosine - here.cosine) <= _COSINE_APART
    mine, its = (max(1 - result.cosine, _COSINE_APART) for result in (recorded, here))
    return not its / APART**2 <= mine <= its * APART**2


def _same_release(version: str, other: str) -> bool:
    """Whether two versions are one release, whatever local build (``2.13.0+cpu``)."""
    return version.partition("+")[0] == other.partition("+")[0]


def _apart(recorded: float, seen: float, floor: float) -> bool:
    """Whether two errors are more than ``APART`` times each other; below ``floor`` they are all alike."""
    mine, its = max(recorded, floor), max(seen, floor)
    return not its / APART <= mine <= its * APART


def _other_share(recorded: float | None, seen: float | None) -> bool:
    if recorded is None or seen is None:
        return recorded is not seen
    return not (0 <= recorded <= 1 and abs(recorded - seen) <= _SHARE_APART)
