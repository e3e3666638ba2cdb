"""Keep commands on chosen cores of a device."""

from __future__ import annotations

import re

from edgevit.errors import DeviceError, UsageError
from edgevit.text import printable
from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state_parsers import parse_cpu_list
from runtimes.devices.device import Device


def affinity_mask(state: DeviceState, wanted: str) -> int:
    """The cores that ``--affinity`` means, as a bit mask (bit n = core n).

    Args:
        state: The device's state, for its clusters.
        wanted: ``big`` (all but the slowest cluster), ``little`` (the slowest), cores (``1``, ``4-7``, ``0,4``) as
            ``taskset -c`` has them, or a mask (``0xf0``).

    Raises:
        UsageError: No such cores, or commands may not run there; the message names those that can be used.
    """
    present = {cpu.index for cpu in state.cpus if cpu.online}
    if not present:
        raise UsageError(
            f"{state.serial} does not tell its cores, so nothing can be bound to them", hint="leave out --affinity"
        )
    usable = present & set(state.cpus_allowed) if state.cpus_allowed is not None else present
    cpus = _wanted_cpus(state, wanted)
    some = ",".join(str(cpu) for cpu in sorted(usable))
    if not cpus:
        raise UsageError(f"--affinity {wanted} names no core: choose from {some}", hint=f"--affinity {some}")
    if not set(cpus) <= usable:
        seen = ", ".join(str(cpu) for cpu in sorted(set(cpus) - usable))
        raise UsageError(
            f"--affinity {wanted} means cores of {state.serial} that cannot be used ({seen}): choose from {some}",
            hint=f"--affinity {some}",
        )
    return sum(1 << cpu for cpu in cpus)


def _wanted_cpus(state: DeviceState, wanted: str) -> tuple[int, ...]:
    if wanted in ("big", "little"):
        if len(state.clusters) < 2:
            detail = "its cores are all alike" if state.clusters else "it does not tell the speed of its cores"
            raise UsageError(f"{state.serial} has no {wanted} cores: {detail}", hint="name cores: --affinity 0-1")
        if wanted == "little":
            return state.clusters[0].cpus
        return tuple(sorted(cpu for cluster in state.clusters[1:] for cpu in cluster.cpus))
    if re.fullmatch(r"[0-9]{1,4}([-,][0-9]{1,4})*", wanted):
        return parse_cpu_list(wanted)
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", wanted):
        mask = int(wanted, 16)
        return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    if re.fullmatch(r"[0-9a-fA-F]{1,16}", wanted):
        raise UsageError(
            f"--affinity '{wanted}' is no list of cores; a mask begins with 0x", hint=f"--affinity 0x{wanted}"
        )
    raise UsageError(
        f"--affinity '{wanted}' is neither big, little, cores (1, 4-7, 0,4) nor a mask (0xf0)", hint="--affinity 0-1"
    )


def verify_pinning(device: Device, mask: int) -> None:
    """Make sure that the device keeps commands on the cores of ``mask``.

    Raises:
        DeviceError: It has no ``taskset``, or its scheduler says otherwise.
    """
    result = device.run(["taskset", f"{mask:x}", "grep", "Cpus_allowed:", "/proc/self/status"])  # toybox: no 0x
    if not result.ok:
        raise DeviceError(
            f"{device.serial} cannot pin commands to cores: {result.complaint}", hint="leave out --affinity"
        )
    told = result.out.partition(":")[2].strip().replace(",", "").lstrip("0")
    if told != f"{mask:x}":
        raise DeviceError(
            f"{device.serial} runs pinned commands on cores 0x{printable(told[:40] or '0')}, not {mask:#x}: "
            "its cpusets forbid it"
        )
