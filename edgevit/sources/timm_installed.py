"""Whether timm can be imported here, and what to install where it cannot."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from importlib.util import find_spec
from types import ModuleType

from edgevit.errors import MissingDependencyError, first_line
from edgevit.installation import reinstall_package
from edgevit.sources.origin import told_with_line

_BEFORE_TORCH_2 = {"1.12": "0.13", "1.13": "0.14"}
_OFFSET = 15
"""torch 2.N goes with torchvision 0.(N + 15), from 2.0 and 0.15 on (the table in torchvision's README)."""


OLDEST_TIMM = "1.0.20"  # as the extra ``timm`` of pyproject.toml asks for


def timm_module() -> ModuleType:
    """The package timm.

    Raises:
        MissingDependencyError: timm or torchvision is not installed, or does not load: names the line, and what fits.
    """
    for package in ("timm", "torchvision"):
        if find_spec(package) is None:
            raise MissingDependencyError(f"cannot use timm's networks: {package} is not installed", extra="timm")
    # An installation that is broken fails as it likes: half an update is a SyntaxError or a KeyError.
    try:
        import_module("torchvision")
    except Exception as error:
        raise _misfit(error) from error
    try:
        timm = import_module("timm")
        for needed in ("timm.models", "timm.utils.model"):
            import_module(needed)
    except Exception as error:
        raise _broken(error) from error
    return timm


def _broken(error: Exception) -> MissingDependencyError:
    """The error for a timm that does not load: what is here, where it fails, and from which version on it fits."""
    try:
        seen = metadata.version("timm")
    except metadata.PackageNotFoundError:  # a folder of that name
        seen = "of an unknown version"
    return MissingDependencyError(
        f"cannot use timm's networks: timm {seen} does not load: {told_with_line(error)}; "
        f"expected timm {OLDEST_TIMM} or later, whole and with what it imports",
        hint=reinstall_package(f"timm>={OLDEST_TIMM}"),
    )


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
