"""Patience with a device that is lost: it is called back once, then everything that is left fails at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.device import Device
from runtimes.devices.processes import START_OF

ALIVE_TIMEOUT_S = 10.0  # chosen, because a busy phone answers `true` within a second or two
RECONNECT_S = 30.0  # chosen, because a cable that is only loose is back within seconds
RESUME_HINT = (
    "plug it in again, then run the same command with --resume; without that, 'edgevit-export devices --restore' "
    "brings back what was changed on it"
)

# $1 the process log: "pid start" of all that was started with its own group.
_END_LEFTOVERS = (
    START_OF
    + """
while read -r pid start; do
  [ -n "$start" ] && [ "$(start_of "$pid")" = "$start" ] && { kill -9 "-$pid" 2>/dev/null || kill -9 "$pid"; }
done 2>/dev/null <"$1"; true
"""
)

_T = TypeVar("_T")


class Patience:
    """Does work on a device, and calls the device back when it is lost.

    Args:
        device: The device.
        note: Told when the device is being called back.

    Attributes:
        lost: What was lost for good; None as long as the device answers.
    """

    def __init__(self, device: Device, note: Callable[[str], None]) -> None:
        self.lost: DeviceLostError | None = None
        self._device = device
        self._note = note

    def do(self, work: Callable[[], _T]) -> _T:
        """Do it; when the device is lost meanwhile, call it back and do it once more.

        Raises:
            DeviceLostError: The device did not come back, now or earlier.
        """
        if self.lost is not None:
            raise self.lost
        try:
            return work()
        except (DeviceLostError, DeviceTimeoutError) as error:
            if isinstance(error, DeviceTimeoutError) and self._answers():
                raise
            self._note(f"{error.message}: trying to get {self._device.serial} back")
            self._call_back(error)
        try:
            return work()
        except DeviceLostError as error:
            self.lost = error
            raise

    def _call_back(self, error: DeviceError) -> None:
        try:
            self._device.reconnect(RECONNECT_S)
            end_leftovers(self._device)
        except DeviceError:
            self.lost = DeviceLostError(error.message, hint=error.hint or RESUME_HINT)
            raise self.lost from error

    def _answers(self) -> bool:
        try:
            return self._device.run(["true"], ALIVE_TIMEOUT_S).ok
        except DeviceError:
            return False


def end_leftovers(device: Device) -> None:
    """End what an interrupted connection left running, as far as the device's process log names it."""
    if device.process_log is not None:
        device.script(_END_LEFTOVERS, device.process_log)
