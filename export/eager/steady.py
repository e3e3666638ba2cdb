"""Refuses what answers otherwise from call to call: random numbers, and what a network keeps to itself."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ExportError
from edgevit.spec import ModelSpec
from export.eager.answers import answers, batch_of
from export.eager.copies import independent_copy
from export.eager.failures import behind, place_at
from export.eager.long_sums import long_sums
from export.eager.reference_mode import reference_mode
from export.stimuli import Floats, Samples

if TYPE_CHECKING:
    from torch import Tensor, nn

_DEEPEST = 4  # of what is looked into for a change; chosen: a dict of lists of records of tensors
_MOST_NAMED = 3


def refuse_unsteady(model: nn.Module, spec: ModelSpec, samples: Samples, single: Mapping[str, Floats]) -> None:
    """Let a fresh copy run the last samples first: it must give the bits of ``single``, which ran all in their order.

    So a network that remembers an earlier input, the first one or the number of its calls is told from one that keeps
    a table of the same values. The copy runs them twice: a counter of two states may be where the others left it.

    Args:
        model: The network; it stays as it is.
        spec: Its inputs and outputs.
        samples: All samples.
        single: By output name, ``(count, ...)``: what float32 eager answers to them, one batch after the other.

    Raises:
        ExportError: Other bits came; names what the network keeps and the line, or says that it is random.
    """
    start = (len(samples.labels) - 1) // batch_of(spec) * batch_of(spec)
    last = Samples(samples.labels[start:], {name: array[start:] for name, array in samples.arrays.items()})
    run = partial(answers, spec=spec, samples=last, double=False)
    with long_sums(in_order=False):  # as ``single`` was run: some modules compute otherwise where nobody looks on
        fresh = independent_copy(model)
        first, second = run(fresh), run(fresh)
        wanted = {name: values[start:] for name, values in single.items()}
        output = _differing(first, wanted) or _differing(second, wanted)
        if output is None:
            return
        raise _unsteady(spec.name, independent_copy(model), run, first, output)


def _differing(seen: Mapping[str, Floats], wanted: Mapping[str, Floats]) -> str | None:
    """The first output that has other bits."""
    return next((name for name, row in seen.items() if not np.array_equal(row, wanted[name], equal_nan=True)), None)


def _unsteady(
    name: str, fresh: nn.Module, run: Callable[[nn.Module], dict[str, Floats]], first: dict[str, Floats], output: str
) -> ExportError:
    """The error for a network, of which ``fresh`` has not run yet; ``first`` is what another fresh copy answered."""
    what = f"{name} answers differently on the same input at output '{output}'"
    again: dict[str, Floats] = {}
    kept = kept_by(fresh, lambda network: again.update(run(network)))
    if _differing(again, first) is not None:
        return ExportError(
            f"{what}: a reference needs a model without randomness",
            hint="remove random operations, or seed them inside forward",
        )
    path, words = kept or ("it", "it keeps something from call to call outside of its attributes")
    return ExportError(f"{what}: {words}", hint=_hint(path))


def refuse_kept(model: nn.Module, example: Sequence[Tensor], name: str) -> None:
    """Refuse a network whose run changes its weights or attributes.

    Args:
        model: The network; it stays as it is.
        example: What it takes.
        name: What it is called in errors.

    Raises:
        ExportError: It does; names the first attribute and the line.
    """
    with reference_mode(double=False):
        kept = kept_by(independent_copy(model), lambda fresh: fresh(*(tensor.clone() for tensor in example)))
    if kept is not None:
        raise ExportError(f"cannot capture {name}: {kept[1]}", hint=_hint(kept[0]))


def _hint(path: str) -> str:
    kept = "it" if path == "it" else f"'{path}'"
    return f"an artifact keeps nothing from run to run: take {kept} as an input and return it"


def kept_by(model: nn.Module, run: Callable[[nn.Module], object]) -> tuple[str, str] | None:
    """The first attribute that ``run`` changes in ``model``, and words that name all and the line; None for none."""
    before = dict(_kept(model))
    run(model)
    after = dict(_kept(model))
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not changed:
        return None
    paths = [f"{path}.{attribute}".lstrip(".") for path, attribute in changed[:_MOST_NAMED]]
    parts, attribute = changed[0][0].split("."), changed[0][1]
    owners = [model.get_submodule(".".join(parts[:end])) for end in range(len(parts), -1, -1)]
    where = next((line for owner in owners if (line := line_that_changes(owner, attribute))), "")
    return paths[0], behind(f"it keeps {', '.join(map(repr, paths))} from call to call", where)


def _kept(model: nn.Module) -> Iterator[tuple[tuple[str, str], object]]:
    """What every module of the network holds, by its path and the attribute: equal where nothing has changed."""
    from torch import nn

    plain = vars(nn.Module()).keys()
    for path, module in model.named_modules():
        own = {name: value for name, value in vars(module).items() if name not in plain}
        for name, value in {**own, **module._buffers, **module._parameters}.items():
            yield (path, name), _digest(value, _DEEPEST)


def _digest(value: object, depth: int) -> object:
    import torch

    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            return id(value)
        return (
            str(value.dtype),
            tuple(value.shape),
            hash(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()),
        )
    if value is None or isinstance(value, str | int | float | bytes | np.generic) or not depth:
        return value if isinstance(value, str | int | float | bytes) else id(value)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, Mapping):
        return tuple((_digest(key, 0), _digest(part, depth - 1)) for key, part in value.items())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return tuple(_digest(part, depth - 1) for part in value)
    return id(value), tuple((name, _digest(part, depth - 1)) for name, part in getattr(value, "__dict__", {}).items())


def line_that_changes(module: nn.Module, attribute: str) -> str:
    """``net.py:12 in forward: self.prev = y``: where the class changes an attribute after ``__init__``.

    Empty where that is not found.
    """
    from torch import nn

    for kind in (each for each in type(module).__mro__ if each not in nn.Module.__mro__):
        try:
            lines, start = inspect.getsourcelines(kind)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):  # typed into an interpreter, or compiled
            continue
        found = [(node.lineno, name) for node, name in _statements(tree) if _changes(node, attribute)]
        if found:
            line, function = min(found)
            return place_at(inspect.getsourcefile(kind) or "<", start + line - 1, function, lines[line - 1])
    return ""


def _statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """The statements in the methods of a class, with the method's name; those of ``__init__`` are left out."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name != "__init__":
            yield from ((node, function.name) for node in ast.walk(function) if isinstance(node, ast.stmt))


def _changes(node: ast.stmt, attribute: str) -> bool:
    """Whether a statement assigns to ``self.attribute``, to a part of it, or calls a method of it for its effect."""
    if isinstance(node, ast.Assign):
        changed: list[ast.expr] = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        changed = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        changed = [node.value.func]
    else:
        return False
    parts = [part for target in changed for part in ast.walk(target)]
    return any(isinstance(part, ast.Attribute) and part.attr == attribute for part in parts)
