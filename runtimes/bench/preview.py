"""How artifacts would be laid out for a power meter, in words, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevit.errors import EdgevitExportError
from runtimes.bench.execute import timing_of
from runtimes.bench.layout import lay_out_for
from runtimes.bench.plan import Job
from runtimes.bench.record import Round
from runtimes.bench.request import MeterRequest
from runtimes.power.meter import PowerMeter

EXAMPLES_S = (0.010, 0.100, 1.0)  # chosen: latencies to show the layout of where none is known


def layout_lines(
    jobs: Sequence[Job], rounds: Mapping[str, Sequence[Round]], meter: PowerMeter, request: MeterRequest
) -> tuple[str, ...]:
    """One line for each job whose latency its ``rounds``, by key, tell; for the others one for each of ``EXAMPLES_S``.

    The meter is not touched: its resolution is what is known of it without.
    """
    lines = []
    for job in jobs:
        known = rounds.get(job.key) or ()
        latencies_s = (timing_of(known, job.workload)[0],) if known else EXAMPLES_S
        for latency_s in latencies_s:
            taken = f"{'' if known else 'if '}one inference takes {latency_s * 1e3:.4g} ms"
            lines.append(f"energy {job.key}, {taken}: {_in_words(job, meter, request, latency_s)}")
    return tuple(lines)


def _in_words(job: Job, meter: PowerMeter, request: MeterRequest, latency_s: float) -> str:
    try:
        return lay_out_for(job.runner, meter, job.workload, request, latency_s=latency_s).in_words()
    except EdgevitExportError as error:
        return f"cannot be measured: {error.message}"
