"""Ask a device everything that a measurement depends on, in one question.

The same script runs on Android, embedded Linux and this host.
"""

from __future__ import annotations

import time

from edgevit.errors import DeviceError
from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state_parsers import parse_state
from runtimes.devices.device import Device

__all__ = ["STATE_SCRIPT", "DeviceState", "read_state"]

ANSWER_S = 20.0  # chosen, because a phone whose dumpsys is busy may take some seconds

# One process per question would cost 40 round trips; reads are the shell's own where possible. $1 is put before /sys
# and /proc (tests). The prefix @@ begins a section.
STATE_SCRIPT = r"""
R=$1; C=$R/sys/devices/system/cpu
g() { v=-; [ -r "$1" ] && read -r v 2>/dev/null <"$1"; v=${v:--}; }
f() { [ -r "$2" ] && { echo "@@ $1"; cat "$2" 2>/dev/null; }; }
h() { command -v "$1" >/dev/null 2>&1; }
h getprop && { echo "@@ getprop"; getprop; }
echo "@@ uname"; uname -srm
echo "@@ root"; id -u
f loadavg $R/proc/loadavg; f uptime $R/proc/uptime; f meminfo $R/proc/meminfo
f cpuinfo $R/proc/cpuinfo; f board $R/proc/device-tree/model; f os $R/etc/os-release; f quota $R/sys/fs/cgroup/cpu.max
echo "@@ allowed"; grep Cpus_allowed_list $R/proc/self/status 2>/dev/null
echo "@@ cpus"
for c in $C/cpu[0-9]*; do
  [ -d $c ] || continue
  g $c/online; o="$v"
  for k in scaling_governor scaling_cur_freq scaling_min_freq scaling_max_freq cpuinfo_max_freq; do
    g $c/cpufreq/$k; o="$o $v"
  done
  g $c/cpu_capacity; echo "${c##*cpu} $o $v"
done
echo "@@ zones"
for z in $R/sys/class/thermal/thermal_zone*; do
  [ -d $z ] || continue
  g $z/temp; t=$v; g $z/type; echo "$t $v"
done
echo "@@ supply"
for z in $R/sys/class/power_supply/*; do
  [ -d $z ] || continue
  o=${z##*/}
  for k in type online status capacity temp voltage_now; do g $z/$k; o="$o|$v"; done; echo "$o"
done
h dumpsys && {
  echo "@@ thermalservice"; dumpsys thermalservice 2>&1
  echo "@@ battery"; dumpsys battery 2>&1
  echo "@@ power"; dumpsys power 2>&1 | grep mWakefulness=
}
h settings && for k in airplane_mode_on low_power; do echo "@@ $k"; settings get global $k 2>&1; done
echo "@@ end"
"""


def read_state(device: Device, *, root: str = "") -> DeviceState:
    """Ask a device everything that a measurement depends on, in one round trip (about 0.1 s; phones take 0.3 s).

    Args:
        device: The device.
        root: Put before ``/sys`` and ``/proc``; only tests need it.

    Raises:
        DeviceError: The answer is incomplete.
        DeviceLostError, DeviceTimeoutError: As ``Device.run``.
    """
    result = device.script(STATE_SCRIPT, root, timeout_s=ANSWER_S)
    if "@@ end" not in result.out:
        raise DeviceError(f"{device.serial} did not tell its whole state: {result.complaint}")
    return parse_state(result.out, serial=device.serial, kind=device.kind, unix_time_s=time.time())
