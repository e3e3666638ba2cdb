"""What a network of a stranger's description would cost, told without memory for it and in bounded time.

A manifest names a network and numbers that it is made with. ``depth`` 10,000 is a few bytes there, and hours here. So
it is first made and run on the meta device, which has shapes and no numbers, by operators that are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, UsageError
from edgevit.sources.spec_for import run

if TYPE_CHECKING:
    from torch import nn

FLOAT_BYTES = 4
LARGEST_SHARE = 16
"""Weights of the whole network by the bytes of its artifact. Feature maps leave the head behind: VGG-11's has 14.4
times the weights of the rest. Branches that were joined are 2.5 times (MobileOne)."""
ALWAYS_BYTES = 2**26  # chosen: 64 MiB are taken without asking, whatever the artifact has
MOST_OPERATORS = 100_000  # of making and one run; of 104 families in timm 1.0.31 the most is 47,000 (Sequencer2D-L)
MOST_NUMBERS = 2**28  # of one tensor, 1 GiB; SAM's ViT-B at 1024 px has 201 million
MOST_FLOPS = 2**41  # chosen: a minute or two of float64 on one core; SAM's ViT-B at 1024 px takes 0.9 * 2^40


def refuse_cost(make: Callable[[], nn.Module], shape: tuple[int, ...], held_bytes: int, name: str) -> None:
    """Refuse a network that is larger than its artifact can be, or whose run is beyond any that phones have.

    Args:
        make: Makes the network, on the meta device.
        shape: Of the one image that it takes.
        held_bytes: Size of the artifact.
        name: What it is called in errors.

    Raises:
        UsageError: It is so, or cannot be made or run at all.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    problems: list[str] = []
    try:
        with torch.device("meta"), torch.no_grad(), _counted(problems):
            model = make()
            _refuse_weights(sum(tensor.numel() for tensor in model.parameters()), held_bytes, name)
            with FlopCounterMode(display=False) as counter:
                run(model, (torch.empty(shape),))
    except (UsageError, ExportError, RuntimeError) as error:
        if problems:
            raise _beyond(name, problems[0]) from error
        raise
    if (flops := counter.get_total_flops()) > MOST_FLOPS:
        raise _beyond(name, f"one run of it takes {flops:.1e} operations, expected {MOST_FLOPS:.1e} at most")


def _counted(problems: list[str]) -> AbstractContextManager[object]:
    """Ends, with a word in ``problems``, what takes too many operators or makes a tensor of too many numbers."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
        operators = 0

        def __torch_dispatch__(
            self,
            func: Callable[..., object],
            types: object,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            self.operators += 1
            if self.operators > MOST_OPERATORS:
                problems.append(f"it takes more than {MOST_OPERATORS:,} operators")
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, torch.Tensor) and tensor.numel() > MOST_NUMBERS:
                    problems.append(f"a tensor in it has {tensor.numel():,} numbers, expected {MOST_NUMBERS:,} at most")
            if problems:
                raise RuntimeError(problems[0])
            return made

    mode: AbstractContextManager[object] = Counted()  # type: ignore[no-untyped-call]
    return mode


def _refuse_weights(parameters: int, held_bytes: int, name: str) -> None:
    weights, most = parameters * FLOAT_BYTES, max(ALWAYS_BYTES, LARGEST_SHARE * held_bytes)
    if weights > most:
        raise _beyond(
            name,
            f"it has weights of {weights / 1e6:,.0f} MB, and its artifact has {held_bytes / 1e6:,.1f} MB: expected "
            f"{most / 1e6:,.0f} MB at most",
        )


def _beyond(name: str, problem: str) -> UsageError:
    return UsageError(
        f"the network that the manifest of {name} describes is not built: {problem}",
        hint="without --images no network is needed",
    )
