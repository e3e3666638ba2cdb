"""Read a weights file into named tensors without ever running code from it.

Two containers are known, told apart by their content and not by their name: safetensors, and what ``torch.save``
writes (read with ``weights_only=True``, always).
"""

from __future__ import annotations

import argparse
import errno
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from edgevit.errors import CheckpointError, MissingDependencyError, first_line, unknown_choice

if TYPE_CHECKING:
    from torch import Tensor

ENTRIES = ("model", "model_ema", "state_dict", "state_dict_ema")
_TEXT_FILES = {
    b"version https://git-lfs": "a Git LFS pointer, not the file that it points to: run 'git lfs pull'",
    b"<!DOCTYPE": "a web page, not weights: the download link led to a page",
    b"<html": "a web page, not weights: the download link led to a page",
}


def read_tensors(path: Path, entry: str | None) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a weights file and the entry that held them (None for a bare state dict).

    Args:
        path: A ``.safetensors`` file, or one written by ``torch.save``: a bare state dict or a dict that holds one
            under one of ``ENTRIES``.
        entry: The entry to take; None takes the first of ``ENTRIES`` that the file has.

    Raises:
        CheckpointError: Unreadable, damaged, wants to run code, or holds no tensors; or lacks ``entry``.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)  # enough to tell what it is
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}") from error
    if not start:
        raise CheckpointError(f"checkpoint {path} is empty (0 bytes)")
    for marker, meaning in _TEXT_FILES.items():
        if start.lower().startswith(marker.lower()):
            raise CheckpointError(f"checkpoint {path} is {meaning}")
    by_content = start[8:9] == b"{"  # 8 bytes of header length, then JSON
    content = _read_safetensors(path) if by_content or path.suffix == ".safetensors" else _read_torch(path)
    state, taken = _pick_entry(path, content, entry)
    tensors = _only_tensors(path, state)
    if all(name.startswith("module.") for name in tensors):  # DataParallel puts it in front of all names
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors, taken


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, in their stored shapes and dtypes."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"cannot read {path}: safetensors is not installed", extra="ptl") from error
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is truncated or not a safetensors file: {error}") from error
    return tensors


def _read_torch(path: Path) -> object:
    """What ``torch.save`` stored.

    Training scripts keep their ``argparse.Namespace`` beside the weights. It is inert, so it alone is let through.
    """
    import torch

    _check_zip_sums(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    # A damaged pickle fails as whatever its bytes happen to say: IndexError, KeyError, EOFError, ValueError...
    except Exception as error:
        raise _torch_error(path, error) from error
    return content


def _check_zip_sums(path: Path) -> None:
    """Refuse a zip whose contents do not have their recorded checksums; ``torch.load`` itself never looks."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return  # no zip at all, or a broken one, about which torch.load has more to say
    if damaged is not None:
        raise CheckpointError(
            f"checkpoint {path} is damaged: '{damaged}' inside it does not have its recorded CRC-32",
            hint="copy or download the file again (or, if it was saved without checksums, save it once more with them)",
        )


def _torch_error(path: Path, error: Exception) -> CheckpointError:
    """What a failed ``torch.load`` means for the user."""
    text = str(error)
    # Looking for the end of a truncated zip, torch seeks to before its start: EINVAL, which is no fault of the disk.
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        return CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}")
    if "TorchScript archive" in text:
        return CheckpointError(
            f"checkpoint {path} is a TorchScript archive (a compiled model), expected a state dict",
            hint="torch.save(model.state_dict(), 'weights.pth') in the training code",
        )
    if wanted := re.search(r"GLOBAL (\w+\.[\w.]+)", text):
        return CheckpointError(
            f"checkpoint {path} is refused: loading it would run or import '{wanted[1]}', "
            "and only tensors and plain containers are ever loaded",
            hint="in the training code: torch.save(model.state_dict(), 'weights.pth')",
        )
    said = first_line(error).partition(". ")[0]
    reason = said if isinstance(error, RuntimeError) else "its bytes are no list of tensors"
    return CheckpointError(f"checkpoint {path} is truncated or not a checkpoint: {reason}")


def _pick_entry(path: Path, content: object, entry: str | None) -> tuple[Mapping[object, object], str | None]:
    """The state dict inside what was stored, and the name of its entry (None: it is one itself)."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"checkpoint {path} holds a {type(content).__name__}, expected a dict of tensors")
    held = {key: value for key, value in content.items() if isinstance(key, str) and _is_state_dict(value)}
    if entry is not None and entry not in held:
        raise _no_entry(path, entry, list(held))
    for name in ENTRIES if entry is None else (entry,):
        if name in held:
            return held[name], name
    if held and not _is_state_dict(content):
        names = ", ".join(held)
        raise CheckpointError(
            f"checkpoint {path} has tensors under {names}, expected under one of {', '.join(ENTRIES)}",
            hint=f"--checkpoint-entry {next(iter(held))}",
        )
    return content, None


def _no_entry(path: Path, entry: str, held: list[str]) -> CheckpointError:
    """The error for an entry that the file does not have."""
    if not held:
        return CheckpointError(f"checkpoint {path} has no entries, it is a bare state dict; '{entry}' was asked for")
    choice = unknown_choice("entry", entry, held)
    return CheckpointError(f"checkpoint {path}: {choice.message}", hint=choice.hint)


def _is_state_dict(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether a value looks like a state dict: a mapping with at least one tensor in it."""
    import torch

    return isinstance(value, Mapping) and any(isinstance(item, torch.Tensor) for item in value.values())


def _only_tensors(path: Path, state: Mapping[object, object]) -> dict[str, Tensor]:
    """The state dict with its types checked; shapes and dtypes are as stored."""
    import torch

    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if isinstance(name, str) and isinstance(value, torch.Tensor):
            tensors[name] = value
    if not tensors:
        keys = ", ".join(repr(key) for key in list(state)[:8]) or "nothing"
        raise CheckpointError(
            f"checkpoint {path} holds no tensors: it has {keys}; "
            f"expected a state dict, bare or under {', '.join(ENTRIES)}"
        )
    if len(tensors) < len(state):
        other = [repr(key) for key in state if key not in tensors]
        raise CheckpointError(f"checkpoint {path}: entries that are no tensors: {', '.join(other[:5])}")
    return tensors
