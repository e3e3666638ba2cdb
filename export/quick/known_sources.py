"""Whether installed packages are to the letter those that were read: what replaces parts of them asks this first."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version


def are_known(releases: Mapping[str, str], sources: Mapping[str, str]) -> bool:
    """Whether the installed ``releases`` are these and the ``sources`` of functions have these hashes.

    Args:
        releases: By package, its version without what stands behind a ``+``.
        sources: By ``package.module.Class.function``, the first 32 digits of the SHA-256 of its source.
    """
    if any(version(package).partition("+")[0] != known for package, known in releases.items()):
        return False
    return all(source_hash(name) == known for name, known in sources.items())


def source_hash(name: str) -> str:
    """Of the function ``package.module.Class.function``, "" where there is none."""
    module, owner, function = name.rsplit(".", 2)
    try:
        source = inspect.getsource(getattr(getattr(import_module(module), owner), function))
    except (ImportError, AttributeError, OSError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:32]
