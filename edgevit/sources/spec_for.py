"""``spec_for``: the contract of any module, worked out by running it once.

Inputs have the names of the parameters of ``forward``, outputs those of a dict's keys or a dataclass's fields; else one
is ``logits`` where it is ``(N, classes)``, and ``output`` where not, several are ``output1``, ``output2``, or
``stage1``, ``stage2`` where all are maps. Four axes with up to four channels are an image, NCHW or NHWC.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard

from edgevit.copies import deep_copy, refuse_no_module, refuse_weights_not_there
from edgevit.errors import UsageError, parse_choice
from edgevit.names import tensor_names_problem
from edgevit.network.describe import check_labels
from edgevit.sources.digest import weights_sha256
from edgevit.sources.origin import told_with_line
from edgevit.sources.pretrained_cfg import preprocessing_of
from edgevit.sources.results import named_tensors
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_CHANNELS = 4  # of an image; chosen: colours with depth or alpha


def spec_for(
    model: nn.Module,
    example: Tensor | Sequence[Tensor],
    *,
    name: str | None = None,
    variant: str | None = None,
    task: Task | str | None = None,
    weights: Weights | None = None,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
) -> ModelSpec:
    """The specification of ``model``: names, shapes and types of what it takes and returns, found by one run.

    Args:
        model: Any module; it stays as it is: a copy is run in eval mode, without gradients.
        example: What ``forward`` takes, by position, with the batch that is wanted.
        name: Stem of the files; None takes the class's name and the size of the image.
        variant: What network it is; None takes the class's name.
        task: ``classify`` or ``features``; None: ``classify`` for one output ``(N, classes)``, else ``features``.
        weights: Where they came from; None: of the module itself, told by their hash.
        labels: One name per class.
        preprocessing: How a photo becomes the input; None takes it from ``model.pretrained_cfg``, as timm's have one.
        input_names: Other names for the inputs, in the order of ``forward``.
        output_names: Other names for the outputs.
        options: What else tells this network from others of the same ``variant``.

    Raises:
        UsageError: The run failed (names the line); no tensors, float64 ones or empty ones; names or labels do not fit.
        ExportError: Weights that are not there, or sparse; a module that cannot be copied.
    """
    given = _checked(model, example)
    inputs, answers = _inputs(model, given, input_names), named_tensors(run(model, given), "output")
    task = _likely_task(answers) if task is None else parse_choice("task", Task, task)
    outputs = _outputs(answers, task, inputs, output_names)
    kind = variant or type(model).__name__
    return ModelSpec(
        name=name or _stem(kind, inputs),
        variant=kind,
        task=task,
        inputs=inputs,
        outputs=outputs,
        weights=weights or Weights(source="module", sha256=weights_sha256(model)),
        num_classes=_classes(outputs, task, labels),
        preprocessing=preprocessing or _own_preprocessing(model, inputs),
        labels=tuple(labels),
        options=dict(options or {}),
    )


def _checked(model: nn.Module, example: object) -> tuple[Tensor, ...]:
    """The example as a tuple, after what is no module, and what holds no tensors, was refused."""
    refuse_no_module(model)
    refuse_weights_not_there(model)
    given = (example,) if _is_tensor(example) else tuple(example) if isinstance(example, Iterable) else None
    if not given or not all(_is_tensor(tensor) for tensor in given):
        kinds = type(example).__name__ if given is None else ", ".join(type(value).__name__ for value in given)
        raise UsageError(
            f"the example holds {kinds or 'nothing'}: expected a tensor, or a sequence of one for each input"
        )
    for place, tensor in enumerate(given, 1):
        _refuse_empty(f"input {place}", tensor, "leave it out of forward")
    return given


def _refuse_empty(what: str, tensor: Tensor, hint: str) -> None:
    if not tensor.numel():
        raise UsageError(f"{what} has the shape {tuple(tensor.shape)}, which holds no number", hint=hint)


def _refuse_double(model: nn.Module, example: Sequence[Tensor]) -> None:
    """Refuse what no runtime for phones computes; buffers that are only read may be float64."""
    import torch

    wide = [name for name, tensor in model.named_parameters() if tensor.dtype == torch.float64]
    wide += [
        f"input {place}" for place, tensor in enumerate(example, 1) if getattr(tensor, "dtype", 0) == torch.float64
    ]
    if wide:
        raise UsageError(
            f"{type(model).__name__} is float64 ({', '.join(wide[:3])}): an artifact is float32 throughout",
            hint="call .float() on the module and on its example",
        )


def _classes(outputs: Sequence[TensorSpec], task: Task, labels: Sequence[str]) -> int | None:
    """The length of the logits; None where there are none."""
    classes = outputs[0].shape[1] if task is Task.CLASSIFY and len(outputs[0].shape) == 2 else None
    check_labels(labels, classes)
    return classes


def run(model: nn.Module, example: Sequence[Tensor]) -> object:
    """What ``forward`` returns in eval mode without gradients, run on copies: module and example stay as they are.

    Raises:
        UsageError: It failed; names the line.
        ExportError: The module cannot be copied.
    """
    import torch

    copied = deep_copy(getattr(model, "_orig_mod", model)).eval()
    with torch.no_grad():
        given = [tensor.clone() for tensor in example]
        try:
            return copied(*given)
        except Exception as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in example)
            raise UsageError(
                f"{type(model).__name__} fails on inputs of shape {shapes}: {told_with_line(error)}"
            ) from error


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    import torch

    return isinstance(value, torch.Tensor)


def _inputs(model: nn.Module, example: Sequence[Tensor], names: Sequence[str]) -> tuple[TensorSpec, ...]:
    found = names or _parameter_names(model, len(example))
    _check_names(found, len(example), "inputs")
    _refuse_double(model, example)
    return tuple(
        TensorSpec(
            name=name, shape=tuple(tensor.shape), dtype=_dtype(tensor), layout=_image_layout(tuple(tensor.shape))
        )
        for name, tensor in zip(found, example, strict=True)
    )


def _parameter_names(model: nn.Module, count: int) -> list[str]:
    """The names of the first ``count`` parameters of ``forward``; ``args`` that takes several counts them."""
    names: list[str] = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = count - len(names)
            names += [parameter.name if count == 1 else f"{parameter.name}{i}" for i in range(1, rest + 1)]
        elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    if len(names) < count:
        raise UsageError(
            f"forward of {type(model).__name__} takes {len(names)} inputs by position, the example has {count}"
        )
    return names[:count]


def _check_names(names: Sequence[str], count: int, what: str) -> None:
    if len(names) != count or len(set(names)) != count:
        raise UsageError(f"{len(set(names))} names for {count} {what}: {', '.join(names)}")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _image_layout(shape: Sequence[int]) -> Layout | None:
    """The layout of an image, told by which axis is as short as channels are; None for what is no image."""
    if len(shape) != 4:
        return None
    first, last = shape[1] <= MOST_CHANNELS, shape[3] <= MOST_CHANNELS
    if first:
        return Layout.NCHW
    return Layout.NHWC if last else None


def _likely_task(answers: Sequence[tuple[str, Tensor]]) -> Task:
    return Task.CLASSIFY if len(answers) == 1 and answers[0][1].dim() == 2 else Task.FEATURES


def _outputs(
    answers: Sequence[tuple[str, Tensor]], task: Task, inputs: Sequence[TensorSpec], names: Sequence[str]
) -> tuple[TensorSpec, ...]:
    found = names or _apart_from(inputs, _result_names(answers, task))
    _check_names(found, len(answers), "outputs")
    for name, (_, tensor) in zip(found, answers, strict=True):
        _refuse_empty(f"output '{name}'", tensor, "leave it out of what forward returns")
    if problem := tensor_names_problem([tensor.name for tensor in inputs], found):
        raise UsageError(problem)
    return tuple(
        TensorSpec(name=name, shape=tuple(tensor.shape), dtype=_dtype(tensor), layout=_map_layout(tensor.shape, inputs))
        for name, (_, tensor) in zip(found, answers, strict=True)
    )


def _apart_from(inputs: Sequence[TensorSpec], names: Sequence[str]) -> list[str]:
    """``names`` with a ``_`` behind those that an input has: a file has one name for one tensor."""
    own = {tensor.name for tensor in inputs}
    taken, found = own | set(names), list[str]()
    for name in names:
        new = name
        while new in own or (new != name and new in taken):
            new += "_"
        taken.add(new)
        found.append(new)
    return found


def _map_layout(shape: Sequence[int], inputs: Sequence[TensorSpec]) -> Layout | None:
    """The layout of a map: that in which it has the proportions of the one image that went in; None where neither."""
    images = [tensor for tensor in inputs if tensor.layout is not None]
    if len(images) != 1 or len(shape) != 4:
        return None
    sides = images[0].shape[2:] if images[0].layout is Layout.NCHW else images[0].shape[1:3]
    fits = {layout: _alike(sides, found) for layout, found in ((Layout.NCHW, shape[2:]), (Layout.NHWC, shape[1:3]))}
    own = images[0].layout
    return own if own is not None and fits[own] else next((layout for layout, alike in fits.items() if alike), None)


def _alike(image: Sequence[int], seen: Sequence[int]) -> bool:
    """Whether both sides were divided by the same number, rounded up or down."""
    return abs(image[0] / seen[0] - image[1] / seen[1]) * min(seen) < max(image[0] / seen[0], image[1] / seen[1])


def _result_names(answers: Sequence[tuple[str, Tensor]], task: Task) -> list[str]:
    """The names in the result, and the usual ones where it has none."""
    names = [name for name, _ in answers]
    if names == ["output"] and task is Task.CLASSIFY and answers[0][1].dim() == 2:
        return ["logits"]
    counted = [f"output{number}" for number in range(1, len(names) + 1)]
    if names == counted and len(names) > 1 and all(tensor.dim() == 4 for _, tensor in answers):
        return [f"stage{number}" for number in range(1, len(names) + 1)]
    return names


def _own_preprocessing(model: nn.Module, inputs: Sequence[TensorSpec]) -> Preprocessing | None:
    """From the module's ``pretrained_cfg``, where it takes one image and has one."""
    cfg = getattr(model, "pretrained_cfg", None)
    image = inputs[0]
    if not isinstance(cfg, Mapping) or len(inputs) != 1 or image.layout is None:
        return None
    _, *rest = image.shape
    channels, height, width = rest if image.layout is Layout.NCHW else (rest[2], rest[0], rest[1])
    return preprocessing_of(cfg, channels, (height, width))


def _stem(kind: str, inputs: Sequence[TensorSpec]) -> str:
    """``resnet-224x224`` for one image, else the kind alone."""
    sizes = ["x".join(map(str, tensor.shape[2:] if tensor.layout is Layout.NCHW else tensor.shape[1:3]))
             for tensor in inputs if tensor.layout is not None]  # fmt: skip
    return "-".join([kind.lower(), *sizes[:1]])
