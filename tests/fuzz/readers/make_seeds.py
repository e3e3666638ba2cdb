"""Write the seeds of ``tests/data/seeds`` anew: small valid inputs by the project's own writers and the real tools.

They are kept in the repository, since a seed that another version of torch writes would be another input. To be run
when a format changes: ``python tests/fuzz/readers/make_seeds.py`` with all extras installed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from elf_files import shared  # noqa: E402
from latency_records import device_run  # noqa: E402
from PIL import Image  # noqa: E402
from report_records import energy_of, metered, run_of  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights  # noqa: E402
from edgevit_export.api import export  # noqa: E402
from edgevit_export.workflows.verify import verify  # noqa: E402
from runtimes.power.scenarios import SCENARIOS  # noqa: E402
from runtimes.power.simulate import simulate  # noqa: E402
from runtimes.power.trace import PowerTrace  # noqa: E402
from runtimes.runners.array_sets import write_sets  # noqa: E402
from validation.energy.analysis import analyze_energy  # noqa: E402

SEEDS = ROOT / "tests" / "data" / "seeds"
FORMATS = ("ptl", "onnx", "tflite", "pte")


class Tiny(nn.Module):
    """(1, 3, 8, 8) -> (1, 4): a convolution, a norm, a GELU and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 4)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        scores: Tensor = self.head(nn.functional.gelu(self.stem(image)).mean((2, 3)))
        return scores


SPEC = ModelSpec(
    name="tiny", variant="tiny", task=Task.CLASSIFY,
    inputs=(TensorSpec(name="image", shape=(1, 3, 8, 8), layout=Layout.NCHW),),
    outputs=(TensorSpec(name="logits", shape=(1, 4)),),
    weights=Weights(source="random", seed=0), num_classes=4, labels=("cat", "dog", "ä", "bird"),
    preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, resize_px=9, crop_px=(8, 8)),
)  # fmt: skip


def artifacts() -> None:
    """One artifact a format with its manifest, their golden set, and the report of their verification."""
    torch.manual_seed(3)
    model = Tiny().eval().requires_grad_(False)
    target = SEEDS / "artifacts"
    report = export(model, SPEC, FORMATS, output=target, command=("edgevit-export", "--format", ",".join(FORMATS)))
    assert report.passed, report
    (SEEDS / "verify_report.json").write_text(verify(target / "tiny.onnx.json")[0].to_json(), encoding="utf-8")


def golden() -> None:
    """Golden sets from elsewhere, in both layouts."""
    one = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    np.savez(SEEDS / "plain_golden.npz", **{"inputs/x": one, "outputs/y": one * 2, "labels": np.array(["a", "b"])})
    each = {f"{kind}/{row}/{name}": one[row] for kind, name in (("inputs", "x"), ("outputs", "y")) for row in (0, 1)}
    np.savez_compressed(SEEDS / "plain_golden_rows.npz", **each)
    write_sets(SEEDS / "outputs.npz", [{"y": one[:1, :3]}, {"y": one[1:, :3]}])


def checkpoints() -> None:
    """Weights as training scripts leave them."""
    torch.manual_seed(1)
    state = {"head.weight": torch.randn(3, 4), "head.bias": torch.zeros(3), "norm.num_batches_tracked": torch.tensor(7)}
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    training = {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}, "arch": "x"}
    torch.save(training, SEEDS / "lightning.pth")
    torch.save(half, SEEDS / "bare.pth")
    torch.save(state, SEEDS / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, SEEDS / "weights.safetensors")


def photos() -> None:
    """20 x 14 pixels in what cameras, scanners and the web deliver."""
    x, y = np.meshgrid(np.arange(20), np.arange(14))
    pixels = np.stack([x * 12, y * 18, (x * y) % 256], axis=-1).astype(np.uint8)
    photo = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    photo.save(SEEDS / "photo.png")
    photo.save(SEEDS / "photo.jpg", exif=exif, quality=80)
    photo.save(SEEDS / "progressive.jpg", progressive=True, quality=50)
    Image.fromarray((x * 3000).astype(np.uint16)).save(SEEDS / "sixteen_bit.png")
    photo.convert("P").save(SEEDS / "palette.png", transparency=0)
    photo.convert("RGBA").save(SEEDS / "photo.webp")
    photo.save(SEEDS / "photo.bmp")
    photo.save(SEEDS / "photo.tif", compression="tiff_lzw")
    photo.save(SEEDS / "photo.gif", save_all=True, append_images=[photo.rotate(90)])


def short_trace() -> PowerTrace:
    """The first 40 ms of a simulated recording."""
    whole = simulate(SCENARIOS[next(iter(SCENARIOS))], 1).trace
    cut = {name: getattr(whole, name)[:200] for name in ("power_mw", "flags", "current_ma", "voltage_v")}
    return PowerTrace(
        whole.rate_hz, cut["power_mw"], cut["flags"], cut["current_ma"], cut["voltage_v"], meta=whole.meta
    )


def slow(trace: PowerTrace) -> PowerTrace:
    """The recording as a meter of 250 Hz gives it: small, and of the same run."""
    count = len(trace.power_mw) // 20 * 20
    power = np.asarray(trace.power_mw[:count], np.float64).reshape(-1, 20).mean(axis=1).astype(np.float32)
    return PowerTrace(trace.rate_hz / 20, power, np.zeros(len(power), np.uint8), meta=trace.meta)


def records() -> None:
    """A record of a run with its energy, stamps, and energy reports."""
    made = simulate(SCENARIOS[next(iter(SCENARIOS))], 1)
    short_trace().save(SEEDS / "trace.npz")
    slow(made.trace).save(SEEDS / "slow_trace.npz")
    run = msgspec.structs.replace(run_of("tiny.onnx", 31.0), device="8BC1")
    few = msgspec.structs.replace(run, rounds=device_run([[5.0, 5.1, 5.2], [5.0, 5.2, 5.1]], name="tiny.onnx").rounds)
    (SEEDS / "device_run.json").write_text(few.to_json(), encoding="utf-8")
    whole = metered(few, made.stamps, SEEDS / "slow_trace.npz")
    (SEEDS / "device_run_energy.json").write_text(whole.to_json(), encoding="utf-8")
    (SEEDS / "stamps.json").write_text(made.stamps.to_json(), encoding="utf-8")
    (SEEDS / "energy_report.json").write_text(
        analyze_energy(made.trace, stamps=made.stamps).to_json(), encoding="utf-8"
    )
    (SEEDS / "energy_report_plain.json").write_text(energy_of("tiny.onnx", 12.0, top1=70.0).to_json(), encoding="utf-8")


def monsoon_packets() -> Iterator[bytes]:
    """Two seconds of an HVPM's packets, thinned: measurements between zero and reference calibrations."""
    kinds = [0x10, 0x30, *[0x00] * 30, 0x10, 0x30, *[0x00] * 30]
    for number, kind in enumerate(kinds):
        sample = np.array([3000 + number, 9000 + number, 0, 0, 0, 0, 15000, 20000], ">u2").tobytes() + bytes([0, kind])
        yield bytes([0, 0, 0x20 | number % 16, 3]) + sample * 3 + bytes(6)


def elf_files() -> None:
    """Libraries of some kB: with symbol versions, of 32 bits, and without section headers."""
    folder = SEEDS / "elf"
    script = folder / "a.map"
    folder.mkdir(exist_ok=True)
    script.write_text("GLIBC_2.17 { part_0; }; GLIBC_2.34 { part_1; };")
    small = ["-Wl,-z,max-page-size=64", "-Wl,--build-id=none", "-Wl,-z,norelro", "-s"]
    versioned = shared(
        folder / "libc.so.6", "aarch64-linux", soname="libc.so.6", source="int part_0, part_1;",
        flags=[*small, f"-Wl,--version-script={script}"],
    )  # fmt: skip
    source = "extern int part_0, part_1; int sum(void) { return part_0 + part_1; }"
    shared(folder / "versions.so", "aarch64-linux", soname="liba.so", source=source, flags=[*small, str(versioned)])
    source = "extern int far(void); __attribute__((weak)) extern int may(void);"
    source += "int near(void) { return far() + (may ? may() : 0); }"
    shared(folder / "arm.so", "armeabi-v7a", soname="libb.so", needs=["libc.so"], source=source, flags=small)
    bare = shared(
        folder / "bare.so", "x86_64-linux", needs=["libm.so.6"], source=source, flags=[*small, "-Wl,--hash-style=gnu"]
    )
    subprocess.run(["llvm-objcopy", "--strip-sections", str(bare)], check=True)
    script.unlink()
    versioned.unlink()


def main() -> None:
    """Everything, over what is there."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    artifacts()
    golden()
    checkpoints()
    photos()
    records()
    elf_files()
    (SEEDS / "monsoon.bin").write_bytes(b"".join(monsoon_packets()))


if __name__ == "__main__":
    main()
