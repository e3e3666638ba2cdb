"""Decode the bulk packets of a Monsoon HVPM, all of a recording at once.

A packet (64 bytes) holds: [0:2] u16 little-endian count of samples that the unit dropped so far, wrapping; [2] flags,
bits 0-3 a sequence number, bit 4 over-current or thermal stop, bit 5 output on; [3] number of samples, 1 to 3; then
18 bytes a sample: eight u16 big-endian (main coarse and fine, USB coarse and fine, aux coarse and fine, main and USB
voltage), the gain, and the type in bits 4-5: measurement, zero calibration, invalid, reference calibration.
Source: the ``monsoon`` package 0.1.88 (MIT), HVPM.py, sampleEngine.py and Operations.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError
from edgevit.records import Record
from runtimes.power.trace import CALIBRATION, LOST, OUTPUT_OFF, OVER_CURRENT, Doubles, PowerTrace

RATE_HZ = 5000.0
PACKET_BYTES = 64
READ_BYTES = 256 * PACKET_BYTES  # asked for in one transfer: 16 KiB, what Linux does in one piece
FINE_BELOW = 64000  # ticks: from here on the fine range is at its end (HVPM.fineThreshold)
VOLTS_PER_TICK = 4 * 62.5e-6
# Samples of the grid for each that came; chosen: a recording with more than 1 % lost is refused anyway, and what the
# unit's own counter of 16 bits can claim in one step is let through once.
MOST_GAPS, FEW_SAMPLES = 2, 1 << 16
KEPT_CALIBRATIONS = 5  # as the package's sampleEngine

MEASUREMENT, ZERO_CALIBRATION, INVALID, REFERENCE_CALIBRATION = 0x00, 0x10, 0x20, 0x30

# The layout above as numpy types; of a sample only the main output is read.
_SAMPLE = [("coarse", ">u2"), ("fine", ">u2"), ("other", "V8"), ("voltage", ">u2"), ("usb", "V3"), ("kind", "u1")]
_PACKET = np.dtype([("dropped", "<u2"), ("flags", "u1"), ("count", "u1"), ("samples", _SAMPLE, 3), ("unused", "V6")])


class Scales(Record):
    """The unit's own calibration of its main output, as it stores it: mA scales and zero offsets in ticks."""

    fine: float
    coarse: float
    fine_zero: float
    coarse_zero: float


class PacketLosses(Record):
    """What went missing, by who noticed.

    ``dropped_by_unit`` is counted by the unit (its queue ran over); ``lost_packets`` is read from gaps in the sequence
    numbers (lost between unit and program).
    """

    dropped_by_unit: int
    lost_packets: int


@dataclass(frozen=True, eq=False)
class _Samples:
    """(n,) samples in the order of arrival: grid index, raw values in ticks, type and packet flags."""

    index: NDArray[np.int64]
    coarse: NDArray[np.uint16]
    fine: NDArray[np.uint16]
    voltage: NDArray[np.uint16]
    kind: NDArray[np.uint8]
    flags: NDArray[np.uint8]


def decode(
    packets: NDArray[np.uint8],
    scales: Scales,
    host_stamps: Doubles,
    meta: dict[str, str],
) -> tuple[PowerTrace, PacketLosses]:
    """Turn raw packets into a trace on the unit's own sample grid.

    Args:
        packets: (packets, 64) uint8 in the order of arrival.
        scales: The unit's scales.
        host_stamps: (m, 2) float64: number of the packet, host's monotonic seconds when it arrived.
        meta: Kept in the trace.

    Raises:
        MeterError: No packets, packets that are none, or not a single calibration.
    """
    if not len(packets):
        raise MeterError("the Monsoon delivered no packet")
    parsed = packets.view(_PACKET)[:, 0]
    counts = parsed["count"].astype(np.int64)
    if np.any((counts < 1) | (counts > 3)):
        bad = int(np.argmax((counts < 1) | (counts > 3)))
        raise MeterError(f"Monsoon packet {bad} claims {counts[bad]} samples: expected 1 to 3")
    base, losses = _grid(parsed, counts)
    samples = _samples(parsed, counts, base)
    length = int(samples.index[-1]) + 1
    if length > MOST_GAPS * len(samples.index) + FEW_SAMPLES:
        raise MeterError(
            f"the Monsoon delivered {len(samples.index)} samples of {length}: {losses.dropped_by_unit} dropped by the "
            f"unit, {losses.lost_packets} packets lost on the way"
        )
    at = np.stack([base[host_stamps[:, 0].astype(np.int64)], host_stamps[:, 1]], axis=1)
    return replace(_trace(samples, length, scales, meta), host_stamps=at), losses


def _grid(packets: NDArray[np.void], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], PacketLosses]:
    """(packets,) grid index of each packet's first sample, after all that was dropped or lost before it; the losses."""
    dropped = packets["dropped"].astype(np.int64)
    newly = np.diff(dropped, prepend=dropped[0]) % 65536
    missed = _missed(packets)
    per_packet = float(np.mean(counts))
    unseen = np.rint(np.cumsum(missed) * per_packet).astype(np.int64)
    base = np.cumsum(counts) - counts + np.cumsum(newly) + unseen
    return base, PacketLosses(dropped_by_unit=int(newly.sum()), lost_packets=int(missed.sum()))


def _missed(packets: NDArray[np.void]) -> NDArray[np.int64]:
    """(packets,) packets that are missing before each one, up to 15, by the sequence number.

    A number that does not mostly rise by one is no sequence number (unknown firmware), and says nothing.
    """
    sequence = (packets["flags"] & 0x0F).astype(np.int64)
    missed: NDArray[np.int64] = (np.diff(sequence, prepend=sequence[0] - 1) - 1) % 16
    return missed if float(np.mean(missed == 0)) > 0.5 else np.zeros(len(packets), np.int64)


def _samples(packets: NDArray[np.void], counts: NDArray[np.int64], base: NDArray[np.int64]) -> _Samples:
    """All samples; ``counts`` (packets,) how many in each packet, ``base`` (packets,) grid index of its first."""
    there = np.arange(3) < counts[:, None]
    sent = packets["samples"]
    return _Samples(
        index=(base[:, None] + np.arange(3))[there],
        coarse=sent["coarse"][there].astype(np.uint16),
        fine=sent["fine"][there].astype(np.uint16),
        voltage=sent["voltage"][there].astype(np.uint16),
        kind=sent["kind"][there] & np.uint8(0x30),
        flags=np.repeat(packets["flags"], counts),
    )


def _trace(samples: _Samples, length: int, scales: Scales, meta: dict[str, str]) -> PowerTrace:
    """The trace of ``length`` samples; NaN and a flag where nothing was measured."""
    current = np.full(length, np.nan, np.float32)
    voltage = np.full(length, np.nan, np.float32)
    flags = np.full(length, LOST, np.uint8)
    measured = samples.kind == MEASUREMENT
    at = samples.index[measured]
    current[at] = _current_ma(samples, measured, scales)
    voltage[at] = samples.voltage[measured] * VOLTS_PER_TICK
    flags[samples.index] = np.where(measured, 0, CALIBRATION).astype(np.uint8)
    flags[samples.index] |= np.where(samples.flags & 0x10, OVER_CURRENT, 0).astype(np.uint8)
    flags[samples.index] |= np.where(samples.flags & 0x20, 0, OUTPUT_OFF).astype(np.uint8)
    return PowerTrace(RATE_HZ, current * voltage, flags, current, voltage, meta=meta)


def _current_ma(samples: _Samples, measured: NDArray[np.bool_], scales: Scales) -> Doubles:
    """(m,) mA of the m samples that ``measured``, (n,) bool, marks; the fine range where it is not at its end."""
    fine = _scaled(samples, samples.fine, measured, scales.fine, scales.fine_zero, "fine") / 1000.0
    coarse = _scaled(samples, samples.coarse, measured, scales.coarse, scales.coarse_zero, "coarse")
    return np.where(samples.fine[measured] < FINE_BELOW, fine, coarse)


def _scaled(
    samples: _Samples, raw: NDArray[np.uint16], measured: NDArray[np.bool_], scale: float, offset: float, name: str
) -> Doubles:
    """(m,) readings of one range, ``raw`` (n,) ticks, between the zero and the reference calibration before each."""
    at = samples.index[measured]
    zero = offset + _calibration(samples, raw, ZERO_CALIBRATION, at, f"zero calibration ({name})")
    reference = _calibration(samples, raw, REFERENCE_CALIBRATION, at, f"reference calibration ({name})")
    span = reference - zero
    slope = np.divide(scale, span, out=np.zeros_like(span), where=span != 0)
    return (raw[measured] - zero) * slope


def _calibration(samples: _Samples, raw: NDArray[np.uint16], kind: int, at: NDArray[np.int64], name: str) -> Doubles:
    """Mean of the last five calibration values before each sample; the first five serve what lies before them.

    Args:
        samples: All samples.
        raw: (n,) ticks of one range.
        kind: Which calibration.
        at: (m,) grid indices of the samples to be scaled.
        name: What is missing when there is none.

    Returns:
        (m,) float64, ticks.
    """
    chosen = (samples.kind == kind) & (raw != 0)
    if not np.any(chosen):
        raise MeterError(f"the Monsoon sent no {name}: its readings cannot be scaled")
    values, places = raw[chosen].astype(np.float64), samples.index[chosen]
    running = np.concatenate(([0.0], np.cumsum(values)))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - KEPT_CALIBRATIONS)
    means = (running[last] - running[first]) / (last - first)
    means[: KEPT_CALIBRATIONS - 1] = means[min(KEPT_CALIBRATIONS, len(means)) - 1]
    return means[np.maximum(np.searchsorted(places, at) - 1, 0)]
