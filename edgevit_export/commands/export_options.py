"""The options of exporting, each as the command line and its help show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgevit_export.commands.options import DEFAULT_OUTPUT, AbsoluteError, AsJson, Quiet, Strict, Verbose


# fmt: off
@dataclass(frozen=True)
class ExportOptions:
    """The options of exporting, each as the command line and its help show it."""

    variant: Annotated[str | None, typer.Option("--variant", "-m",
        help="xxs, xs, s, or another name that `models` lists.")] = None
    model: Annotated[str | None, typer.Option("--model",
        help="Another network: timm:NAME, as `models --timm '*'` lists.")] = None
    module: Annotated[str | None, typer.Option(
        help="Your own code: FILE.py[:FACTORY] or PACKAGE.MODULE[:FACTORY]; it is run. FACTORY: get_model.")] = None
    config: Annotated[Path | None, typer.Option(exists=True,
        help="Your own configuration (TOML or JSON) instead of a variant.")] = None
    formats: Annotated[list[str] | None, typer.Option("--format", "-f",
        help="ptl, onnx, tflite, pte; repeatable or comma-separated.  [default: ptl,onnx,tflite]")] = None
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the artifacts.")] = DEFAULT_OUTPUT
    checkpoint: Annotated[Path | None, typer.Option(exists=True,
        help="Weights: .pth, .pt or .safetensors; without it EdgeViT's are random.")] = None
    weights: Annotated[str | None, typer.Option(
        help="hub (those of a --model's name, from the hub's cache or downloaded) or random.  [default: hub]")] = None
    checkpoint_entry: Annotated[str | None, typer.Option(
        help="Which of several weights in the checkpoint, e.g. model_ema.  [default: the first one known]")] = None
    num_classes: Annotated[int | None, typer.Option(min=1,
        help="Classes of the head.  [default: the checkpoint's, else the name's or 1000]")] = None
    in_channels: Annotated[int | None, typer.Option(min=1,
        help="Channels of the input image.  [default: the checkpoint's, else 3]")] = None
    task: Annotated[str | None, typer.Option(
        help="classify (logits) or features (stage1..stageN).  [default: classify]")] = None
    input_size: Annotated[str | None, typer.Option(
        help="Height, or HxW, in pixels; EdgeViT: multiples of 32.  [default: 224, or the network's own]")] = None
    batch: Annotated[int | None, typer.Option(min=1, help="Images per call.  [default: 1]")] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of random weights.")] = 0
    labels: Annotated[Path | None, typer.Option(exists=True,
        help="Text file with one class name a line; goes into the artifacts.")] = None
    mean: Annotated[str | None, typer.Option(
        help="Normalisation mean a channel, of 0..1 pixels.  [default: ImageNet's, or the network's own]")] = None
    std: Annotated[str | None, typer.Option(help="Normalisation deviation a channel.  [default: as for --mean]")] = None
    delegate: Annotated[str | None, typer.Option(help="Ablation: delegate sampling center, avg or max.")] = None
    propagation: Annotated[str | None, typer.Option(
        help="Ablation: local propagation transposed-conv, bilinear or none.")] = None
    aggregation: Annotated[bool | None, typer.Option("--aggregation/--no-aggregation",
        help="Ablation: local aggregation.")] = None
    input_layout: Annotated[str, typer.Option(help="nchw, or nhwc as cameras deliver.")] = "nchw"
    optimize: Annotated[str, typer.Option(help="none (plain conversion), basic or full.")] = "full"
    precision: Annotated[list[str] | None, typer.Option("--precision", "-p",
        help="fp32, fp16, int8; repeatable or comma-separated.  [default: fp32]")] = None
    calibration_data: Annotated[Path | None, typer.Option(exists=True,
        help="int8 with fixed ranges (static), taken on these images: a directory, or an .npz.")] = None
    keep_float: Annotated[list[str] | None, typer.Option("--keep-float",
        help="int8: leave the modules alone that fit this pattern, e.g. 'head' or 'stages.0.*'; repeatable.")] = None
    quantize_report: Annotated[bool, typer.Option("--quantize-report",
        help="int8: list what became of each layer, and what it costs.")] = False
    reach_sqnr: Annotated[float | None, typer.Option("--reach-sqnr", min=1, max=200,
        help="int8: leave as many of the worst layers float as this SQNR in dB needs.")] = None
    reach_agreement: Annotated[float | None, typer.Option("--reach-agreement", min=1, max=100,
        help="int8: the same for agreement on the top class, in percent.")] = None
    opset: Annotated[int | None, typer.Option(help="ONNX opset.  [default: 17]")] = None
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch",
        help="ptl and onnx: leave the batch axis free.")] = False
    ptl_bytecode: Annotated[int | None, typer.Option(
        help="TorchScript lite bytecode 7, 6, 5 or 4 for older Android runtimes.")] = None
    ptl_prepacked: Annotated[bool, typer.Option("--ptl-prepacked",
        help="TorchScript lite for phones: weights packed for XNNPACK once, on loading.")] = False
    verify: Annotated[bool, typer.Option("--verify/--no-verify",
        help="Prove each artifact before it gets its name.")] = True
    images: Annotated[Path | None, typer.Option(exists=True,
        help="Also compare on the images in this directory.")] = None
    atol: AbsoluteError = None
    strict: Strict = False
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False
# fmt: on
