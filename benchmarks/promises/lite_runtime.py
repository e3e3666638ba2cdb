"""PyTorch Mobile's old lite interpreters on this machine: torch's own wheels for arm64, run by QEMU.

An arm64 program of ours (``lite_main.cpp``) is compiled against each wheel's ``libtorch_cpu`` and run by
``qemu-aarch64-static`` with Debian's arm64 C library. No root is needed: the packages are unpacked below ``root``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.promises.pythons import Unavailable

RELEASES = {
    "1.8": "1.8.1", "1.9": "1.9.0", "1.10": "1.10.2", "1.11": "1.11.0", "1.12": "1.12.1", "1.13": "1.13.1",
    "2.1": "2.1.0",
}  # fmt: skip
"""By release the version of torch whose wheel is taken; all of them have one for CPython 3.9."""
PACKAGES = (
    "qemu-user-static", "g++-12-aarch64-linux-gnu", "gcc-12-aarch64-linux-gnu", "cpp-12-aarch64-linux-gnu",
    "binutils-aarch64-linux-gnu", "libgcc-12-dev-arm64-cross", "libstdc++-12-dev-arm64-cross", "libc6-dev-arm64-cross",
    "linux-libc-dev-arm64-cross", "libc6-arm64-cross", "libstdc++6-arm64-cross", "libgcc-s1-arm64-cross",
    "libgomp1-arm64-cross",
)  # fmt: skip
CORE = "cortex-a72"  # of phones of that time; what newer cores have, old kernels look for and QEMU has in part
CORES = {"1.9": "max"}
"""By release the core where it is another: the wheel of 1.9.0 has instructions in its own kernels that an A72 lacks,
and ends by SIGILL there at 224 x 224, not at 64 x 64."""
SOURCE = Path(__file__).with_name("lite_main.cpp")


@dataclass(frozen=True)
class LiteRuntimes:
    """Interpreters built below ``root``, each once."""

    root: Path

    def command(self, release: str) -> tuple[str, ...]:
        """Starts the interpreter of a release.

        Raises:
            Unavailable: A package or wheel cannot be had, or does not compile here.
        """
        tools, home = self._tools(), self._wheel(release)
        program = home / "lite_main"
        if not program.is_file():
            self._compile(release, tools, home, program)
        libraries = os.pathsep.join(str(home / part) for part in ("torch/lib", "torch.libs"))
        qemu = tools / "usr/bin/qemu-aarch64-static"
        prefix = tools / "usr/aarch64-linux-gnu"
        core = CORES.get(release, CORE)
        return (str(qemu), "-cpu", core, "-L", str(prefix), "-E", f"LD_LIBRARY_PATH={libraries}", str(program))

    def schemas(self, release: str) -> list[str]:
        """The schema of every operator that a release has."""
        return _run(self.command(release)).splitlines()

    def _tools(self) -> Path:
        """QEMU, a cross compiler and the arm64 C library."""
        target, downloads = self.root / "arm64-tools", self.root / "packages"
        if not target.is_dir():
            downloads.mkdir(parents=True, exist_ok=True)
            _run(("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *PACKAGES), downloads)
            unpacked = self.root / "arm64-tools.unpacked"
            for package in sorted(downloads.glob("*.deb")):
                _run(("dpkg-deb", "-x", str(package), str(unpacked)))
            unpacked.replace(target)
        return target

    def _wheel(self, release: str) -> Path:
        """The headers and libraries of a release."""
        version = RELEASES[release]
        target, downloads = self.root / f"torch-{version}", self.root / "wheels"
        if not target.is_dir():
            wanted = ("--platform", "manylinux2014_aarch64", "--python-version", "39", "--only-binary", ":all:")
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *wanted)
            _run((*pip, "--dest", str(downloads), f"torch=={version}"))
            (wheel,) = downloads.glob(f"torch-{version}-*.whl")
            unpacked = self.root / f"torch-{version}.unpacked"
            with zipfile.ZipFile(wheel) as archive:
                parts = ("torch/lib/", "torch/include/", "torch.libs/")
                archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(parts)])
            unpacked.replace(target)
        return target

    def _compile(self, release: str, tools: Path, home: Path, program: Path) -> None:
        major, minor = map(int, release.split("."))
        draft = program.with_suffix(".new")
        command = (
            str(tools / "usr/bin/aarch64-linux-gnu-g++-12"), f"--sysroot={tools}", "-w",
            f"-std=c++{14 if major == 1 else 17}", "-D_GLIBCXX_USE_CXX11_ABI=0",
            f"-DTORCH_RELEASE={major * 100 + minor}",
            f"-I{home}/torch/include", f"-I{home}/torch/include/torch/csrc/api/include", str(SOURCE), "-o", str(draft),
            f"-L{home}/torch/lib", "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-Wl,--no-as-needed",
            "-ltorch_cpu", "-lc10",
        )  # fmt: skip
        _run(command, LD_LIBRARY_PATH=str(tools / "usr/lib/x86_64-linux-gnu"))
        draft.replace(program)


def _run(command: tuple[str, ...], folder: Path | None = None, **variables: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Unavailable(f"cannot start {command[0]}: {error.strerror}") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"{Path(command[0]).name} failed: {' '.join(words)[:200]}")
    return done.stdout
