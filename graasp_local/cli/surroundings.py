"""Makes commands independent of the shell that starts them: descriptors, encoding, variables for Docker.

Whether a terminal, a timer, a CI job or a script with `2>&-` starts a command, it does the same to a site.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

_OF_DOCKER = frozenset({"DOCKER_DEFAULT_PLATFORM", "DOCKER_API_VERSION"})
_OF_COMPOSE_KEPT = frozenset({"COMPOSE_PROFILES"})
"""Compose's other variables make it do something other than the site's files say, or print what cannot be parsed.

A site runs on its engine's platform, and the API version is negotiated. Which engine to use is still up to the shell.
"""


def speak_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale has another encoding.

    File names and Docker's output are UTF-8, whatever the shell's locale says.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def open_missing_descriptors() -> None:
    """Make sure that 0, 1 and 2 are open: otherwise the next file or socket takes their place, and is written to."""
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


def forget_variables(environment: MutableMapping[str, str]) -> None:
    """Remove every variable that Compose and libpq would obey, except those for the engine and the stack's parts."""
    for name in [*environment]:
        of_compose = name.startswith("COMPOSE_") and name not in _OF_COMPOSE_KEPT
        if name in _OF_DOCKER or of_compose or name.startswith("PG"):
            del environment[name]
