"""The engine as a screen needs it, as a protocol: containers, their changes, their logs, their use of the machine.

Implemented by engine/site/live.py; a fake is in tests/tui/fakes.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from msgspec import Struct

from graasp_local.ports.observation import ObservedServices
from graasp_local.version import Version


class ObservedContainer(Struct, frozen=True):
    """What the listing and one inspection say about a service's container.

    `started_at` is in seconds since 1970; also None while it has not been inspected yet.
    """

    id: str
    service: str
    started_at: float | None
    restarts: int
    image: str = ""
    """What it was created from, as in the compose file; the listing only has a digest once the tag has moved."""


class Listing(Struct, frozen=True):
    """One observation of the engine: services as in states.py, and their containers."""

    seen: ObservedServices
    containers: tuple[ObservedContainer, ...]
    is_complete: bool = True
    """Whether every container was inspected. If there are many, the next listings bring the rest."""


class Usage(Struct, frozen=True):
    """One reading: CPU time spent so far in seconds, memory in bytes, and when it was read (monotonic seconds)."""

    cpu_seconds: float
    memory_bytes: int
    at: float


class HealthAnswer(Struct, frozen=True):
    """One result of a health check; `at` is in UTC, as a text that sorts."""

    exit_code: int
    output: str
    at: str


class ContainerDetail(Struct, frozen=True):
    """What one inspection says about a service's container. Secrets are masked."""

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
    """The time during which failed checks do not count."""
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
    """Items as they arrive; `close` ends the waiting, from any thread."""

    def __iter__(self) -> Iterator[T_co]: ...
    def close(self) -> None: ...


class LiveEngine(Protocol):
    """The engine as a screen needs it. Every method raises EngineUnreachable when the engine does not answer."""

    def listing(self) -> Listing:
        """One listing call; new and restarted containers are inspected once, for a limited time per call."""
        ...

    def changes(self) -> Stream[str]:
        """An item whenever something happens to the site's containers; it is pushed, not polled."""
        ...

    def usage(self, container: str) -> Usage | None:
        """One reading; None for a container that is not running."""
        ...

    def detail(self, container: str) -> ContainerDetail | None:
        """One inspection; None for a container that is gone."""
        ...

    def log(self, container: str, lines: int, since: float | None) -> Stream[bytes]:
        """Pieces of a container's log as they come, newlines included, until the container ends.

        Each line starts with its time, in UTC to the nanosecond, and a space. `since` is in seconds since 1970.
        """
        ...

    def restart(self, service: str) -> None: ...
    def shell_command(self, service: str) -> tuple[str, ...]:
        """What to run in a terminal for a shell in the service. Raises Refused if it is not running."""
        ...

    def versions(self) -> AvailableVersions: ...
