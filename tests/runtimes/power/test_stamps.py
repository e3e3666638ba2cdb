"""The runner's stamps are a sequence of intervals."""

from __future__ import annotations

import pytest

from edgevit.errors import ArtifactError
from runtimes.power.stamps import RunStamps, Window


def test_stamps_that_are_no_sequence_are_refused() -> None:
    good = Window(start_ns=10, end_ns=20)
    with pytest.raises(ArtifactError, match="at least one burst"):
        RunStamps(bursts=())
    with pytest.raises(ArtifactError, match="not after"):
        RunStamps(bursts=(Window(start_ns=5, end_ns=5),))
    with pytest.raises(ArtifactError, match="before"):
        RunStamps(bursts=(good, Window(start_ns=15, end_ns=30)))
    assert RunStamps(bursts=(good,), inferences_per_burst=4).inferences == 4
