"""Managers from PyPI: each in a virtual environment of its own, made from the Python that runs this."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.base import PeerError

__all__ = ["install_package"]


def install_package(cache: Path, package: str, version: str) -> Path:
    """The folder of programs of ``package``, installed into ``cache`` if need be; or ``PeerError``."""
    folder = cache / f"{package}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    done = folder / "installed"
    if not done.exists():
        pip = [
            str(folder / "bin/python"),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--quiet",
        ]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=2)
            # supervisor asks for setuptools, which newer virtual environments do not bring.
            subprocess.run([*pip, f"{package}=={version}", "setuptools<80"], check=True, stdout=2)
            imports = [str(folder / "bin/python"), "-c", f"import {package}"]
            subprocess.run(imports, check=True)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot install {package}: {error}") from error
        done.touch()
    return folder / "bin"
