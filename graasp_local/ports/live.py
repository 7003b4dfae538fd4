"""The engine as a screen needs it, as a protocol: containers, their changes, their logs, their use of the machine.

The real one is engine/live.py, a fake is in tests/tui/fakes.py. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from msgspec import Struct

from graasp_local.ports.observation import ObservedServices
from graasp_local.version import Version


class ObservedContainer(Struct, frozen=True):
    """What the listing and one inspection tell of a service's container; `started_at` in seconds since 1970.

    None as well while it has not been inspected yet.
    """

    id: str
    service: str
    started_at: float | None
    restarts: int
    image: str = ""
    """What it was made from, as written in the compose file; the listing has a digest where the tag went elsewhere."""


class Listing(Struct, frozen=True):
    """One look at the engine: services as states.py knows them, and their containers."""

    seen: ObservedServices
    containers: tuple[ObservedContainer, ...]
    is_complete: bool = True
    """Whether every container was inspected. Where there are many, the next looks bring the rest."""


class Usage(Struct, frozen=True):
    """One reading: CPU time spent so far in seconds, memory in bytes, and when it was read (monotonic seconds)."""

    cpu_seconds: float
    memory_bytes: int
    at: float


class HealthAnswer(Struct, frozen=True):
    """What a health check said once; `at` in UTC as a text that sorts."""

    exit_code: int
    output: str
    at: str


class ContainerDetail(Struct, frozen=True):
    """What one inspection tells of a service's container. Secrets are masked in it."""

    service: str
    image: str
    digest: str
    status: str
    health: str
    started_at: float | None
    restarts: int
    failing_streak: int
    retries: int
    """How many failed checks in a row make it unhealthy."""
    start_seconds: float
    """During which failed checks do not count."""
    answers: tuple[HealthAnswer, ...]
    """The last few, oldest first."""
    memory_limit: int
    """Bytes; 0 for none."""
    environment: tuple[tuple[str, str], ...] = ()
    mounts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


class AvailableVersion(Struct, frozen=True):
    """A version that can be deployed: on this machine, or in the registry."""

    version: Version
    local: bool
    published: bool


class AvailableVersions(Struct, frozen=True):
    """Newest first; `problem` says why the registry could not be asked."""

    versions: tuple[AvailableVersion, ...]
    problem: str = ""


T_co = TypeVar("T_co", covariant=True)


class Stream(Protocol[T_co]):
    """Items that come when they come; `close` ends the waiting, from any thread."""

    def __iter__(self) -> Iterator[T_co]: ...
    def close(self) -> None: ...


class LiveEngine(Protocol):
    """The engine as a screen needs it. Every method raises EngineUnreachable when the engine does not answer."""

    def listing(self) -> Listing:
        """One listing call; containers that are new or were started again are inspected once, for a short time."""
        ...

    def changes(self) -> Stream[str]:
        """A word whenever something happened to the site's containers: never for the asking, only when it happens."""
        ...

    def usage(self, container: str) -> Usage | None:
        """One reading; None for a container that does not run."""
        ...

    def detail(self, container: str) -> ContainerDetail | None:
        """One inspection; None for a container that is gone."""
        ...

    def log(self, container: str, lines: int, since: float | None) -> Stream[bytes]:
        """Pieces of a container's log as they come, newlines included, until the container ends.

        Each line has its time in front, in UTC to the nanosecond, and a space. `since` in seconds since 1970.
        """
        ...

    def restart(self, service: str) -> None: ...
    def shell_command(self, service: str) -> tuple[str, ...]:
        """What to run in a terminal for a shell in the service. Raises Refused where it does not run."""
        ...

    def versions(self) -> AvailableVersions: ...
