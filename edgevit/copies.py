"""Copies of a user's module, to run and change where the module itself must stay as it is, whatever hangs on it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MethodType
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, UsageError, first_line

if TYPE_CHECKING:
    from torch import nn


def deep_copy(model: nn.Module) -> nn.Module:
    """``model`` with tensors, attributes and hooks of its own, in the mode and on the device that it has.

    Tensors that gradients went through (a cache, a weight that a hook computes) are copied as they are. What cannot
    be copied at all (a lock, an open file, a generator) is shared: a forward that needs it finds it.

    Raises:
        ExportError: It refuses to be copied; the message names the attributes.
    """
    try:
        with _detaching():
            return copy.deepcopy(model)
    except Exception:
        stubborn: dict[str, object] = {}
        _explain("", model, stubborn, set())
    try:
        with _detaching():
            return copy.deepcopy(model, {id(value): value for value in stubborn.values()})
    except Exception as error:
        raise ExportError(
            f"the network cannot be copied: {first_line(error)}; its attributes {_few(list(stubborn))} refuse it",
            hint="set them to None before the export, or give their class a __deepcopy__",
        ) from error


def _detaching() -> AbstractContextManager[object]:
    """A mode in which ``copy.deepcopy`` takes the values of a tensor that gradients went through."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Callable[..., object],
            types: Sequence[type],
            args: Sequence[object] = (),
            kwargs: Mapping[str, object] | None = None,
        ) -> object:
            if func is Tensor.__deepcopy__ and isinstance(tensor := args[0], Tensor) and not tensor.is_leaf:
                memo = args[1]
                assert isinstance(memo, dict)
                return memo.setdefault(id(tensor), tensor.detach().clone())
            return func(*args, **(kwargs or {}))

    return Mode()


def _explain(path: str, value: object, stubborn: dict[str, object], seen: set[int]) -> bool:
    """Whether ``value``, at ``path``, cannot be copied; ``stubborn`` gets what is the cause: it has no part that is."""
    if id(value) in seen:
        return True
    if _is_copied(value):
        return False
    seen.add(id(value))
    parts = [_explain(f"{path}.{name}".lstrip("."), part, stubborn, seen) for name, part in list(_parts(value))]
    if not any(parts):
        stubborn[path] = value
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(position), part) for position, part in enumerate(value))
    elif isinstance(value, MethodType):
        yield "self", value.__self__
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()


def _is_copied(value: object) -> bool:
    try:
        with _detaching():
            copy.deepcopy(value)
    except Exception:
        return False
    return True


def refuse_no_module(model: object) -> None:
    """Refuse a function, a class, or whatever else is no ``torch.nn.Module``.

    Raises:
        UsageError: It is none.
    """
    from torch import nn

    if not isinstance(model, nn.Module):
        kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise UsageError(f"the network is {kind}, expected a torch.nn.Module", hint="call it in the forward of one")


def refuse_weights_not_there(model: nn.Module) -> None:
    """Refuse a network whose weights are not there, or not all there.

    Raises:
        ExportError: Parameters that have no shape or no values yet, or are sparse; the message names them.
    """
    import torch
    from torch.nn.parameter import is_lazy

    tensors = [*model.named_parameters(), *model.named_buffers()]
    lazy = [name for name, tensor in tensors if is_lazy(tensor)]
    if lazy:
        raise ExportError(
            f"the network has parameters without a shape: {_few(lazy)}",
            hint="run the network once on an example before the export",
        )
    empty = [name for name, tensor in tensors if tensor.is_meta]
    if empty:
        raise ExportError(
            f"the network has parameters without values, on the device 'meta': {_few(empty)}",
            hint="load the weights with load_state_dict(..., assign=True) before the export",
        )
    sparse = [f"{name} ({tensor.layout})" for name, tensor in tensors if tensor.layout is not torch.strided]
    if sparse:
        raise ExportError(
            f"the network has parameters that are not dense: {_few(sparse)}",
            hint="call .to_dense() on them: a file holds every number of a weight",
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
