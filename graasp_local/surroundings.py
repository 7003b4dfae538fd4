"""What the shell that a command is started from must not decide: descriptors, directory, variables for Docker.

A command is started from terminals, timers, CI jobs and scripts that end in `2>&-`; what it does to a site is the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_OF_DOCKER = frozenset({"DOCKER_DEFAULT_PLATFORM", "DOCKER_API_VERSION"})
_OF_COMPOSE_KEPT = frozenset({"COMPOSE_PROFILES"})
"""Others of Compose make it do something else than what the site's files say, or speak in a way that is not understood.

A site runs on its engine's platform, and the version of the API is agreed on. Which engine it is stays with the shell.
"""


def speak_utf8() -> None:
    """Begin once more in Python's UTF-8 mode where the locale is of another encoding.

    Names of files and what Docker says are UTF-8 wherever they come from, whatever a shell's locale makes of them.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def open_missing_descriptors() -> None:
    """See to it that 0, 1 and 2 are open: else the next file or socket takes their place, and is written to."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def current_directory() -> Path | None:
    """None where it was removed, as of a CI job whose workspace was cleaned."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def leave_removed_directory(instead: Path) -> None:
    """Go to `instead` where the current directory was removed: programs that are started there would refuse to run."""
    if current_directory() is None:
        os.chdir(instead)


def forget_variables(environment: MutableMapping[str, str]) -> None:
    """Leave which engine is meant and which parts of the stack, and nothing else that Compose and libpq would obey."""
    for name in [*environment]:
        of_compose = name.startswith("COMPOSE_") and name not in _OF_COMPOSE_KEPT
        if name in _OF_DOCKER or of_compose or name.startswith("PG"):
            del environment[name]


def names_past_proxies(environment: Mapping[str, str]) -> str:
    """What the docker client's configuration excepts from its proxies, each with a comma before it; empty for nothing.

    Compose hands those proxies to containers, with these exceptions unless a service has some of its own.
    """
    directory = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/root")) / ".docker")
    try:
        excepted = json.loads((directory / "config.json").read_text())["proxies"]["default"]["noProxy"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # an unreadable one is Docker's to complain of
    names = (name.strip() for name in excepted.split(",")) if isinstance(excepted, str) else ()
    return "".join(f",{name}" for name in names if name and name.isprintable() and not set(name) & set(" #$'\"\\"))
