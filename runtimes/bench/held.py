"""A device that is held while it is measured: its lock is renewed, and runs start under the conditions asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edgevit.errors import DeviceError
from runtimes.bench.request import Conditions
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.prepare import wait_for_temperature

LEASE_MARGIN_S = 600.0  # chosen, because pushing a large artifact over a slow cable takes minutes
RENEWAL_PERIOD_S = 120.0  # chosen, because it is well within the margin


@dataclass
class HeldDevice:
    """The device of one session.

    Attributes:
        session: The lock on it; open.
        conditions: Under which a run starts.
        lease_s: How long the lock holds without being renewed.
    """

    session: DeviceSession
    conditions: Conditions
    lease_s: float
    _renewed_s: float = field(default_factory=time.monotonic)

    def renew(self, expected_s: float = 0.0) -> None:
        """Renew the lock: at once for a run of ``expected_s`` beyond its time limit, otherwise where it is due.

        Raises:
            DeviceError: The lock was lost.
        """
        if expected_s or time.monotonic() - self._renewed_s > RENEWAL_PERIOD_S:
            self.session.extend(self.lease_s + expected_s)
            self._renewed_s = time.monotonic()

    def before_run(self, expected_s: float = 0.0) -> None:
        """Renew the lock for a run of that length, and wait for the start temperature.

        Raises:
            DeviceError: The device does not cool down in time, tells no temperature, or the lock was lost.
        """
        self.renew(expected_s)
        limit_c = self.conditions.max_temp_c
        if limit_c is None:
            return
        device = self.session.device
        wait = wait_for_temperature(device, limit_c, timeout_s=self.conditions.cooldown_s)
        if not wait.reached:
            raise DeviceError(
                f"{device.serial} is still at {wait.sensor.value_c:.1f} °C ({wait.sensor.name}) after "
                f"{wait.waited_s:.0f} s, above {limit_c:g} °C",
                hint="wait longer with --cooldown, or start warmer with --max-temp",
            )
