"""The emulated devices are what the native runner's tests take them for."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from adbd_rig import AdbRig
from emulated import CROSS_COMPILER, SYSTEM_ROOT, Kind, emulated, why_not

from edgevit.errors import DeviceError
from runtimes.conditions.state import read_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import in_context

PROGRAM = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/utsname.h>
#include <unistd.h>
static void* nothing(void*) { return nullptr; }
int main(int count, char** words) {
  if (count > 1 && !strcmp(words[1], "sleep")) sleep(60);
  if (count > 1 && !strcmp(words[1], "exit")) return 7;
  if (count > 1 && !strcmp(words[1], "abort")) abort();
  pthread_t thread;  // versions GLIBC_2.34 and younger
  pthread_create(&thread, nullptr, nothing, nullptr);
  utsname name;
  uname(&name);
  const char* preload = getenv("LD_PRELOAD");
  printf("%s|%s|", name.machine, preload ? preload : "");
  void* library = dlopen("libtell.so", RTLD_NOW);
  if (!library) printf("%s", dlerror());
  else printf("%s", reinterpret_cast<const char* (*)()>(dlsym(library, "tell"))());
  for (int i = 0; i < count; i++) printf("|%s", words[i]);
  return 0;
}
"""
LIBRARY = 'extern "C" const char* tell() { return "found"; }\n'
BUNDLE = ("ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libpthread.so.0", "libm.so.6")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``tell``, a program for aarch64, and ``libtell.so``, which it loads by its name."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("built")
    for name, text, options in (("tell", PROGRAM, ["-ldl", "-pthread"]), ("libtell.so", LIBRARY, ["-shared", "-fPIC"])):
        source = directory / f"{name}.cpp"
        source.write_text(text)
        subprocess.run(
            [CROSS_COMPILER, "-static-libstdc++", "-static-libgcc", "-o", directory / name, source, *options],
            check=True,
            timeout=120,
        )
    return directory


def push(device: AdbDevice, *programs: Path, below: str = "") -> str:
    """Bring programs to the device's scratch directory."""
    where = device.scratch_dir() + below
    for program in programs:
        device.push(program, f"{where}/{program.name}", mode=0o755)
    return where


def test_a_board_runs_programs_for_aarch64_and_says_it_is_one(adb_rig: AdbRig, tmp_path: Path, built: Path) -> None:
    with emulated(adb_rig, tmp_path / "board") as device:
        assert device.run(["uname", "-m"]).out == "aarch64\n"
        state = read_state(device)
        assert (state.abi, state.android_version) == ("aarch64", None)
        assert device.run(["python3", "-c", "1"]).rc == 127
        assert device.run(["getprop"]).rc == 127
        where = push(device, built / "tell")
        push(device, built / "libtell.so", below="/li b")
        command = in_context(
            ["sh", "-c", 'rm -f x; exec "$@"', "sh", "./tell", "a b", "$HOME", ""],
            cwd=where,
            env={"LD_LIBRARY_PATH": f"{where}/li b"},
        )
        assert device.run(command).out == "aarch64||found|./tell|a b|$HOME|"
        without = device.run(in_context(["./tell"], cwd=where))
        assert "libtell.so: cannot open shared object file" in without.out


def test_exit_codes_and_signals_pass_through_the_emulator(adb_rig: AdbRig, tmp_path: Path, built: Path) -> None:
    with emulated(adb_rig, tmp_path / "board") as device:
        where = push(device, built / "tell")
        assert device.run([f"{where}/tell", "exit"]).rc == 7
        assert device.run([f"{where}/tell", "abort"]).rc == 128 + 6
        log, rc_file = f"{where}/log", f"{where}/rc"
        device.spawn_detached([f"{where}/tell", "exit"], log=log, rc_file=rc_file)
        deadline = time.monotonic() + 20
        while device.run(["cat", rc_file]).out != "7\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        handle = device.spawn_detached([f"{where}/tell", "sleep"], log=log)
        assert device.is_alive(handle)
        assert device.kill(handle)
        assert not device.is_alive(handle)


def test_this_machines_programs_are_of_another_abi_on_the_device(adb_rig: AdbRig, tmp_path: Path, built: Path) -> None:
    true = shutil.which("true")
    assert true is not None
    with emulated(adb_rig, tmp_path / "board") as device:
        where = push(device, Path(true).resolve())
        assert device.run([f"{where}/true"]).rc in {2, 126}  # a shell that takes it for a script, or one that does not
        assert not device.run(["env", f"{where}/true"]).ok
        assert device.run(["true"]).ok


def test_a_board_with_an_older_libc_names_the_version_that_it_lacks(
    adb_rig: AdbRig, tmp_path: Path, built: Path
) -> None:
    with emulated(adb_rig, tmp_path / "old", Kind.OLD_BOARD) as device:
        result = device.run([f"{push(device, built / 'tell')}/tell"])
        assert result.rc == 1
        assert "version `GLIBC_2.34' not found" in result.err


def test_nothing_runs_where_programs_may_not_be_run(adb_rig: AdbRig, tmp_path: Path, built: Path) -> None:
    with (
        emulated(adb_rig, tmp_path / "noexec", Kind.NOEXEC) as device,
        pytest.raises(DeviceError, match="runs program"),
    ):
        device.scratch_dir()
    with emulated(adb_rig, tmp_path / "denied", Kind.DENIED) as device:
        result = device.run([f"{push(device, built / 'tell')}/tell"])
        assert result.rc == 126
        assert "Permission denied" in result.err


def test_a_phone_runs_what_brings_its_own_loader_and_nothing_else_of_glibc(
    adb_rig: AdbRig, tmp_path: Path, built: Path
) -> None:
    with emulated(adb_rig, tmp_path / "phone", Kind.PHONE) as device:
        state = read_state(device)
        assert (state.abi, state.android_version) == ("arm64-v8a", "13")
        assert device.run(["python3", "-c", "1"]).rc == 127
        where = push(device, built / "tell", built / "libtell.so")
        assert device.run([f"{where}/tell"]).rc == 127
        push(device, *(SYSTEM_ROOT / "lib" / name for name in BUNDLE))
        result = device.run(in_context([f"./{BUNDLE[0]}", "--library-path", ".", "./tell", "a b"], cwd=where))
        assert result.out == "aarch64||found|./tell|a b", result.err
