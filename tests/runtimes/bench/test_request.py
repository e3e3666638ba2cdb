"""What was asked for: accuracies by artifact, and records that travel as JSON."""

from runtimes.bench.request import BenchRequest, Conditions, MeterRequest
from runtimes.power.meter import MeterOptions
from runtimes.runners.workload import Workload


def test_an_accuracy_for_one_file_wins_over_that_for_all() -> None:
    asked = MeterRequest(name="monsoon", top1={"": 81.0, "xs.onnx": 77.5})
    assert (asked.top1_of("xs.onnx"), asked.top1_of("s.onnx")) == (77.5, 81.0)
    assert MeterRequest(name="monsoon").top1_of("s.onnx") is None


def test_a_request_survives_its_json() -> None:
    asked = BenchRequest(
        workload=Workload(runs=7, gap_ms=5.0),
        threads=(1, 2),
        conditions=Conditions(max_temp_c=40.0),
        meter=MeterRequest(name="rails", options=MeterOptions(rails=("cpu",))),
    )
    assert BenchRequest.from_json(asked.to_json()) == asked
