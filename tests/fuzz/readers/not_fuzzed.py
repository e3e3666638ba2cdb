"""Functions that call a primitive of reading and are not under the table of readers, each with the reason.

A reason says whose bytes they are: those of this package or of this very process, or such as another row reads in the
same way.
"""

from __future__ import annotations

_OWN_DATA = "reads a table that is part of this package"
_OWN_WORK = "reads back what this very process has just made"
_WRITES = "writes, and only encodes or decodes its own text"
_INSTALLED = "reads how this package was installed, as pip wrote it"
_PUSHED = "on the device: what this program has just pushed, hash compared"
_OWN_PROCESS = "a pickle between this process and one that it started, in its own directory"
_OTHER_PYTHON = "between this process and one that it started with a Python of the user's choice and a script of ours"
_CONVERTERS = "what a converter printed, for a message that names the layer"
_COMPILERS = "what a compiler of the user's choice, which could do anything anyway, printed or wrote"
_OWN_GRAPH = "a number in the graph that this process has captured"
_RECORD = "one line around a record that a row reads: "
_AUDITED = "hands the file to its runtime, behind reader and audit; the runtime's own parser is not this project's"

REASONS: dict[str, str] = {
    "edgevit/installation.py:requirements_of": _INSTALLED,
    "edgevit/installation.py:_is_source_tree": _INSTALLED,
    "edgevit/installation.py:_source": _INSTALLED,
    "edgevit/sources/timm_installed.py:torchvision_for": _INSTALLED,
    "edgevit/sources/hub.py:hub_config": "the bytes of a file for the row hub-config, in the cache of the hub's client",
    "edgevit/sources/results.py:named_tensors": "names that the user's own module gives its results",
    "edgevit/neighbours.py:neighbours": _OWN_DATA,
    "export/eager/failures.py:_places": "lines of a traceback of this process, for a message",
    "export/formats/failing_layers.py:layers_in": _CONVERTERS,
    "export/formats/tflite_file/quick_conversion.py:is_known": "hashes the sources of an installed package",
    "export/formats/tflite_file/quick_conversion.py:is_stablehlo": "what JAX lowered in this very process",
    "export/functional/regions.py:_rows": _OWN_GRAPH,
    "export/passes/numbers_as_floats.py:run": _OWN_GRAPH,
    "export/quantization/clamps.py:limits_of": _OWN_GRAPH,
    "export/passes/prepacked.py:compute": _OWN_GRAPH,
    "edgevit/rebuild.py:_module": "a seed of digits, for code that the user named and whose hash agrees",
    "export/formats/pte_file/contents.py:stock_kernels": _OWN_DATA,
    "export/formats/onnx_file/protobuf.py:_schema": "a text of that module, read as it is imported",
    "runtimes/runners/python/bundle.py:_imports": _OWN_DATA,
    "runtimes/runners/python/bundle.py:named_data": _OWN_DATA,
    "runtimes/runners/python/bundle.py:build_runner": _OWN_DATA,
    "validation/report/html.py:_packaged": _OWN_DATA,
    "export/formats/pte_file/write.py:write": _OWN_WORK,
    "export/formats/tflite_file/layer_marks.py:_held": _OWN_WORK,
    "export/formats/tflite_file/layer_marks.py:_made": _OWN_WORK,
    "export/formats/tflite_file/quantize.py:_placed": _OWN_WORK,
    "export/formats/tflite_file/quantize.py:_unmark": _OWN_WORK,
    "export/formats/tflite_file/quantize.py:quantized": _OWN_WORK,
    "export/formats/pte_file/write.py:_lower": _WRITES,
    "export/formats/ptl_file/canonical.py:_rewrite_pickle": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:_rewrite": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:_order": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:_storage_keys": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:canonical": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:_of_its_time": _OWN_WORK,
    "export/formats/ptl_file/canonical.py:records_of": _OWN_WORK,
    "export/formats/ptl_file/narrow/widen.py:Widening._as_half": _OWN_WORK,
    "export/formats/ptl_file/pack.py:_for_xnnpack": _OWN_WORK,
    "export/formats/ptl_file/pack.py:_for_int8": _OWN_WORK,
    "export/formats/ptl_file/narrow/int8_call.py:compute": _OWN_GRAPH,
    "export/formats/ptl_file/rewrite.py:load": _OWN_WORK,
    "export/formats/ptl_file/write.py:_operator": _OWN_WORK,
    "export/formats/tflite_file/metadata.py:append_labels": _OWN_WORK,
    "export/golden.py:GoldenSet.save": _WRITES,
    "export/quiet.py:_tail": "what a converter printed, for a message: split into lines, nothing is read from it",
    "runtimes/sessions/apart.py:answer": _OWN_PROCESS,
    "runtimes/sessions/ptl_elsewhere.py:ElsewhereSession._answer": _OTHER_PYTHON,
    "runtimes/sessions/ptl_elsewhere.py:other_torch": _OTHER_PYTHON,
    "runtimes/sessions/ptl_elsewhere.py:_last_line": _OTHER_PYTHON,
    "runtimes/sessions/ptl_served.py:receive": _OTHER_PYTHON,
    "runtimes/sessions/apart.py:apart": _OWN_PROCESS,
    "runtimes/sessions/apart.py:_last_words": "the last line that this program's own process said, for a message",
    "runtimes/sessions/run_tflite.py:<module>": "a constant",
    "runtimes/sessions/run_tflite.py:_open": _AUDITED,
    "export/side_process.py:SideProcess._read": "a pickle from this process's own fork, in its own directory",
    "runtimes/conditions/owner.py:_start_of": "/proc of the kernel that runs this program",
    "runtimes/bench/process.py:fetch": "bytes that a pull has just written; they are read by the rows of runners",
    "runtimes/devices/adb/server.py:start_server": "what adb printed, for a message",
    "runtimes/devices/recording.py:_Tee._end": _WRITES,
    "runtimes/devices/recording.py:RecordingDevice.pull": _WRITES,
    "runtimes/power/monsoon.py:MonsoonMeter.stop": "calls the decoder of the row monsoon-packets",
    "runtimes/power/monsoon.py:MonsoonMeter.start": "asks a unit for its packets; the row monsoon-packets reads them",
    "runtimes/runners/python/on_device.py:_save_outputs": _OWN_WORK,
    "runtimes/runners/python/on_device.py:main": _PUSHED,
    "runtimes/runners/array_sets.py:read_sets": _PUSHED,
    "runtimes/runners/native/build.py:_compiler_of": _COMPILERS,
    "runtimes/runners/native/build.py:_run": _COMPILERS,
    "runtimes/runners/native/build.py:contract_of": _OWN_DATA,
    "runtimes/runners/native/compilers.py:_revision": "one line of the NDK whose compiler is then run",
    "runtimes/runners/native/glibc.py:_copied": "a library of the compiler's own, behind the row elf",
    "runtimes/runners/native/glibc.py:_said": _COMPILERS,
    "runtimes/runners/native/glibc.py:_version": _COMPILERS,
    "runtimes/runners/native/headers.py:keep_headers": _WRITES,
    "runtimes/sessions/run_onnx.py:OnnxSession._model": _AUDITED,
    "runtimes/sessions/run_onnx.py:OnnxSession.__init__": _AUDITED,
    "runtimes/sessions/run_pte.py:PteSession._load": _AUDITED,
    "runtimes/sessions/run_ptl.py:PtlSession.__init__": _AUDITED,
    "validation/artifact/divergence.py:_kind": "the name of a module in a golden set that was read, for a message",
    "validation/artifact/junit.py:junit_xml": _WRITES,
    "validation/energy/plot.py:_printable": _WRITES,
    "validation/energy/unstamped.py:_background": "between numbers",
    "validation/report/html.py:report_html": _WRITES,
    "edgevit_export/commands/inspect.py:_shorten": "metadata of a file that was read and audited, for people",
    "edgevit_export/console.py:failure_of": _WRITES,
    "edgevit_export/commands/doctor.py:_import_problem": "the text of an ImportError",
    "edgevit_export/commands/compare.py:compare": f"{_RECORD}device-run",
    "edgevit_export/commands/energy.py:_analyze_record": f"{_RECORD}device-run",
    "edgevit_export/commands/energy.py:analyze": f"{_RECORD}stamps",
    "edgevit_export/workflows/bench.py:open_devices": f"{_RECORD}recording",
}
