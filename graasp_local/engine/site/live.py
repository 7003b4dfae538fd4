"""The engine for a screen: one listing call per refresh, changes as they happen, logs and one-shot readings.

Follows the engine's events instead of polling. Inspects a container once per start, since the listing has neither its
start time nor its number of restarts. Implements graasp_local.ports.live.LiveEngine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.services import NODE_LABEL, ONE_OFF_LABEL, SERVICE_LABEL, observed_on
from graasp_local.engine.reach.client import connect, engine_errors
from graasp_local.engine.site.container_detail import detail_of, seconds_since_1970
from graasp_local.engine.site.containers import containers_of_site
from graasp_local.errors import EngineUnreachable, Refused
from graasp_local.ports.live import (
    AvailableVersion,
    AvailableVersions,
    ContainerDetail,
    Listing,
    ObservedContainer,
    Usage,
)
from graasp_local.settings.table import is_secret
from graasp_local.site.site import Site

if TYPE_CHECKING:
    from docker import DockerClient

_TELLING_EVENTS = (
    "create",
    "start",
    "die",
    "stop",
    "destroy",
    "pause",
    "unpause",
    "health_status",
    # Reported when the gate's flag is written.
    "extract-to-dir",
)
_INSPECTING_SECONDS = 0.15
"""Per refresh: inspecting hundreds of containers takes seconds, and what the listing has is worth showing first."""
_SHELL = "exec $(command -v bash || command -v sh)"


class _Inspected(NamedTuple):
    started_at: float | None
    restarts: int
    image: str


_NOT_INSPECTED = _Inspected(None, 0, "")


class DockerLive:
    """The live engine of one site; its connection is separate from that of an operation."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._client: DockerClient | None = None
        self._inspected: dict[tuple[str, str], _Inspected] = {}

    def listing(self) -> Listing:
        containers = self._containers()
        until = time.monotonic() + _INSPECTING_SECONDS
        shown, is_complete = [], True
        for container in containers:
            if container["Labels"].get(ONE_OFF_LABEL) == "True":
                continue
            found = _NOT_INSPECTED if NODE_LABEL in container["Labels"] else self._inspected_before(container)
            if found is None and time.monotonic() < until:
                found = self._inspect(container)
            is_complete = is_complete and found is not None
            shown.append(_as_observed(container, found or _NOT_INSPECTED))
        return Listing(observed_on(self._site, containers), tuple(shown), is_complete)

    def changes(self) -> _Changes:
        filters = {"type": "container", "event": [*_TELLING_EVENTS], "label": self._project_label}
        with engine_errors():
            return _Changes(self._connected.api.events(decode=True, filters=filters))

    def usage(self, container: str) -> Usage | None:
        from docker.errors import APIError

        with engine_errors():
            try:
                said: Any = self._connected.api.stats(container, stream=False, one_shot=True)
            except APIError:
                return None
        memory = said.get("memory_stats", {})
        if "usage" not in memory:
            return None
        # Inactive page cache, which the kernel reclaims at once, does not count as the container's memory.
        used = memory["usage"] - memory.get("stats", {}).get("inactive_file", 0)
        return Usage(said["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, int(used), time.monotonic())

    def detail(self, container: str) -> ContainerDetail | None:
        from docker.errors import APIError

        with engine_errors():
            try:
                said: Any = self._connected.api.inspect_container(container)
            except APIError:
                return None
        secrets = [value for key, value in self._site.settings.values.items() if is_secret(key)]
        return detail_of(said, secrets)

    def log(self, container: str, lines: int, since: float | None) -> _Log:
        from docker.errors import NotFound

        with engine_errors():
            try:
                stream: Any = self._connected.api.logs(
                    container, tail=lines, since=since, stream=True, follow=True, timestamps=True
                )
            except NotFound:
                if self._site.settings.swarm is None:
                    raise
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
                stream = iter([f"{now} not on this machine: `graasp-local logs` shows it\n".encode()])
        return _Log(stream)

    def restart(self, service: str) -> None:
        found = self._containers_of(service)
        if any(NODE_LABEL in container["Labels"] for container in found):
            from graasp_local.engine.swarm.services import SwarmServices

            SwarmServices(self._site, lambda: self._connected, lambda _: None).restart(service)
            return
        with engine_errors():
            for container in found:
                settings = self._connected.api.inspect_container(container["Id"])["Config"]
                self._connected.api.restart(container["Id"], timeout=settings.get("StopTimeout") or 10)

    def shell_command(self, service: str) -> tuple[str, ...]:
        running = [c for c in self._containers_of(service) if c["State"] == "running"]
        if not running:
            raise Refused(f"{service} is not running, so it has no shell.", "", "Start it first.")
        if NODE_LABEL in running[0]["Labels"]:
            node = running[0]["Labels"][NODE_LABEL]
            raise Refused(
                f"{service} runs on {node}.",
                "Open the shell there.",
                f"On {node}: `docker exec -it {running[0]['Id'][:12]} sh`.",
            )
        return ("docker", "exec", "-it", running[0]["Id"][:12], "sh", "-c", _SHELL)

    def versions(self) -> AvailableVersions:
        from graasp_local.engine.images.versions import DEFAULT_REPOSITORY, find_versions
        from graasp_local.engine.site.docker_engine import engine_for

        repository = self._site.settings.values.get("GRAASP_REPOSITORY") or DEFAULT_REPOSITORY
        found = find_versions(engine_for(self._site), repository)
        return AvailableVersions(
            tuple(AvailableVersion(entry.version, entry.local, entry.published) for entry in found.versions),
            f"The registry of {repository} did not answer ({found.problem}); these are the versions on the engine."
            if found.problem
            else "",
        )

    @property
    def _connected(self) -> DockerClient:
        if self._client is None:
            self._client = connect()
        return self._client

    @property
    def _project_label(self) -> str:
        return f"{PROJECT_LABEL}={self._site.settings.project}"

    def _containers(self) -> list[dict[str, Any]]:
        return containers_of_site(self._site)

    def _containers_of(self, service: str) -> list[dict[str, Any]]:
        return [
            c
            for c in self._containers()
            if c["Labels"].get(SERVICE_LABEL) == service and c["Labels"].get(ONE_OFF_LABEL) != "True"
        ]

    def _inspected_before(self, container: dict[str, Any]) -> _Inspected | None:
        return self._inspected.get(_start_of(container))

    def _inspect(self, container: dict[str, Any]) -> _Inspected:
        from docker.errors import APIError

        with engine_errors():
            try:
                said = self._connected.api.inspect_container(container["Id"])
            except APIError:  # removed since the listing
                return _NOT_INSPECTED
        self._inspected = {k: v for k, v in self._inspected.items() if k[0] != container["Id"]}
        started = seconds_since_1970(said["State"]["StartedAt"])
        found = _Inspected(started, int(said["RestartCount"]), str(said["Config"]["Image"]))
        self._inspected[_start_of(container)] = found
        return found


def _start_of(container: dict[str, Any]) -> tuple[str, str]:
    """A key that changes whenever the state does; the endpoint ids in the listing are new with every start."""
    addresses = [network.get("EndpointID", "") for network in container["NetworkSettings"]["Networks"].values()]
    return container["Id"], f"{container['State']} {' '.join(addresses)}"


def _as_observed(container: dict[str, Any], found: _Inspected) -> ObservedContainer:
    running = container["State"] in ("running", "paused", "restarting")
    service = container["Labels"].get(SERVICE_LABEL, "")
    return ObservedContainer(
        container["Id"], service, found.started_at if running else None, found.restarts, found.image
    )


class _Changes:
    """The engine's events as words; raises EngineUnreachable when the engine goes away."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._closed = False

    def __iter__(self) -> Iterator[str]:
        try:
            with engine_errors():
                for event in self._stream:
                    yield str(event.get("Action", ""))
        except Exception as error:
            if not self._closed:
                raise _gone() from error
        if not self._closed:
            raise _gone()

    def close(self) -> None:
        self._closed = True
        _close(self._stream)


class _Log:
    """A container's log; whatever ends the stream ends the iteration."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception:  # a stream closed by the other side raises whatever its socket raises
            return

    def close(self) -> None:
        _close(self._stream)


def _close(stream: Any) -> None:
    with suppress(Exception):
        stream.close()


def _gone() -> EngineUnreachable:
    return EngineUnreachable(
        "The Docker engine stopped answering.",
        "What is shown may be out of date.",
        "graasp-local asks again every few seconds; `systemctl start docker` starts it.",
    )
