"""Runs one artifact in whatever runtime its Python has; it travels to that Python, so it speaks Python 3.7.

    python served.py FORMAT FILE MODE

MODE is ``default`` or ``plain``, without the runtime's default delegate. First a line of JSON on the real stdout says
what opened the file; then each line read, ``INPUTS.npz OUTPUTS.npz``, is one run, answered by a line. Arrays are in the
file's order, under ``0``, ``1``, ...
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable, Dict, List, Tuple  # noqa: UP035 - older Pythons have them only here

import numpy as np

Runner = Callable[[List[Any]], List[Any]]  # noqa: UP006
Opened = Tuple[Runner, Dict[str, int]]  # noqa: UP006


def open_tflite(path: str, mode: str) -> Opened:
    """Open a TFLite file in ai-edge-litert or tflite-runtime."""
    try:
        import ai_edge_litert.interpreter as runtime
    except ImportError:
        import tflite_runtime.interpreter as runtime
    resolvers = runtime.OpResolverType
    resolver = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if mode == "plain" else resolvers.AUTO
    interpreter = runtime.Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    inputs = [row["index"] for row in interpreter.get_input_details()]
    outputs = [row["index"] for row in interpreter.get_output_details()]

    def run(arrays: list[Any]) -> list[Any]:
        for index, array in zip(inputs, arrays):  # noqa: B905 - not in older Pythons
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    names = [row["op_name"] for row in interpreter._get_ops_details()]
    return run, {"partitions": names.count("DELEGATE")}


def open_onnx(path: str, mode: str) -> Opened:
    """Open an ONNX file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = {} if onnxruntime.__version__.startswith("1.0.") else {"providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(path, options, **providers)
    names = [row.name for row in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays))), {}  # noqa: B905 - not in older Pythons


def open_pte(path: str, mode: str) -> Opened:
    """Open an ExecuTorch program."""
    import torch
    from executorch.runtime import Runtime

    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read()
    program = Runtime.get().load_program(data)
    method = program.load_method("forward")

    def run(arrays: list[Any]) -> list[Any]:
        assert program and data  # the method reads them, and does not hold them
        return [row.numpy().copy() for row in method.execute([torch.from_numpy(array) for array in arrays])]

    return run, {}


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runtimes print is no answer
    run, facts = {"tflite": open_tflite, "onnx": open_onnx, "pte": open_pte}[sys.argv[1]](sys.argv[2], sys.argv[3])
    answers.write(json.dumps(facts) + "\n")
    answers.flush()
    for line in sys.stdin:
        source, target = line.split()
        with np.load(source) as held:
            arrays = [held[str(place)] for place in range(len(held.files))]
        np.savez(target, **{str(place): array for place, array in enumerate(run(arrays))})
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
