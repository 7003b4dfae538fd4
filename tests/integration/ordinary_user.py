"""Commands run as a user who is not root, with the packages of this interpreter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
USER = 61234
"""No one's, on the machines that this runs on."""


def python_for_all() -> str:
    """This interpreter, else the machine's own of the same version: one in root's home is closed to others."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = (Path(sys.executable), *(Path(place) / name for place in ("/usr/bin", "/usr/local/bin")))
    return str(next(program for program in found if program.exists() and _may_be_run_by_all(program)))


def as_user(home: Path, user: int = USER, group: int | None = None) -> list[str]:
    """The beginning of a command that runs Python as this user, who is in this other group too."""
    packages = os.pathsep.join([str(REPOSITORY), *(path for path in sys.path if path.endswith("site-packages"))])
    groups = "--clear-groups" if group is None else f"--groups={group}"
    words = [str(shutil.which("setpriv")), f"--reuid={user}", f"--regid={user}", groups, "--inh-caps=-all"]
    return [*words, "env", f"HOME={home}", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={packages}", python_for_all()]


def _may_be_run_by_all(program: Path) -> bool:
    real = program.resolve()
    return all(place.stat().st_mode & 0o001 for place in (real, *real.parents))
