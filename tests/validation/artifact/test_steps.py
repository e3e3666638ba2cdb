"""A step becomes a check, whatever ends it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgevit.errors import ArtifactError, MissingDependencyError
from validation.artifact.checks import Check, CheckStatus
from validation.artifact.steps import Step, StepFailed, StepSkipped, perform


def raising(error: Exception) -> Step[None]:
    def work(_: None) -> Sequence[str]:
        raise error

    return Step("one", (), work)


@pytest.mark.parametrize(
    ("error", "status", "details"),
    [
        (StepFailed("a", "b"), CheckStatus.FAILED, ("a", "b")),
        (StepSkipped("no file"), CheckStatus.SKIPPED, ("no file",)),
        (ArtifactError("damaged", hint="export again"), CheckStatus.FAILED, ("damaged",)),
        (MissingDependencyError("no onnx", hint="pip"), CheckStatus.MISSING, ("not verified: no onnx; pip",)),
    ],
)
def test_what_a_step_raises_is_its_verdict(error: Exception, status: CheckStatus, details: tuple[str, ...]) -> None:
    check = perform(raising(error), None, {})
    assert (check.status, check.details) == (status, details)


def test_a_defect_is_no_verdict() -> None:
    with pytest.raises(ZeroDivisionError):
        perform(raising(ZeroDivisionError()), None, {})


@pytest.mark.parametrize("status", [CheckStatus.FAILED, CheckStatus.SKIPPED, CheckStatus.MISSING])
def test_a_step_whose_need_did_not_pass_is_not_done(status: CheckStatus) -> None:
    before = {"first": Check(name="first", status=CheckStatus.PASSED), "second": Check(name="second", status=status)}
    done: list[str] = []
    check = perform(Step("one", ("first", "second"), done.append), "run", before)
    assert (check.status, check.details, done) == (CheckStatus.SKIPPED, ("not run, because 'second' did not pass",), [])


def test_remarks_and_time_of_a_step_that_passed_are_kept() -> None:
    check = perform(Step("one", (), lambda run: [f"{run} seen"]), "file", {})
    assert (check.status, check.details) == (CheckStatus.PASSED, ("file seen",))
    assert check.seconds > 0
    assert perform(Step("one", (), lambda run: None), "file", {}).details == ()
