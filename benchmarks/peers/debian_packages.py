"""Managers from Debian: the installed ones, or packages unpacked into the cache (nothing is installed)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.base import PeerError

__all__ = ["unpack_packages"]


def unpack_packages(cache: Path, packages: Sequence[str]) -> tuple[Path, str]:
    """The folder that holds the unpacked ``packages`` and the version of the first; or ``PeerError``."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise PeerError("needs apt-get and dpkg-deb")
    folder = cache / packages[0]
    archives = folder / "archives"
    if not (folder / "installed").exists():
        archives.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "-qq", "download", *packages], cwd=archives, check=True, stdout=2)
            for archive in archives.glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot get {' '.join(packages)}: {error}") from error
        (folder / "installed").touch()
    archive = next(archives.glob(f"{packages[0]}_*.deb"))
    return folder, archive.name.split("_")[1]
