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


def test_bursts_of_two_lengths_count_their_inferences_and_controls_stand_between_them() -> None:
    short, long, control = (Window(start_ns=start, end_ns=end) for start, end in ((0, 10), (20, 50), (60, 70)))
    stamps = RunStamps(bursts=(short, long), counts=(1, 3), controls=(control,))
    assert (stamps.burst_counts, stamps.inferences) == ((1, 3), 4)
    assert RunStamps.from_json(stamps.to_json()) == stamps
    with pytest.raises(ArtifactError, match="before"):
        RunStamps(bursts=(short, long), controls=(Window(start_ns=45, end_ns=55),))
    for counts, least in (((1,), 1), ((0, 3), 1), ((2, 3), 1)):
        with pytest.raises(ArtifactError, match="run stamps"):
            RunStamps(bursts=(short, long), counts=counts, inferences_per_burst=least)


def test_stamps_of_version_1_are_read() -> None:
    old = '{"schema_version":1,"bursts":[{"start_ns":0,"end_ns":10}],"inferences_per_burst":2}'
    assert RunStamps.from_json(old).inferences == 2
