"""Whether timm can be imported here, and what to install where it cannot."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from importlib.util import find_spec
from types import ModuleType

from edgevit.errors import MissingDependencyError, first_line
from edgevit.installation import reinstall_package

_BEFORE_TORCH_2 = {"1.12": "0.13", "1.13": "0.14"}
_OFFSET = 15
"""torch 2.N goes with torchvision 0.(N + 15), from 2.0 and 0.15 on (the table in torchvision's README)."""


def timm_module() -> ModuleType:
    """The package timm.

    Raises:
        MissingDependencyError: timm or torchvision is not installed, or torchvision does not load beside this torch.
            What else may fail in their import is not caught: it is broken in its own way.
    """
    for package in ("timm", "torchvision"):
        if find_spec(package) is None:
            raise MissingDependencyError(f"cannot use timm's networks: {package} is not installed", extra="timm")
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise _misfit(error) from error
    import timm

    return timm


def torchvision_for(torch_version: str) -> str | None:
    """``0.28`` for ``2.13.0+cpu``: the torchvision that is built for a torch; None where nothing is known of it."""
    numbers = re.match(r"(\d+)\.(\d+)", torch_version)
    if numbers is None:
        return None
    major, minor = int(numbers[1]), int(numbers[2])
    return f"0.{minor + _OFFSET}" if major == 2 else _BEFORE_TORCH_2.get(numbers[0])


def _misfit(error: Exception) -> MissingDependencyError:
    """The error for a torchvision that does not load: what is here, and what belongs together."""
    seen, torch = metadata.version("torchvision"), metadata.version("torch")
    fitting = torchvision_for(torch)
    message = (
        f"cannot use timm's networks: torchvision {seen} does not load beside torch {torch} "
        f"({type(error).__name__}: {first_line(error)})"
    )
    if fitting is None:
        return MissingDependencyError(message, hint="install the torchvision that was built for this torch")
    build = torch.partition("+")[2]
    source = f", of the same build ({build})" if build else ""
    wanted = f"torch {'.'.join(torch.split('.')[:2])} goes with torchvision {fitting}{source}"
    return MissingDependencyError(f"{message}; {wanted}", hint=reinstall_package(f"torchvision=={fitting}.*"))
