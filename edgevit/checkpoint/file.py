"""Read a weights file without ever running code from it.

Two containers are known, told apart by their content and not by their name: safetensors, and what ``torch.save``
writes (read with ``weights_only=True``, always). ``entries`` finds the weights in it.
"""

from __future__ import annotations

import errno
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.checkpoint.inert import stand_ins
from edgevit.checkpoint.measured import MeasuredFile
from edgevit.errors import CheckpointError, MissingDependencyError, first_line
from edgevit.paths import utf8_path
from edgevit.text import open_regular

if TYPE_CHECKING:
    from torch import Tensor

_TEXT_FILES = {
    b"version https://git-lfs": "a Git LFS pointer, not the file that it points to: run 'git lfs pull'",
    b"<!DOCTYPE": "a web page, not weights: the download link led to a page",
    b"<html": "a web page, not weights: the download link led to a page",
    b"{": "a JSON text, not weights (an index of shards names the files that hold them)",
}
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.[a-z]+$")


def read_content(path: Path) -> object:
    """What a weights file holds: of safetensors its tensors by name, else whatever ``torch.save`` stored.

    Raises:
        CheckpointError: Unreadable, damaged, a part of something, or it wants to run code.
    """
    if refused := _part_of_more(path):
        raise CheckpointError(f"checkpoint {path} is {refused}")
    with open_regular(path, what="checkpoint", failure=CheckpointError) as file:
        start = file.read(64)  # enough to tell what it is
    if not start:
        raise CheckpointError(f"checkpoint {path} is empty (0 bytes)")
    for marker, meaning in _TEXT_FILES.items():
        if start.lower().startswith(marker.lower()):
            raise CheckpointError(f"checkpoint {path} is {meaning}")
    by_content = start[8:9] == b"{"  # 8 bytes of header length, then JSON
    return _read_safetensors(path) if by_content or path.suffix == ".safetensors" else _read_torch(path)


def _part_of_more(path: Path) -> str | None:
    """What a file or directory is by its name, when it does not hold a whole network's weights."""
    if path.suffix == ".distcp" or (path.is_dir() and (path / ".metadata").is_file()):
        return (
            "a sharded checkpoint of torch.distributed (FSDP): join it first, "
            "python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIRECTORY weights.pth"
        )
    if path.is_dir() and (path / "zero_to_fp32.py").is_file():
        return "a checkpoint of DeepSpeed: join it first with the zero_to_fp32.py in it"
    shard = _SHARD.search(path.name)
    if shard and int(shard[2]) > 1:
        return f"part {int(shard[1])} of {int(shard[2])}: save the whole state dict in one file"
    return None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, in their stored shapes and dtypes."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"cannot read {path}: safetensors is not installed", extra="ptl") from error
    try:
        with utf8_path(path) as name:
            tensors: dict[str, Tensor] = load_file(name)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is truncated or not a safetensors file: {error}") from error
    return tensors


def _read_torch(path: Path) -> object:
    """What ``torch.save`` stored, with ``Inert`` in place of what only holds data; any other class is refused."""
    import torch

    try:
        harmless = stand_ins(path)
        _check_zip_sums(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(harmless), MeasuredFile(path) as file:
            warnings.simplefilter("ignore")
            content: object = torch.load(file, map_location="cpu", weights_only=True)
    except (CheckpointError, MemoryError):
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
    except Exception:  # what zipfile raises is not documented: UnicodeDecodeError, RuntimeError, zlib.error...
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
    if "torch.distributed" in text or "ShardedTensor" in text:
        return CheckpointError(
            f"checkpoint {path} holds sharded tensors (FSDP, DTensor): a part of the weights",
            hint="in the training code: save the full state dict (StateDictType.FULL_STATE_DICT)",
        )
    if "Unsupported operand" in text and path.stat().st_size > 2:
        return CheckpointError(
            f"checkpoint {path} is truncated or not a checkpoint, or pickled with another protocol than torch.save's",
            hint="in the training code: torch.save(model.state_dict(), 'weights.pth'), without pickle_protocol",
        )
    if wanted := re.search(r"GLOBAL ([\w.]+) (?:was not|whose)", text):
        return CheckpointError(
            f"checkpoint {path} is refused: loading it would run or import '{wanted[1]}', "
            "and only tensors and plain containers are ever loaded",
            hint="in the training code: torch.save(model.state_dict(), 'weights.pth')",
        )
    said = first_line(error).partition(". ")[0]
    reason = said if isinstance(error, RuntimeError) else "its bytes are no list of tensors"
    return CheckpointError(f"checkpoint {path} is truncated or not a checkpoint: {reason}")
