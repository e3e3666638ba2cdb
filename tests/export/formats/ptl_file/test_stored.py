"""What a lite program may not write into: whatever is stored in its file, on whichever way it got there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

from edgevit.errors import ArtifactError
from export.formats.ptl_file.read import read
from export.formats.ptl_file.stored import STORED, UNKNOWN, Marks
from export.formats.ptl_file.values import Items, Opaque, PickleError
from export.formats.ptl_file.versions import arity, operator_table

SCHEMAS = {
    f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name: schema
    for schema in torch._C._jit_get_all_schemas()
}
HELD = Opaque("tensor")
WRITES = "writes into what is stored in the file: a second call answers otherwise"


class Direct(nn.Module):
    """Counts its calls in ``b``; its answer jumps on a late call. Other networks here do that in other ways."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("b", torch.zeros(4))
        self.inner = nn.BatchNorm2d(3)
        self.held = [torch.zeros(4)]

    def forward(self, x: Tensor) -> Tensor:
        self.b.add_(1)
        return x + torch.relu(self.b - 3).sum() * 1000


class View(Direct):
    def forward(self, x: Tensor) -> Tensor:
        self.b.view(2, 2)[0].unsqueeze(0).add_(1)
        return x + torch.relu(self.b - 3).sum() * 1000


class Returned(Direct):
    """Operators that give back the very tensor, without saying so in their schema."""

    def forward(self, x: Tensor) -> Tensor:
        same = torch.dropout(self.b.to(x.dtype).contiguous().reshape(4).type_as(x), 0.5, False)
        same.add_(1)
        return x + torch.relu(same - 3).sum() * 1000


class InList(Direct):
    def forward(self, x: Tensor) -> Tensor:
        tensors = [x, self.b]
        tensors[1].add_(1)
        return x + torch.relu(self.b - 3).sum() * 1000


class Appended(Direct):
    def forward(self, x: Tensor) -> Tensor:
        tensors = [x]
        tensors.append(self.b)
        tensors[1].add_(1)
        return x + torch.relu(self.b - 3).sum() * 1000


class Branch(Direct):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        if bool(x.sum() > -1e30):
            y = self.b
        y.add_(1)
        return x + torch.relu(self.b - 3).sum() * 1000


class Loop(Direct):
    """The first turn writes into a new tensor, the second into the stored one."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        for _ in range(int(x.size(0)) + 1):
            y.add_(1)
            y = self.b
        return x + torch.relu(self.b - 0.5).sum() * 1000


class ListOfFile(Direct):
    def forward(self, x: Tensor) -> Tensor:
        self.held[0].add_(1)
        return x + torch.relu(self.held[0] - 3).sum() * 1000


class Grows(Direct):
    """The list itself is what is stored."""

    def forward(self, x: Tensor) -> Tensor:
        self.held.append(x)
        return x + float(max(0, len(self.held) - 4)) * 1000


class Trains(Direct):
    """A batch norm writes its statistics, which its schema does not say."""

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.inner.running_mean, self.inner.running_var
        assert mean is not None and var is not None
        torch.batch_norm(x + 100, None, None, mean, var, True, 0.5, 1e-5, False)
        return x + torch.relu(mean - 90).sum() * 1000


@pytest.mark.parametrize("make", [Direct, View, Returned, InList, Appended, Branch, Loop, ListOfFile, Grows, Trains])
def test_networks_that_keep_a_state_are_refused(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    """Each one first shows, in torch's own runtime, that it answers otherwise on a later call."""
    path = tmp_path / "m.ptl"
    torch.jit.script(make().eval())._save_for_lite_interpreter(str(path))
    run, image = _load_for_lite_interpreter(str(path)), torch.ones(1, 3, 4, 4)
    answers = [run(image) for _ in range(6)]
    assert float(answers[-1].max()) > float(answers[0].max()) + 100
    with pytest.raises(ArtifactError, match=f"{WRITES}|puts what is stored in the file into a list"):
        read(path)


class Clean(nn.Module):
    """In-place steps on its own tensors, from weights too; loops, lists, a batch norm that does not train."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x)).relu_().reshape([x.size(0), -1]).add_(1)
        z = self.token.clone().view(2, 2).mul_(2)
        kept = [y]
        for _ in range(x.size(0)):
            y = (y * z.sum()).clamp_(-1, 1)
            kept.append(y)
        return torch.cat(kept, 1).add_(self.token.mean())


def test_in_place_steps_on_new_tensors_are_taken(tmp_path: Path) -> None:
    torch.jit.script(Clean().eval())._save_for_lite_interpreter(str(tmp_path / "m.ptl"))
    assert all(operator.standard for operator in read(tmp_path / "m.ptl").operators)


def test_a_second_sum_in_place_is_taken_behind_a_sum_with_what_is_stored(tmp_path: Path) -> None:
    class Masked(nn.Module):  # as Swin adds its position biases and then its mask to the products of attention
        def __init__(self) -> None:
            super().__init__()
            self.bias, self.mask = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(1, 4, 4))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ x).add_(self.bias).view(1, 4, 4).add_(self.mask)

    module = Masked().eval()
    path = tmp_path / "masked.ptl"
    torch.jit.trace(module, torch.randn(4, 4))._save_for_lite_interpreter(str(path))
    read(path)
    loaded = _load_for_lite_interpreter(str(path))
    x = torch.randn(4, 4)
    assert torch.equal(loaded(x), loaded(x))


def test_marks_follow_tuples_and_meetings() -> None:
    marks = Marks()
    assert [marks.stored(value) for value in (HELD, (1, (HELD,)), Items([1]), STORED)] == [True] * 4
    assert [marks.stored(value) for value in (None, 1, "a", (1, (UNKNOWN,)), UNKNOWN)] == [False] * 5
    assert marks.joined(HELD, UNKNOWN) is STORED and marks.joined(1, 2) is UNKNOWN and marks.joined(HELD, HELD) is HELD
    nested: object = HELD
    for _ in range(5000):
        nested = (nested, nested)
        assert marks.stored(nested)  # type: ignore[arg-type]


def test_what_an_operator_does_to_the_mark() -> None:
    marks = Marks()
    assert marks.result("aten::reshape", [UNKNOWN, Items([1, -1])]) is UNKNOWN  # a stored shape is no memory
    assert marks.result("aten::reshape", [HELD, Items([1, -1])]) is STORED
    assert marks.result("aten::list.t", [Items([1, -1])]) is STORED
    assert marks.result("aten::add_.Tensor", [UNKNOWN, HELD, 1]) is UNKNOWN  # copied into it
    assert marks.result("aten::set_.source_Tensor", [UNKNOWN, HELD]) is STORED  # takes over its memory
    assert marks.result("aten::add.Tensor", [HELD, UNKNOWN, 1]) is UNKNOWN
    norm = [UNKNOWN, HELD, HELD, HELD, HELD, False, 0.1, 1e-5, True]
    assert marks.result("aten::batch_norm", norm) is UNKNOWN
    for switch in (True, UNKNOWN):
        with pytest.raises(PickleError, match=WRITES):
            marks.result("aten::batch_norm", [*norm[:5], switch, *norm[6:]])


def test_the_table_has_every_argument_that_torch_says_is_written() -> None:
    table = operator_table()
    listed = {name: set(map(int, places.split())) for places, names in table.writes.items() for name in names}
    for name in arity().keys() & SCHEMAS.keys():
        written = {at for at, arg in enumerate(SCHEMAS[name].arguments) if arg.alias_info and arg.alias_info.is_write}
        unsaid = {
            at
            for at, argument in enumerate(SCHEMAS[name].arguments)
            if argument.name in {"running_mean", "running_var"}
            and {other.name for other in SCHEMAS[name].arguments} & {"training", "use_input_stats"}
        }
        if name == "aten::batch_norm_update_stats":
            unsaid = {1, 2}
        assert listed.get(name, set()) == written | unsaid, name
        base = name.partition(".")[0]
        assert written or base.endswith("__") or not base.endswith("_"), name
    for name, place in table.trained.items():
        assert SCHEMAS[name].arguments[place].name in {"training", "use_input_stats"}


def test_the_table_tells_lists_from_tensors() -> None:
    table = operator_table()
    plain = re.compile(
        r"(Optional\[)?(List\[(Optional\[)?)?Tensor\]*|int|float|bool|number|str|Device|NoneType|complex"
    )
    for name in arity().keys() & SCHEMAS.keys():
        schema = SCHEMAS[name]
        kinds = [str(each.type) for each in schema.returns]
        written = [str(a.type) for a in schema.arguments if a.alias_info and a.alias_info.is_write]
        lists = any(not plain.fullmatch(kind) for kind in kinds) or any("List" in kind for kind in written)
        assert (name in table.lists) == lists, name


def test_what_makes_new_tensors_does_so_even_where_nothing_is_to_do() -> None:
    """The cases in which a kernel could hand back what it was given."""
    for name in set(operator_table().makes_new) & SCHEMAS.keys():
        assert {str(each.type) for each in SCHEMAS[name].returns} == {"Tensor"}, name
        assert not any(each.alias_info for each in SCHEMAS[name].returns), name
    x, one = torch.ones(1, 2, 2, 2), torch.ones(())
    same: dict[str, tuple[object, ...]] = {
        "relu": (), "relu6": (), "abs": (), "floor": (), "ceil": (), "round": (), "clone": (), "hardtanh": (),
        "add": (0,), "sub": (0,), "mul": (1,), "div": (1,), "pow": (1,), "clamp": (0, 1), "clamp_min": (0,),
        "max_pool2d": (1,), "avg_pool2d": (1,), "adaptive_avg_pool2d": ((2, 2),), "adaptive_avg_pool3d": ((2, 2, 2),),
        "upsample_nearest2d": ((2, 2),), "upsample_bilinear2d": ((2, 2), False), "constant_pad_nd": ((0, 0),),
        "sum": ((0,), True), "mean": ((0,), True), "amax": ((0,), True), "cumsum": (0,), "softmax": (0,),
        "index_select": (0, torch.zeros(1, dtype=torch.long)), "masked_fill": (torch.zeros(1, dtype=torch.bool), 1),
        "maximum": (x * 0,), "lerp": (x, 0.0), "prelu": (one.reshape(1),), "var": ((0,), True),
    }  # fmt: skip
    for name, arguments in same.items():
        assert any(entry.partition(".")[0] == f"aten::{name}" for entry in operator_table().makes_new), name
        given = torch.ones(1, 2, 2, 2)
        answer = getattr(torch.ops.aten, name)(given, *arguments)
        assert answer.untyped_storage().data_ptr() != given.untyped_storage().data_ptr(), name
    for made in (torch.cat([x]), torch.stack([x]), torch.where(x > 0, x, x), torch.matmul(x, torch.eye(2))):
        assert made.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
