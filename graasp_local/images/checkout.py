"""The sources of a version: cloned by git, or an existing checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from graasp_local.errors import Refused


def clone(repository: str, tag: str, directory: Path, narrate: Callable[[str], None]) -> None:
    """Clone one tag of a repository, without its history. Raises Refused."""
    words = ["git", "clone", "--quiet", "--depth", "1", "--branch", tag, "--", repository, str(directory)]
    narrate(" ".join(words))
    # Never prompt for a password: a repository that requires one is not the public one.
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    except FileNotFoundError:
        raise Refused(
            "git is not installed.",
            "Nothing was built.",
            "Install it, or pass a checkout of the sources with --from.",
        ) from None
    if done.returncode != 0:
        raise _not_cloned(repository, tag, done.stderr.strip())


def require_sources(directory: Path) -> None:
    """Raises Refused if the directory of sources does not exist."""
    if not directory.is_dir():
        raise Refused(f"There is no directory {directory}.", "Nothing was built.", "Pass a checkout of the sources.")


def _not_cloned(repository: str, tag: str, said: str) -> Refused:
    if "Remote branch" in said:
        return Refused(
            f"{repository} has no tag {tag}.",
            "Nothing was built.",
            "Check the repository's tags; --client-tag picks another one for the client.",
        )
    reason = said.splitlines()[-1] if said else "no message from git"
    return Refused(
        f"{repository} could not be cloned: {reason}",
        "Nothing was built.",
        "Check the network and try again, or pass a checkout of the sources with --from.",
    )
