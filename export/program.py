"""``Program``: a captured graph on its way to an artifact, and how one is captured from any ``nn.Module``."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from typing import TYPE_CHECKING

import msgspec

from edgevit.errors import ExportError, UsageError
from edgevit.spec import Layout, ModelSpec, TensorSpec
from export.artifact import PassLog

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule, Node

    from export.int8.plan import Quantization
    from export.int8.record import QuantizationRecord

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


@dataclasses.dataclass(frozen=True)
class Program:
    """A flat ATen graph, what it computes, and what the passes have done to it so far.

    ``module`` takes its inputs as positional tensors and returns one tensor, or a tuple of tensors in the order of
    ``spec.outputs``. Every node carries its shape in ``meta["val"]`` and, where it came from the network, its module
    in ``meta["nn_module_stack"]``; see ``module_of``. Nobody writes into its tensors: a pass makes new ones.

    Attributes:
        module: Graph of ``torch.ops.aten`` calls, in eval mode, on the CPU.
        spec: The contract of the model that was captured, in the model's own layout; passes never change it.
        example: One tensor per input, as ``module`` takes them.
        passes: What each pass did, in order.
        input_layout: Layout of the image inputs of ``module`` when it differs from that in ``spec``.
        dynamic_batch: Whether axis 0 of every input and output of ``module`` is free.
        quantization: What of ``module`` the writer makes int8; None for other precisions.
    """

    module: GraphModule
    spec: ModelSpec
    example: tuple[Tensor, ...]
    passes: tuple[PassLog, ...] = ()
    input_layout: Layout | None = None
    dynamic_batch: bool = False
    quantization: Quantization | None = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of ``module``, which become those of the file."""
        return tuple(self._free_batch(_relayout(tensor, self.input_layout)) for tensor in self.spec.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of ``module``, which become those of the file."""
        return tuple(self._free_batch(tensor) for tensor in self.spec.outputs)

    @property
    def layers(self) -> QuantizationRecord | None:
        """What becomes of the layers in int8; None for other precisions."""
        return None if self.quantization is None else self.quantization.record

    def _free_batch(self, tensor: TensorSpec) -> TensorSpec:
        if not self.dynamic_batch:
            return tensor
        return msgspec.structs.replace(tensor, shape=(-1, *tensor.shape[1:]))


def capture(model: nn.Module, spec: ModelSpec) -> Program:
    """Capture ``model`` as a flat ATen graph for the shapes in ``spec``.

    The model itself stays as it is (mode, device, gradients): the graph owns a copy of the weights.

    Raises:
        ExportError: The weights hold NaN, or infinities that reach the answer; the model cannot be captured, keeps a
            state, draws random numbers or computes nothing; what it takes and returns is not what ``spec`` says.
    """
    import torch

    from export.eager.copies import independent_copy
    from export.eager.failures import failure
    from export.eager.flatten import flatten
    from export.eager.refusals import refuse_idle, refuse_what_no_file_holds, without_state
    from export.eager.steady import refuse_kept
    from export.quick.late_code import late_code

    example = _example_inputs(spec)
    frozen = independent_copy(model)
    _refuse_nan(frozen, spec)
    try:
        with torch.no_grad(), warnings.catch_warnings(), late_code():
            # A table that the network keeps for its next run (LeViT's position biases) goes with the copy.
            warnings.filterwarnings("ignore", r"The tensor attributes? .* assigned during export", UserWarning)
            exported = torch.export.export(frozen, example, strict=False).module()
    except Exception as error:
        if "fake tensor" in str(error):  # what capture wrote into weights, past their gradients
            refuse_kept(model, example, spec.name)
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in spec.inputs)
        raise failure(f"cannot capture {spec.name} with inputs {shapes}", error) from error
    module = flatten(exported)
    refuse_what_no_file_holds(module, spec.name)
    without_state(module, spec.name)
    _check_outputs(module, spec)
    refuse_idle(module, spec.name)
    _refuse_infinity(frozen, module, example, spec)
    return Program(module=module, spec=spec, example=example)


def module_of(node: Node) -> str:
    """Path of the network's module that ``node`` came from, e.g. ``stages.1.blocks.0.attn``; "" for the root."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path, _ = list(stack.values())[-1]
    return str(path).partition("@")[0]


def with_input_layout(program: Program, layout: Layout) -> Program:
    """The same program taking its image inputs in ``layout``: a permute goes behind each of them.

    Raises:
        UsageError: ``layout`` differs from the model's own and the model has no image input.
    """
    images = [i for i, tensor in enumerate(program.inputs) if tensor.layout is not None]
    if not images and layout is Layout.NHWC:
        raise UsageError(f"input layout {layout}: {program.spec.name} has no image input to lay out")
    changed = [i for i in images if program.inputs[i].layout is not layout]
    if not changed:
        return program
    module = copy.copy(program.module)
    module.graph = copy.deepcopy(program.module.graph)
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    example = list(program.example)
    to_file, to_model = (TO_NHWC, TO_NCHW) if layout is Layout.NHWC else (TO_NCHW, TO_NHWC)
    for i in changed:
        example[i] = example[i].permute(to_file).contiguous()
        _permute_behind(module, placeholders[i], to_file, to_model)
    module.recompile()
    return dataclasses.replace(program, module=module, example=tuple(example), input_layout=layout)


def _relayout(tensor: TensorSpec, layout: Layout | None) -> TensorSpec:
    """``tensor`` with its axes in ``layout``; unchanged if it is no image or ``layout`` is None."""
    if layout is None or tensor.layout is None or tensor.layout is layout:
        return tensor
    order = TO_NHWC if layout is Layout.NHWC else TO_NCHW
    return msgspec.structs.replace(tensor, shape=tuple(tensor.shape[axis] for axis in order), layout=layout)


def _example_inputs(spec: ModelSpec) -> tuple[Tensor, ...]:
    """One seeded tensor per input of ``spec``: normal for floats, 0 and 1 for integers and booleans.

    Raises:
        ExportError: An input's shape has a free axis, or its dtype is none that torch has.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    tensors = []
    for tensor in spec.inputs:
        if any(size < 1 for size in tensor.shape):
            raise ExportError(
                f"cannot capture {spec.name}: input '{tensor.name}' has the shape {tensor.shape}; "
                "a model is captured for a fixed shape, a free batch is asked for in the recipe",
                hint="give the batch in the spec and use --dynamic-batch",
            )
        dtype = getattr(torch, tensor.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise ExportError(f"tensor '{tensor.name}' has the unknown dtype '{tensor.dtype}'")
        if dtype.is_floating_point:
            tensors.append(torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(dtype))
        else:
            tensors.append(torch.randint(0, 2, tensor.shape, generator=generator).to(dtype))
    return tuple(tensors)


def _refuse_nan(model: nn.Module, spec: ModelSpec) -> None:
    """Refuse weights that no artifact can compute with.

    Raises:
        ExportError: A parameter or buffer holds NaN; the message names the tensors.
    """
    if bad := [name for name, tensor in _floats(model) if tensor.isnan().any()]:
        raise ExportError(f"weights of {spec.name} hold NaN in {_few(bad)}")


def _refuse_infinity(model: nn.Module, module: GraphModule, example: tuple[Tensor, ...], spec: ModelSpec) -> None:
    """Refuse infinite weights, unless they end on the way, as those of a mask before a softmax do.

    Raises:
        ExportError: A parameter or buffer holds Inf and so does the answer; the message names the tensors.
    """
    import torch

    bad = [name for name, tensor in _floats(model) if tensor.isinf().any()]
    if not bad:
        return
    with torch.no_grad():
        results = module(*(tensor.clone() for tensor in example))
    if not all(result.isfinite().all() for result in (results if isinstance(results, tuple) else (results,))):
        raise ExportError(f"weights of {spec.name} hold Inf in {_few(bad)}, and it answers NaN or Inf")


def _floats(model: nn.Module) -> list[tuple[str, Tensor]]:
    import torch

    state = model.state_dict().items()
    return [(name, value) for name, value in state if isinstance(value, torch.Tensor) and value.is_floating_point()]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _check_outputs(module: GraphModule, spec: ModelSpec) -> None:
    """Refuse a network whose outputs are not as many, of the shapes and of the dtypes that ``spec`` says."""
    results = next(node for node in module.graph.nodes if node.op == "output").args[0]
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != len(spec.outputs):
        raise ExportError(
            f"{spec.name} returns {len(results)} outputs, its spec says {len(spec.outputs)} "
            f"({', '.join(tensor.name for tensor in spec.outputs)})"
        )
    for expected, node in zip(spec.outputs, results, strict=True):
        value = node.meta["val"] if hasattr(node, "meta") else node
        if not hasattr(value, "shape"):
            raise ExportError(f"{spec.name} returns {value!r} for output '{expected.name}', expected a tensor")
        seen = (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        if seen != (expected.shape, expected.dtype):
            raise ExportError(
                f"{spec.name} returns {seen[1]} {seen[0]} for output '{expected.name}', "
                f"its spec says {expected.dtype} {expected.shape}"
            )


def _permute_behind(module: GraphModule, node: Node, to_file: tuple[int, ...], to_model: tuple[int, ...]) -> None:
    """Let ``node``, an image, be given in the file's order, and all its readers see the model's."""
    import torch

    value = node.meta["val"]
    with module.graph.inserting_after(node):
        permute = module.graph.call_function(torch.ops.aten.permute.default, (node, list(to_model)))
    node.replace_all_uses_with(permute, delete_user_cb=lambda user: user is not permute)
    node.meta["val"] = value.permute(to_file).contiguous()
    permute.meta["val"] = node.meta["val"].permute(to_model)
