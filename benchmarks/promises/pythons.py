"""Old Pythons and old packages: where each wheel can be had, and what runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

NUMPY = {"3.7": "numpy==1.21.6", "3.8": "numpy==1.24.4"}
"""The numpy for old Pythons; in the one that runs this, a runtime is asked for with the numpy that it was built for."""


class Unavailable(Exception):
    """Something that an old environment needs cannot be had on this machine."""


@dataclass(frozen=True)
class Environment:
    """A Python with packages: ``command`` starts it on a script, with ``variables`` in its environment."""

    title: str
    command: tuple[str, ...]
    variables: dict[str, str]


@dataclass
class Workshop:
    """Builds environments under ``root``, each once.

    Attributes:
        root: Where downloads and environments stay.
        given: Interpreters by version, e.g. ``3.8``; others are looked for.
    """

    root: Path
    given: dict[str, Path] = field(default_factory=dict)

    def environment(self, python: str, *packages: str, host: bool = False) -> Environment:
        """An environment of ``packages`` for ``python``, e.g. ``3.8``.

        Args:
            python: Its version.
            packages: Exact requirements; nothing else is installed but a numpy that fits, unless they name one.
            host: Let it see the packages of this Python too, behind its own.

        Raises:
            Unavailable: The interpreter or a wheel cannot be had.
        """
        command: tuple[str, ...] = (self._interpreter(python),)
        needed = packages if host or any(one.startswith("numpy") for one in packages) else (*packages, NUMPY[python])
        site = self.root / f"site-{python}-{'-'.join(needed).replace('==', '-')}"
        if not site.is_dir():
            self._install(python, needed, site)
        path = [str(site)]
        if python == own_python():
            path += [entry for entry in sys.path if entry] if host else []
            command = (*command, "-S")
        variables = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        return Environment(" ".join(packages), command, variables | {"PYTHONPATH": os.pathsep.join(path)})

    def _interpreter(self, version: str) -> str:
        """A Python of ``version``: this one, the one that was given, on the path, or among pyenv's."""
        if version in self.given:
            return str(self.given[version])
        if version == own_python():
            return sys.executable
        kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        found = [shutil.which(f"python{version}"), *sorted(kept.glob(f"{version}.*/bin/python"))]
        for candidate in filter(None, found):
            if _answers(str(candidate), version):  # pyenv puts programs on the path that only say what is missing
                return str(candidate)
        raise Unavailable(f"no Python {version} here: give --python {version}=PATH")

    def _install(self, python: str, packages: tuple[str, ...], site: Path) -> None:
        """Unpack the wheels of ``packages`` for ``python`` into ``site``; their dependencies stay away."""
        staged = site.with_name(site.name + ".part")
        shutil.rmtree(staged, ignore_errors=True)
        for package in packages:
            with zipfile.ZipFile(self._download(python, package)) as archive:
                archive.extractall(staged)
        staged.rename(site)

    def _download(self, python: str, package: str) -> Path:
        """The wheel of ``package`` for ``python``."""
        wheels = self.root / "wheels" / f"{python}-{package.replace('==', '-')}"
        if not list(wheels.glob("*.whl")):
            _call(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                 "--python-version", python, "--implementation", "cp", "--dest", str(wheels), package],
                what=f"{package} for Python {python}",
            )  # fmt: skip
        return next(wheels.glob("*.whl"))


def own_python() -> str:
    """The version of the Python that runs this, as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _answers(python: str, version: str) -> bool:
    """Whether ``python`` runs, and is of that version."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def _call(command: list[str], *, what: str, cwd: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Unavailable(f"{what} cannot be had: {said.strip().splitlines()[-1]}") from error
