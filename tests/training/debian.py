"""Packages of Debian that some tests need: a browser, a font with Chinese characters."""

import os
import shutil
import subprocess


def install(*packages: str) -> None:
    """Install them where that can be done: as root, with apt-get. Whether it came to pass, the caller looks."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=120", *words], env=environment, **quiet)
