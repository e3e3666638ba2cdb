"""What all tests share: one thread per process, set before anything loads torch.

The suite runs on small machines beside other work, where spinning threads cost more than they bring; results do not
depend on it.
"""

import gc
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["EDGEVIT_RUNNERS"] = "/nonexistent/runners"  # no test depends on what the user has built


@pytest.fixture(autouse=True)
def garbage_is_looked_for_as_before() -> Iterator[None]:
    """A command looks for garbage rarely; here, what one test leaves behind would fail another."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture(autouse=True, scope="module")
def what_is_there_is_not_searched_again() -> None:
    """Torch and all modules of tests are a million objects: to search them takes an eighth of the time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """What was loaded is taken apart as it would have been: libraries look for what is left when they end."""
    gc.unfreeze()
