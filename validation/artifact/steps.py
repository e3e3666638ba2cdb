"""A verification as named steps: each needs others to have passed, does its work, and becomes a ``Check``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgevit.errors import EdgevitExportError, MissingDependencyError
from validation.artifact.checks import Check, CheckStatus

Run = TypeVar("Run")


@dataclass(frozen=True)
class Step(Generic[Run]):
    """One check.

    Attributes:
        name: What the report calls it.
        needs: The steps that must have passed before.
        work: What is done with the verification under way. It returns remarks if it has any, or raises.
    """

    name: str
    needs: tuple[str, ...]
    work: Callable[[Run], Sequence[str] | None]


class StepFailed(Exception):
    """A step's work found that the check fails, with these reasons. Never leaves ``perform``."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


class StepSkipped(Exception):
    """A step's work cannot be done. Never leaves ``perform``."""


def perform(step: Step[Run], run: Run, before: dict[str, Check]) -> Check:
    """Do one step, and turn whatever ends it into a ``Check``; errors that are none of ours pass through."""
    blocking = [name for name in step.needs if before[name].status is not CheckStatus.PASSED]
    if blocking:
        reason = f"not run, because '{blocking[0]}' did not pass"
        return Check(name=step.name, status=CheckStatus.SKIPPED, details=(reason,))
    status, start = CheckStatus.PASSED, time.perf_counter()
    try:
        details = tuple(step.work(run) or ())
    except StepSkipped as skipped:
        status, details = CheckStatus.SKIPPED, (str(skipped),)
    except StepFailed as failed:
        status, details = CheckStatus.FAILED, failed.reasons
    except MissingDependencyError as error:
        hint = f"; {error.hint}" if error.hint else ""
        status, details = CheckStatus.MISSING, (f"not verified: {error.message}{hint}",)
    except EdgevitExportError as error:
        status, details = CheckStatus.FAILED, (error.message,)
    return Check(name=step.name, status=status, details=details, seconds=time.perf_counter() - start)
