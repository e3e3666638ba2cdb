"""ExecuTorch programs that keep a state between calls are refused; those that do not are taken."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
import torch
from executorch.exir import ExecutorchBackendConfig, to_edge
from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass
from executorch.exir.schema import TensorShapeDynamism
from executorch.runtime import Runtime
from torch import Tensor, nn
from torch.export import export

from edgevit.errors import ArtifactError
from export.formats.pte_file.contents import stock_kernels
from export.formats.pte_file.memory import IN_PLACE, RESULTS, _Memory
from export.formats.pte_file.read import read

IMAGE = torch.ones(1, 3, 4, 4)


class Plain(nn.Module):
    """Kernels with one, two and three results, and a list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.LayerNorm(4)
        self.register_buffer("b", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(torch.relu(self.conv(x)).mean((2, 3)))
        first, second = torch.split(y, 2, 1)
        return first.max(1).values + second.sum() + self.b


class Counts(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.b.add_(1)
        return x + torch.relu(self.b - 3) * 1000


def written(model: nn.Module, path: Path, *initialised: str) -> Path:
    config = ExecutorchBackendConfig(passes=[InitializedMutableBufferPass(list(initialised))] if initialised else [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of buffers that change
        path.write_bytes(to_edge(export(model.eval(), (IMAGE,))).to_executorch(config).buffer)
    return path


@pytest.mark.parametrize("initialised", [(), ("b",)])
def test_a_program_that_counts_its_calls_is_refused(initialised: tuple[str, ...], tmp_path: Path) -> None:
    """It first shows, in ExecuTorch itself, that a later call answers otherwise."""
    path = written(Counts(), tmp_path / "m.pte", *initialised)
    method = Runtime.get().load_program(path).load_method("forward")
    answers = [float(method.execute([IMAGE])[0].max()) for _ in range(6)]
    assert answers[-1] > answers[0] + 100
    with pytest.raises(ArtifactError, match="a state from call to call"):
        read(path)


class Shown(Plain):
    """Reads what it computed through views, whose calls ExecuTorch leaves out, and writes by index into new memory."""

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.relu(x).flatten(2).topk(4, 2).indices
        picked = x.flatten(2).gather(2, rows.reshape(1, 3, 4, 1).expand(1, 3, 4, 2).flatten(2))
        new = torch.zeros(1, 3, 16).scatter(2, rows, picked[..., :4])
        new[:, 1, ::2] = picked[:, 0]
        return new


def test_views_of_fixed_shape_are_as_written_as_what_they_show(tmp_path: Path) -> None:
    path = written(Shown(), tmp_path / "m.pte")
    program = deserialize_pte_binary(path.read_bytes())
    plan = program.program.execution_plan[0]
    made = {place for each in plan.chains[0].instructions for place in each.instr_args.args[-1:]} | set(plan.inputs)
    read_ = {place for each in plan.chains[0].instructions for place in each.instr_args.args[:-1]}
    planned = {at for at, each in enumerate(plan.values) if getattr(each.val, "allocation_info", None)}
    shown = sorted((read_ & planned) - made)
    assert shown, "no view was left out: the test shows nothing"
    assert read(path).operator_count > 3
    for change in ("memory_offset_low", "memory_id", "shape_dynamism"):
        changed = deserialize_pte_binary(path.read_bytes())
        tensor = changed.program.execution_plan[0].values[shown[-1]].val
        if change == "shape_dynamism":
            tensor.shape_dynamism = TensorShapeDynamism.DYNAMIC_BOUND
        else:
            setattr(tensor.allocation_info, change, getattr(tensor.allocation_info, change) + 1_000_000)
        elsewhere = tmp_path / "elsewhere.pte"
        elsewhere.write_bytes(bytes(serialize_pte_binary(changed)))
        with pytest.raises(ArtifactError, match=f"reads value {shown[-1]} before this call has written it"):
            read(elsewhere)


def test_memory_that_nobody_has_written_is_refused(tmp_path: Path) -> None:
    class Empty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.empty(1, 3, 4, 4) + x

    with pytest.raises(ArtifactError, match="before this call has written it: a state from call to call"):
        read(written(Empty(), tmp_path / "m.pte"))


def test_which_bytes_are_written_is_what_a_set_of_bytes_says() -> None:
    generator = random.Random(0)
    for _ in range(300):
        spans = [(start, start + generator.randrange(1, 9)) for start in generator.choices(range(40), k=12)]
        memory, seen = _Memory([]), set[int]()
        memory._spans = {at: (1, *span) for at, span in enumerate(spans)}
        for at, span in enumerate(spans[:6]):
            memory.write(at)
            seen |= {*range(*span)}
            assert [memory.holds(each) for each in range(12)] == [{*range(*span)} <= seen for span in spans]


def test_a_program_without_state_is_taken_and_its_order_matters(tmp_path: Path) -> None:
    path = written(Plain(), tmp_path / "m.pte")
    assert read(path).operator_count > 5
    program = deserialize_pte_binary(path.read_bytes())
    program.program.execution_plan[0].chains[0].instructions.reverse()
    path.write_bytes(bytes(serialize_pte_binary(program)))
    with pytest.raises(ArtifactError, match="before this call has written it"):
        read(path)


def test_a_result_elsewhere_than_it_is_written_is_refused(tmp_path: Path) -> None:
    path = written(Plain(), tmp_path / "m.pte")
    program = deserialize_pte_binary(path.read_bytes())
    instructions = program.program.execution_plan[0].chains[0].instructions
    call = instructions[0].instr_args
    call.args[-1] = call.args[0]
    path.write_bytes(bytes(serialize_pte_binary(program)))
    with pytest.raises(ArtifactError, match="gives back the values"):
        read(path)


def test_a_kernel_that_writes_into_a_weight_is_refused(tmp_path: Path) -> None:
    path = written(Plain(), tmp_path / "m.pte")
    program = deserialize_pte_binary(path.read_bytes())
    plan = program.program.execution_plan[0]
    weight = next(at for at, each in enumerate(plan.values) if getattr(each.val, "data_buffer_idx", 0))
    call = plan.chains[0].instructions[0].instr_args
    call.args[-2:] = [weight, weight]
    path.write_bytes(bytes(serialize_pte_binary(program)))
    with pytest.raises(ArtifactError, match="which is stored in the file"):
        read(path)


def test_the_counts_of_results_are_those_of_torch() -> None:
    schemas = {f"{each.name}.{each.overload_name}".rstrip("."): each for each in torch._C._jit_get_all_schemas()}
    for name in (each for each in stock_kernels() if each in schemas and each.startswith("aten::")):
        arguments = schemas[name].arguments
        outs = sum(argument.is_out for argument in arguments)
        changed = [
            at for at, argument in enumerate(arguments)
            if argument.alias_info and argument.alias_info.is_write and not argument.is_out
        ]  # fmt: skip
        assert outs == RESULTS.get(name, 1) or (outs == 0 and name not in RESULTS), name
        assert tuple(changed) == IN_PLACE.get(name, ()), name
