"""What training scripts store around a network's weights, by the wrappers and tools that people use.

Each form takes a module and gives what is handed to ``torch.save``. The classes of tools that are no dependency are
made here under their own names, so that the pickles name them as the real ones do.
"""

from __future__ import annotations

import argparse
import copy
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import PosixPath

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

Form = Callable[[nn.Module], object]


def other(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights of the same network that are not its own."""
    return {name: value + 1 if value.is_floating_point() else value for name, value in model.state_dict().items()}


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return OrderedDict((f"{prefix}{name}", value) for name, value in state.items())


def averaged(model: nn.Module) -> dict[str, torch.Tensor]:
    return AveragedModel(model).state_dict()


def counted(model: nn.Module) -> dict[str, torch.Tensor]:
    """As thop leaves a model: two buffers in every module."""
    model = copy.deepcopy(model)
    for module in model.modules():
        module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64))
        module.register_buffer("total_params", torch.zeros(1, dtype=torch.float64))
    return model.state_dict()


class _Detector(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, nn.Conv2d(4, 8, 1), nn.Linear(3, 4)


def lightning(model: nn.Module) -> object:
    state = under("model.", model.state_dict()) | {"criterion.weight": torch.ones(3)}
    return {
        "epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.6.6", "state_dict": state,
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "l/epoch=0.ckpt", "best_k_models": {}}},
        "optimizer_states": [torch.optim.AdamW(model.parameters()).state_dict()], "hparams_name": "kwargs",
        "hyper_parameters": {"lr": np.float64(1e-3), "data": PosixPath("images"), "args": argparse.Namespace(a=1)},
    }  # fmt: skip


def timm(model: nn.Module) -> object:
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    return {
        "epoch": 299, "arch": "edgevit_xs", "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
        "version": 2, "args": argparse.Namespace(mean=(0.1,), out=PosixPath("x")), "amp_scaler": {"scale": 65536.0},
        "state_dict_ema": other(model), "metric": np.float64(77.5),
    }  # fmt: skip


def mmdetection(model: nn.Module) -> object:
    detector = _Detector(model)
    history = _made("mmengine.logging.history_buffer", "HistoryBuffer")()
    history.__dict__.update(_log_history=np.zeros(3), _statistics_methods={"mean": history.mean})
    options = _made("mmengine.config.config", "ConfigDict", dict)(type="EdgeViT")
    return {
        "meta": {"cfg": "model = dict(type='FasterRCNN')\n", "epoch": 12, "seed": np.int64(3), "config": options},
        "state_dict": detector.state_dict(), "message_hub": {"log_scalars": OrderedDict(loss=history)},
        "optimizer": torch.optim.SGD(detector.parameters(), 0.1).state_dict(), "param_schedulers": [],
        "ema_state_dict": under("module.", other(detector)) | {"steps": torch.tensor(7)},
    }  # fmt: skip


def odds_and_ends(model: nn.Module) -> object:
    """Everything that is inert and that people keep beside the weights."""
    return {
        "model": model.state_dict(), "rng": torch.get_rng_state(), "numpy_rng": np.random.get_state(),
        "best": np.float32(77.5), "index": np.int64(3), "flag": np.bool_(True), "array": np.arange(3),
        "path": PosixPath("a/b"), "size": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cuda:0"),
        "history": defaultdict(list, {"loss": [1.0]}), "last": deque([1, 2], maxlen=3), "when": datetime(2022, 5, 6),
        "classes": frozenset("ab"), "args": argparse.Namespace(cfg=argparse.Namespace(a=1)), "span": slice(1, 2),
        "hydra": _made("omegaconf.dictconfig", "DictConfig")(), "yacs": _made("yacs.config", "CfgNode", dict)(a=1),
    }  # fmt: skip


FORMS: dict[str, tuple[Form, str | None, str | None, tuple[str, ...]]] = {  # form, entry, prefix, some of beside
    "a bare state dict": (lambda m: m.state_dict(), None, None, ()),
    "torch.compile": (lambda m: torch.compile(m).state_dict(), None, "_orig_mod.", ()),
    "DataParallel": (lambda m: nn.DataParallel(m).state_dict(), None, "module.", ()),
    "compiled, then DDP": (lambda m: under("module.", torch.compile(m).state_dict()), None, "module._orig_mod.", ()),
    "DDP, then compiled": (lambda m: under("_orig_mod.module.", m.state_dict()), None, "_orig_mod.module.", ()),
    "PyTorch's tutorial": (lambda m: {"epoch": 1, "model_state_dict": under("module.", m.state_dict())},
                           "model_state_dict", "module.", ("epoch",)),
    "Lightning": (lightning, "state_dict", "model.", ("criterion (1 entry)", "hyper_parameters", "callbacks")),
    "Lightning, compiled": (lambda m: {"state_dict": under("model._orig_mod.", m.state_dict())}, "state_dict",
                            "model._orig_mod.", ()),
    "Fabric": (lambda m: {"model": under("_forward_module.", m.state_dict())}, "model", "_forward_module.", ()),
    "timm": (timm, "state_dict", None, ("state_dict_ema (weights)", "args", "metric")),
    "mmdetection": (mmdetection, "state_dict", "backbone.",
                    ("ema_state_dict (weights)", "neck (2 entries)", "bbox_head (2 entries)", "meta", "message_hub")),
    "SWA": (averaged, None, "module.", ("counters (1 entry)",)),
    "SWA of DDP": (lambda m: {"model": averaged(nn.DataParallel(m))}, "model", "module.module.", ()),
    "model and EMA": (lambda m: {"model": m.state_dict(), "model_ema": other(m)}, "model", None,
                      ("model_ema (weights)",)),
    "EMA in the names": (lambda m: under("model.", m.state_dict()) | under("ema_model.", other(m)), "model", "model.",
                         ("ema_model (weights)",)),
    "profiler counters": (lambda m: {"state_dict": counted(m)}, "state_dict", None, ()),
    "DeepSpeed": (lambda m: {"module": m.state_dict(), "optimizer": None, "ds_version": "0.14"}, "module", None,
                  ("ds_version",)),
    "a distilled student": (lambda m: under("student.", m.state_dict()) | {"teacher.fc.weight": torch.ones(3, 3)}, None,
                            "student.", ("teacher (1 entry)",)),
    "an entry that nobody knows": (lambda m: {"net": under("0.", m.state_dict())}, "net", "0.", ()),
    "odds and ends": (odds_and_ends, "model", None, ("rng", "best")),
}  # fmt: skip


def _made(module: str, name: str, base: type = object) -> type:
    """A class that pickles under the name of another package's."""

    def mean(self: object) -> float:
        return 0.0

    kind = type(name, (base,), {"__module__": module, "__qualname__": name, "mean": mean})
    sys.modules[module].__dict__[name] = kind
    return kind


@contextmanager
def foreign_packages() -> Iterator[None]:
    """While pickles are written, the packages whose classes they name; when they are read nothing of that name is."""
    names = ["mmengine", "mmengine.logging", "mmengine.logging.history_buffer", "mmengine.config",
             "mmengine.config.config", "omegaconf", "omegaconf.dictconfig", "yacs", "yacs.config"]  # fmt: skip
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update({name: types.ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
