"""Names on the device: artifacts of one name must not meet there."""

from pathlib import Path

from bench_rig import onnx_subject

from edgevit.records import sha256_file


def test_files_on_the_device_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    one = onnx_subject(tmp_path / "one" / "same name.onnx")
    other = onnx_subject(tmp_path / "other" / "same name.onnx", scale=2.0)
    assert one.name == other.name
    assert one.remote_name != other.remote_name
    assert one.remote_name == f"{sha256_file(one.path)[:16]}.onnx"
