"""``Steps``: a program as a tree of named calls, so that tracers record which module each operator came from.

``torch.jit.trace`` and the TorchScript-based ONNX exporter name what they record by the ``nn.Module`` that ran it. A
flat graph has no modules left, so each of its calls runs in a small module of its own, whose name is the path of the
network's module and the name of the call: ``stages/1/blocks/0/attn/softmax``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from export.program import Program, module_of


class _Step(nn.Module):
    """One call of the graph, or those of one module of the network."""

    def forward(self, target: Callable[..., object], *args: object, **kwargs: object) -> object:
        return target(*args, **kwargs)


class _Walk(Interpreter):
    """Runs a graph node by node, each call in its step."""

    def __init__(self, module: GraphModule, steps: dict[str, _Step]) -> None:
        super().__init__(module)
        self.steps = steps

    def run_node(self, n: Node) -> object:
        if n.op != "call_function":
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return self.steps[n.name](n.target, *args, **kwargs)


class Steps(nn.Module):
    """The program's graph, one named module per call; same inputs and outputs as ``program.module``.

    Args:
        program: What to run.
        together: Give the calls of one module of the network one step, where nobody needs to tell them apart.
    """

    def __init__(self, program: Program, *, together: bool = False) -> None:
        super().__init__()
        self.graph_module = program.module
        self.steps: dict[str, _Step] = {}
        shared: dict[str, _Step] = {}
        for node in program.module.graph.nodes:
            if node.op == "call_function":
                name = step_name(node, "calls" if together else node.name)
                if name not in shared or not together:
                    shared[name] = _Step()
                    self.add_module(self._free_name(name), shared[name])
                self.steps[node.name] = shared[name]
        self.eval()

    def _free_name(self, name: str) -> str:
        """``name``, or with ``_`` behind it where a module has such an attribute: tracers find a step by its name."""
        while hasattr(self, name):
            name += "_"
        return name

    def forward(self, *inputs: Tensor) -> object:
        """What ``program.module`` answers: one tensor, or a tuple in the order of the spec's outputs."""
        return _Walk(self.graph_module, self.steps).run(*inputs)


def step_name(node: Node, name: str) -> str:
    """Name of the step that runs ``node``, e.g. ``stages/1/blocks/0/attn/softmax``."""
    return "/".join([*filter(None, module_of(node).split(".")), name])


def module_of_step(name: str) -> str:
    """The network's module in a step's name: ``stages.1.blocks.0.attn`` from the example above; "" for the root."""
    return name.rpartition("/")[0].replace("/", ".")


def trace(program: Program, *, fold: bool = True) -> torch.jit.ScriptModule:
    """Trace the program and freeze it, which also folds batch norms into the convolutions before them (``fold``)."""
    with torch.no_grad():
        traced = torch.jit.trace(Steps(program, together=True), program.example, check_trace=False)  # type: ignore[no-untyped-call]
        frozen: torch.jit.ScriptModule = torch.jit.freeze(traced.eval(), optimize_numerics=fold)
    return frozen


def modules_by_operator(
    frozen: torch.jit.ScriptModule, name_of: Callable[[torch.Node], str] = torch.Node.kind
) -> dict[str, list[str]]:
    """For each operator of a traced program, as ``name_of`` names it, the modules that it came from, sorted."""
    found: dict[str, set[str]] = {}
    for node in frozen.graph.nodes():
        scope = node.scopeName().rpartition("__module.")[2]
        if scope and node.kind() != "prim::Constant":
            found.setdefault(name_of(node), set()).add(module_of_step(scope))
    return {operator: sorted(modules - {""}) for operator, modules in sorted(found.items())}
