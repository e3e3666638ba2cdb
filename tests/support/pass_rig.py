"""Run one pass on a small module and hold it to the function that the module computes, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType

import msgspec
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor, nn
from torch.fx import GraphModule

from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes import decompose
from export.program import Program, capture, module_of
from export.recipe import Format

TOLERANCE = 1e-10
few = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
"""A few shapes at random. What a pass may get wrong (a sign, an axis, a missing bias) must not depend on their seed:
each test that uses this has an ``example`` for every branch, with sizes that no symmetry hides."""


class Lambda(nn.Module):
    """A module of ``layers`` whose forward is a function of them and the input."""

    def __init__(self, forward: Callable[[nn.ModuleDict, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.function = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layers, x)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """``module`` in eval mode and float64 with statistics and weights that no symmetry hides."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                tensor.normal_(0, 0.5, generator=generator)
                if name.endswith("running_var") or (tensor.dim() == 1 and name.endswith("weight")):
                    tensor.abs_().add_(0.5)
    return module


def captured(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Program:
    """The program of ``module``, which is of ``dtype``, for one input of ``shape``."""
    with torch.no_grad():
        result = module(torch.zeros(shape, dtype=dtype))
    name = str(dtype).removeprefix("torch.")
    spec = ModelSpec(
        name="sample",
        variant="sample",
        task=Task.FEATURES,
        inputs=(TensorSpec(name="x", shape=shape, dtype=name),),
        outputs=(TensorSpec(name="y", shape=tuple(result.shape), dtype=name),),
        weights=Weights(source="random", seed=0),
    )
    return capture(module, spec)


def in_double(spec: ModelSpec) -> ModelSpec:
    """``spec`` with every tensor in float64."""

    def double(tensor: TensorSpec) -> TensorSpec:
        return msgspec.structs.replace(tensor, dtype="float64")

    return msgspec.structs.replace(
        spec, inputs=tuple(map(double, spec.inputs)), outputs=tuple(map(double, spec.outputs))
    )


def rewritten(program: Program, *passes: ModuleType) -> tuple[GraphModule, PassLog]:
    """The module after ``passes``, and what the last one did; asserts the same function and shapes throughout."""
    editor = GraphEditor(program.module)
    logs = [step.run(editor) for step in passes]
    module = editor.finish()
    before, after = program.module(*program.example), module(*program.example)
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    assert (before - after).abs().max() <= TOLERANCE * max(1.0, float(before.abs().max()))
    _assert_true_shapes(module, program)
    return module, logs[-1]


def apply(module: nn.Module, shape: tuple[int, ...], *passes: ModuleType) -> tuple[GraphModule, PassLog]:
    """Capture ``module`` with random weights, rewrite and compare; the program's own tensors must stay as they were."""
    program = captured(randomised(module), shape)
    state = {name: tensor.clone() for name, tensor in program.module.state_dict().items()}
    result, log = rewritten(program, *passes)
    for name, tensor in program.module.state_dict().items():
        assert torch.equal(tensor, state[name]), f"{name} was written into"
    return result, log


def assert_folded_in_double(module: nn.Module, shape: tuple[int, ...], *passes: ModuleType) -> None:
    """What ``passes`` fold into the weights of a float32 network is rounded once, from float64."""
    single = randomised(module).float()
    tensors = []
    for network, dtype in ((single, torch.float32), (copy.deepcopy(single).double(), torch.float64)):
        editor = GraphEditor(captured(network, shape, dtype).module)
        assert [step.run(editor) for step in passes][-1].rewrites > 0
        tensors.append([found for node in editor.graph.nodes if (found := editor.constant(node)) is not None])
    for rounded, exact in zip(*tensors, strict=True):
        assert rounded.dtype == torch.float32
        assert torch.equal(rounded, exact.float())


def places(module: GraphModule, *targets: object) -> list[str]:
    """The module of the network that each call of ``targets`` comes from."""
    return [module_of(node) for node in module.graph.nodes if node.target in targets]


def calls(module: GraphModule, *targets: object) -> int:
    """How many calls of ``targets`` the graph has."""
    return sum(node.target in targets for node in module.graph.nodes if node.op == "call_function")


def _assert_true_shapes(module: GraphModule, program: Program) -> None:
    """Every ``meta["val"]`` says what running the graph gives."""
    test = _ShapeCheck(module)
    test.run(*program.example)


class _ShapeCheck(torch.fx.Interpreter):
    def run_node(self, n: torch.fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            assert tuple(n.meta["val"].shape) == tuple(result.shape), n.format_node()
            assert n.meta["val"].dtype == result.dtype
        return result


def decomposing(format: Format) -> ModuleType:
    """The pass ``decompose`` for ``format`` as ``rewritten`` and ``apply`` run passes."""
    step = ModuleType("decomposing")
    step.__dict__["run"] = lambda editor: decompose.run(editor, format)
    return step
