"""The site's containers, as graasp_local.ports.world.Engine requires: reads use the API, changes use Compose."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose import site_files
from graasp_local.engine.compose.leftovers import wait_for_leftovers, wait_for_stops
from graasp_local.engine.compose.trial import stack_refusal
from graasp_local.engine.compose.verbs import compose_failed
from graasp_local.engine.containers import other_machine
from graasp_local.engine.containers.inside import run_inside, running_edge
from graasp_local.engine.containers.migration_run import DockerMigrationRun
from graasp_local.engine.containers.networks import (
    missing_networks,
    network_refusal,
    remake_networks,
    remove_odd_networks,
    without_their_network,
)
from graasp_local.engine.containers.ports_in_use import port_problem
from graasp_local.engine.containers.recovery import processes_of, progress_of_recovery
from graasp_local.engine.containers.search_data import search_volume, written_by
from graasp_local.engine.containers.services import (
    DIRECTORY_LABEL,
    ENV_FILES_LABEL,
    NODE_LABEL,
    ONE_OFF_LABEL,
    SERVICE_LABEL,
    number_of,
    observed_on,
)
from graasp_local.engine.nginx import connections, gate_flag, uploads
from graasp_local.engine.nginx.tcp_table import tcp_table
from graasp_local.engine.reach import rootless
from graasp_local.engine.reach.addresses import is_on_this_machine
from graasp_local.engine.reach.client import engine_errors, engine_refusals, together
from graasp_local.engine.reach.clock import ahead_by
from graasp_local.engine.reach.tunnel import postgres_address
from graasp_local.engine.site.containers import containers_of_site
from graasp_local.engine.site.images import SiteImages
from graasp_local.engine.swarm.services import SwarmServices
from graasp_local.errors import ConfigurationError, NeedsYou, Refused
from graasp_local.planning.search_data import SEARCH_SERVICE
from graasp_local.planning.states import Gate, ObservedService, ServiceGroup
from graasp_local.ports.checks import EngineFacts
from graasp_local.ports.observation import ObservedServices
from graasp_local.site import prepare
from graasp_local.site.create import DEMO_SETTINGS
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import SWARM_SERVICES
from graasp_local.stack.services import GROUP_LABEL, VERSION_LABEL, content_of, stack_directory
from graasp_local.stack.trial import nginx_is_as_shipped
from graasp_local.version import Version

if TYPE_CHECKING:
    from docker import DockerClient

UP = ("running", "paused", "restarting")
"""The engine's states for a container that can be stopped."""

_LONGEST_HEALTH_CHECK = 300
_RECOVERY_LINES = 50
_HAS_NO_NGINX = re.compile(r'exec:? "?nginx"?(?:: | failed)')
"""How the engine, its init or the entrypoint of an image says that it does not find the command."""
_NO_NETWORK = re.compile("could not find a network matching|network [0-9a-z]{25} not found")
"""A Swarm's identifiers have 25 letters and digits."""
_FORGETTING_SECONDS = 20.0
_FORGETTING_POLL_SECONDS = 0.5

_MIGRATION_LABEL = "org.graasp.migration-of"

_FORGET_ADDRESSES = "redis-cli --scan --pattern 'file_service_url_caching:*' | xargs -r redis-cli del >/dev/null"
"""core caches the file addresses it has given out under this prefix, for an hour."""


class DockerEngine(SiteImages):
    """The engine for one site. `narrate` receives each command that changes something, before it runs."""

    @cached_property
    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = self.client.api.info()
        return info

    @cached_property
    def _clock_ahead(self) -> float:
        return 0.0 if is_on_this_machine() else ahead_by(self.client.api.info)

    @cached_property
    def swarm(self) -> SwarmServices:
        return SwarmServices(self._site, lambda: self.client, self.narrate)

    def _apart(self, services: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of the services that Compose runs on this engine, and those that run in the site's Swarm."""
        there = SWARM_SERVICES if self._site.settings.swarm is not None else ()
        return (
            tuple(name for name in services if name not in there),
            tuple(name for name in services if name in there),
        )

    def facts(self) -> EngineFacts:
        with engine_errors():
            version = self.client.api.version(api_version=False)
            free = disk_of(self.client, self.containers(), self._info)
            memory = self._info.get("MemTotal") or None
        if self._site.settings.swarm is not None:
            memory = self.swarm.memory_bytes() or memory
        platform = f"{version['Os']}/{version['Arch']}"
        return EngineFacts(version["Version"], self.compose.version, platform, free, memory)

    def observe(self) -> ObservedServices:
        return observed_on(self._site, self.containers())

    def start(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """Create, recreate or start these services; does not wait for their health."""
        prepare.prepare(self._site)
        self.give_names_back()
        self._remove_odd_networks()
        services, in_swarm = self._apart(services)
        if services:
            self._patiently(lambda: self._start_here(services, first_of))
        if in_swarm:
            self.swarm.start(self.compose.config(None), in_swarm, first_of)

    def _start_here(self, services: Sequence[str], first_of: Sequence[str]) -> None:
        self._remove_cut_off(services)
        self._remove_half_made(services)
        kept = self._kept_replicas(services)
        others = tuple(name for name in services if name not in kept and name not in first_of)
        first = tuple(name for name in first_of if name in services and name not in kept)
        serving = tuple(name for name in kept if name not in first_of)
        if first:
            # Compose would remove those that are not to be started yet.
            self.compose.create(first, recreate=self._any_made_elsewhere(first))
            self.start_made(first, first)
        if others:
            self.compose.up(others, recreate=self._any_made_elsewhere(others))
        if serving:
            self.compose.up(serving, keep=True)

    def _kept_replicas(self, services: Sequence[str]) -> tuple[str, ...]:
        """Make room for the missing containers of replicated services; return the services with a serving replica.

        For these only the missing containers must be created or started. After a deployment Compose would recreate all
        of them: it treats a service started together with its dependencies as different from the same service started
        alone.
        """
        several = [service for service in self.observe().services if service.name in services and service.replicas]
        for service in several:
            self._remove_surplus(service)
            self._stop_stuck_replicas(service)
        selected = {"", str(self._site.selected_version or "")}
        return tuple(
            service.name
            for service in several
            if service.serves and not service.outdated and {each.version for each in service.replicas} <= selected
        )

    def _remove_surplus(self, service: ObservedService) -> None:
        """Remove surplus containers, those that are not on first; Compose would go by their numbers alone."""
        surplus = self._worst_first(service.name)[: max(0, len(service.replicas) - service.wanted)]
        self._stop([container for container in surplus if container["State"] in UP])
        for container in surplus:
            self.narrate(shlex.join(["docker", "rm", "--volumes", _name(container)]))
            with engine_refusals():
                self.client.api.remove_container(container["Id"], v=True)

    def _stop_stuck_replicas(self, service: ObservedService) -> None:
        """Stop only the stuck replicas of a service whose others serve: Compose would leave them as they are."""
        stuck = {replica.number for replica in service.replicas if replica.is_stuck}
        self._stop([c for c in self._containers_of((service.name,)) if number_of(c) in stuck])

    def _remove_cut_off(self, services: Sequence[str]) -> None:
        """Remove stopped containers whose network is gone; Compose then recreates them, with all their volumes."""
        stopped = [container for container in self._containers_of(services) if container["State"] not in UP]
        if not stopped:
            return
        with engine_refusals():
            networks = {network["Id"] for network in self.client.api.networks()}
            for container in without_their_network(stopped, networks):
                self.narrate(shlex.join(["docker", "rm", _name(container)]))
                self.client.api.remove_container(container["Id"])

    def make(self, services: Sequence[str], version: Version) -> None:
        """Create or recreate the containers of these services for a version, without starting them."""
        prepare.prepare(self._site)
        self._remove_odd_networks()
        services, in_swarm = self._apart(services)
        if services:
            self._remove_half_made(services)
            self.compose.create(services, version, recreate=self._any_made_elsewhere(services))
        if in_swarm:
            self.swarm.make(self.compose.config(version), in_swarm)

    def _remove_odd_networks(self) -> None:
        """Only on a site without containers; if it has some, a step of its own recreates the networks."""
        if not self.containers():
            if self._site.settings.swarm is None and self.swarm.services():
                self.swarm.remove()  # the containers were removed while the site was on several machines
            remove_odd_networks(self.client, self._site, self.narrate)

    def remake_networks(self) -> None:
        if self._site.settings.swarm is None:
            self.swarm.remove()
        remake_networks(self.client, self._site, self.narrate)

    def start_made(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """Start containers that `make` created in this operation."""
        services, in_swarm = self._apart(services)
        if in_swarm:
            self.swarm.start_made(in_swarm, first_of)
        if not services:
            return
        found = sorted(self._containers_of(services), key=number_of)
        firsts = {name: next((c["Id"] for c in found if c["Labels"][SERVICE_LABEL] == name), "") for name in first_of}
        found = [c for c in found if firsts.get(c["Labels"][SERVICE_LABEL], c["Id"]) == c["Id"]]
        self.narrate(shlex.join(["docker", "start", *(_name(container) for container in found)]))

        def start(container: dict[str, Any]) -> None:
            with engine_refusals():
                self.client.api.start(container["Id"])

        together(lambda container: self._patiently(lambda: start(container)), found)

    def _patiently(self, start: Callable[[], None]) -> None:
        """Try again if an engine does not know a network of the Swarm.

        It forgets one whose last container here has ended, and cannot find it again until it is done with that. An
        engine that has just started does not know any yet.
        """
        deadline = time.monotonic() + _FORGETTING_SECONDS
        while True:
            try:
                start()
                return
            except NeedsYou as error:
                forgotten = self._site.settings.swarm is not None and _NO_NETWORK.search(error.what)
                if not forgotten or time.monotonic() > deadline:
                    raise
                time.sleep(_FORGETTING_POLL_SECONDS)

    def _remove_half_made(self, services: Sequence[str]) -> None:
        """Remove the replacement containers that an interrupted Compose left behind: their names are in its way.

        They have never run: Compose renames the replacement before it starts it.
        """
        half_made = re.compile(rf"/[0-9a-f]{{12}}_{re.escape(self._site.settings.project)}-")
        for container in self._containers_of(services):
            if container["State"] == "created" and half_made.match(container["Names"][0]):
                self.narrate(shlex.join(["docker", "rm", _name(container)]))
                with engine_refusals():
                    self.client.api.remove_container(container["Id"])

    def _any_made_elsewhere(self, services: Sequence[str]) -> bool:
        """Compose itself would keep a container whose files are in the directory that the site was moved from."""
        here = str(self._site.directory)
        return any(c["Labels"].get(DIRECTORY_LABEL, here) != here for c in self._containers_of(services))

    def stop(self, services: Sequence[str]) -> None:
        """Stop these services together. A paused one is unpaused first, since it cannot receive the signal."""
        found = self._containers_of(services)
        in_swarm = {c["Labels"][SERVICE_LABEL] for c in self.containers() if NODE_LABEL in c["Labels"]} & {*services}
        self.swarm.want_none(in_swarm)
        self._stop([container for container in found if container["State"] in UP])
        self.swarm.await_stop(in_swarm)

    def _stop(self, found: Sequence[dict[str, Any]]) -> None:
        if not found:
            return
        self.narrate(shlex.join(["docker", "stop", *(_name(container) for container in found)]))
        with engine_refusals():
            for container in found:
                if container["State"] == "paused":
                    self.client.api.unpause(container["Id"])
            # Through the API, because Compose takes longer to start up than most services take to stop.
            together(lambda container: self.client.api.stop(container["Id"]), found)

    def edge_refusal(self) -> str | None:
        site = self._site
        own = content_of(stack_directory() / "compose" / "demo.override.yaml")
        override = content_of(site.override_file) if site.override_file.exists() else {}
        if nginx_is_as_shipped(override, own, site.settings.values, DEMO_SETTINGS["NGINX_IMAGE"]):
            return None
        for service in self._site.services:
            if service.group is ServiceGroup.EDGE and service.name == "nginx":
                prepare.prepare(self._site)
                code, said = self.compose.run_once("nginx", ("nginx", "-t"), ["GRAASP_INSIDE_ADDRESS=127.0.0.1"])
                if code in (126, 127) and _HAS_NO_NGINX.search(said):
                    return "NGINX_IMAGE names an image that has no nginx"
                if code and "[emerg]" not in said:
                    raise compose_failed(said, code)
                return refusal_of_nginx(said) if code else None
        return None

    def stack_refusal(self, services: Sequence[str], version: Version | None) -> str | None:
        prepare.prepare(self._site)
        self.give_names_back()
        services, in_swarm = self._apart(services)
        if in_swarm:
            self.swarm.refuse_untranslatable(self.compose.config(version))
        return stack_refusal(self.client, self.compose, self._site, services, version) if services else None

    def share_images(self, version: Version) -> Iterator[str]:
        if self._site.settings.swarm is not None:
            prepare.prepare(self._site)
            try:
                self.swarm.refuse_untranslatable(self.compose.config(version))
            except ConfigurationError as error:
                raise Refused(error.what, "Visitors are not affected.", error.next_step) from error
        yield from super().share_images(version)

    def swarm_problem(self) -> str | None:
        return self.swarm.problem() if self._site.settings.swarm is not None else None

    def set_gate_flag(self, gate: Gate) -> None:
        """Write the flag into nginx's volume; creates nginx's container, without starting it, if there is none."""
        self.write_gate_files(gate_flag.flag_archive(gate))

    def seal_gate(self) -> None:
        self.write_gate_files(gate_flag.seal_archive())

    def write_gate_files(self, archive: bytes) -> None:
        edge = tuple(service.name for service in self._site.services if service.group is ServiceGroup.EDGE)
        found = self._containers_of(edge)
        if not found:
            prepare.prepare(self._site)
            self.compose.create(edge)
            found = self._containers_of(edge)
        with engine_refusals():
            for container in found:
                if any(mount.get("Destination") == gate_flag.GATE_DIRECTORY for mount in container["Mounts"]):
                    self._unpack_in_gate(container, archive)

    def _unpack_in_gate(self, container: dict[str, Any], archive: bytes) -> None:
        from docker.errors import APIError

        try:
            self.client.api.put_archive(container["Id"], gate_flag.GATE_DIRECTORY, archive)
        except APIError:
            # The engine resolves every mount of the container, and a moved site's old paths no longer exist.
            if container["State"] != "running":
                raise
            code, said = run_inside(self.client, container["Id"], ["sh", "-c", gate_flag.as_command(archive)])
            if code != 0:
                raise NeedsYou(
                    f"The container of nginx cannot write the file that opens the gate: {said.decode(errors='replace')}"
                ) from None

    def requests_in_flight(self) -> int | None:
        """Requests to core, and to a second core that stands in for it."""
        addresses = [
            (network["IPAddress"], connections.CORE_PORT)
            for container in self.containers()
            if container["Labels"].get(SERVICE_LABEL) == "core"
            for network in container["NetworkSettings"]["Networks"].values()
            if network["IPAddress"]
        ]
        table = self.nginx_connections() if addresses else ""
        hops = (connections.WEBSOCKET_PORT, connections.HANDOVER_WEBSOCKET_PORT)
        if not table:
            return 0
        return connections.requests_in_flight(table, addresses, hops) if connections.is_of_nginx(table) else None

    def upload_bytes_to_come(self) -> int | None:
        edge = running_edge(self.containers())
        if edge is None:
            return None
        with engine_errors():
            code, said = run_inside(self.client, edge["Id"], uploads.COMMAND, stderr=False)
        return uploads.bytes_to_come(said.decode()) if code == 0 else None

    def nginx_connections(self) -> str:
        """The table of TCP connections in nginx's container; empty while it is not running.

        A table that fails `connections.is_of_nginx` could not be read.
        """
        edge = running_edge(self.containers())
        if edge is None:
            return ""
        with engine_errors():
            return tcp_table(self.client, edge["Id"]) or "not read"

    def forget_addresses(self) -> bool:
        for container in self._containers_of(("redis",)):
            if container["State"] == "running":
                with engine_errors():
                    return run_inside(self.client, container["Id"], ["sh", "-c", _FORGET_ADDRESSES])[0] == 0
        return False

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]:
        if self._apart((service,))[1]:
            return self.swarm.log(service, lines)
        found = self._most_telling_first(service)
        if not found:
            return ()
        with engine_errors():
            since = None if since is None else since + self._clock_ahead
            text = self.client.api.logs(found[0]["Id"], tail=lines, since=since, stream=False)
        return tuple(text.decode(errors="replace").splitlines())

    def last_health_check(self, service: str) -> str:
        if self._apart((service,))[1]:
            return self.swarm.complaint(service)[:_LONGEST_HEALTH_CHECK]
        for container in self._most_telling_first(service):
            with engine_errors():
                state = self.client.api.inspect_container(container["Id"])["State"]
            checks = (state.get("Health") or {}).get("Log") or []
            if checks:
                return " ".join(str(checks[-1].get("Output", "")).split())[:_LONGEST_HEALTH_CHECK]
        return ""

    def recovery_progress(self, service: str) -> str:
        from docker.errors import APIError

        for container in self._containers_of((service,)):
            with engine_errors():
                try:
                    processes = processes_of(self.client, container["Id"])
                    text = self.client.api.logs(container["Id"], tail=_RECOVERY_LINES, stream=False)
                except APIError:
                    return ""  # the container has ended since
            return progress_of_recovery(processes, text.decode(errors="replace").splitlines())
        return ""

    def restarts(self, service: str) -> int:
        """How often the engine has restarted the service's container since it was created."""
        if self._apart((service,))[1]:
            return self.swarm.restarts(service)
        found = self._containers_of((service,))
        with engine_errors():
            return sum(int(self.client.api.inspect_container(c["Id"])["RestartCount"]) for c in found)

    def created_at(self, service: str) -> float:
        tasks = [
            float(c["Created"])
            for c in self.containers()
            if c["Labels"].get(SERVICE_LABEL) == service and NODE_LABEL in c["Labels"]
        ]
        with engine_errors():
            found = [self.client.api.inspect_container(c["Id"]) for c in self._containers_of((service,))]
            made = (datetime.fromisoformat(container["Created"]).timestamp() for container in found)
            found_at = min((*tasks, *made), default=0.0)
            return found_at and found_at - self._clock_ahead

    def files_used_since(self, service: str) -> float:
        return self.created_at(service) if is_on_this_machine() else 0.0

    def made_from(self, service: str, directory: Path) -> bool:
        found = self._containers_of((service,))
        return any(str(directory / ".env") in c["Labels"].get(ENV_FILES_LABEL, "").split(",") for c in found)

    def start_migration(self, version: Version) -> DockerMigrationRun:
        """Start the migrate container, detached: the one created for this version, or a new one."""
        for made in self._migrations_in(("created",)):
            if made["Labels"].get(VERSION_LABEL) == str(version):
                self.narrate(shlex.join(["docker", "start", _name(made)]))
                run = DockerMigrationRun(self.client, made["Id"])
                run.start()
                return run
        container = self.compose.run_detached("migrate", version, {_MIGRATION_LABEL: str(version)})
        return DockerMigrationRun(self.client, container)

    def make_migration(self, version: Version) -> None:
        """Create the migrate container of this version without starting it; remove those that earlier runs left."""
        for container in self._migrations_in(("created", "exited", "dead")):
            DockerMigrationRun(self.client, container["Id"]).remove()
        prepare.prepare(self._site)
        self.compose.create(("migrate",), version)

    def remove_made_migrations(self) -> None:
        for container in self._migrations_in(("created",)):
            DockerMigrationRun(self.client, container["Id"]).remove()

    def running_migrations(self) -> tuple[DockerMigrationRun, ...]:
        found = self._migrations_in(("running", "paused"))
        return tuple(DockerMigrationRun(self.client, container["Id"]) for container in found)

    def _migrations_in(self, states: Collection[str]) -> list[dict[str, Any]]:
        return [
            container
            for container in self.containers()
            if container["Labels"].get(GROUP_LABEL) == "migration" and container["State"] in states
        ]

    def remove_ended_migrations(self) -> tuple[str, ...]:
        # One that was created for this operation and has not run yet is not a leftover.
        ended = [
            *self._migrations_in(("exited", "dead")),
            *(c for c in self._migrations_in(("created",)) if c["Labels"].get(ONE_OFF_LABEL) == "True"),
        ]
        runs = [DockerMigrationRun(self.client, container["Id"]) for container in ended]
        for run in runs:
            run.remove()
        return tuple(run.name for run in runs)

    def wait_for_leftovers(self, since: float) -> None:
        wait_for_leftovers(self._site.directory)
        with engine_errors():
            wait_for_stops(self._events, self._ids_of_running, since, self._clock_ahead)

    def _events(self) -> list[dict[str, Any]]:
        """All that the engine remembers, up to now."""
        # As text, since the SDK drops fractions of a second from a datetime.
        now: Any = f"{time.time() + self._clock_ahead:.6f}"
        return list(self.client.api.events(since=1, until=now, decode=True))

    def _ids_of_running(self) -> list[str]:
        return [container["Id"] for container in self.containers() if container["State"] in UP]

    def send_files(self) -> None:
        """Bring what containers mount up to date on the engine's machine, if that is another one."""
        site_files.send(self._site)

    def require_compose(self) -> None:
        _ = self.compose.version

    def other_directory(self) -> str | None:
        """The directory of another site with the same project name, by Compose's label: they would share containers."""
        for container in self.containers():
            directory = container["Labels"].get(DIRECTORY_LABEL)
            if directory and Path(directory).resolve() != self._site.directory:
                if is_on_this_machine() and not (Path(directory) / ".env").exists():
                    continue  # this site, before it was moved
                return str(directory)
        return None

    def lowest_port(self) -> int:
        if not is_on_this_machine():
            return 0
        with engine_errors():
            return rootless.lowest_port(self.client.api.info())

    def port_problem(self, address: str, port: int) -> str | None:
        """What is wrong with a port that nginx needs, as a predicate; None if it is free."""
        with engine_errors():
            return port_problem(self.client, address, port)

    def search_data(self, image: str) -> tuple[str, str] | None:
        for container in self._containers_of((SEARCH_SERVICE,)):
            volume = search_volume(container)
            written = written_by(self.client, container["Id"]) if volume and container["Image"] != image else ""
            return (written, volume) if written else None
        return None

    def network_problem(self) -> str | None:
        """Why the engine would not create a network that the site lacks, as a sentence; None if it lacks none."""
        wanted = self.compose.config(None).get("networks") or {} if self.networks is None else self.networks
        project = self._site.settings.project
        missing = missing_networks(self.client, project, wanted)
        return network_refusal(self.client, project, missing) if missing else None

    def database_address(self) -> tuple[str, int]:
        """Where Postgres is reachable from here: the engine picks a new port each time the container starts."""
        for container in self.containers():
            labels = container["Labels"]
            if labels.get(ONE_OFF_LABEL) == "True":
                continue  # a newer server that is being filled
            if labels.get(GROUP_LABEL) == "database" and container["State"] == "running":
                address = postgres_address(container)
                if address is not None:
                    return address
        raise NeedsYou(
            "The database has no port on the loopback address of the engine's machine.",
            "Its migrations cannot be read.",
            "Check with `graasp-local status` that db is on, and that compose.override.yaml does not remove its port.",
        )

    def containers(self) -> list[dict[str, Any]]:
        return containers_of_site(self._site)

    def _worst_first(self, service: str) -> list[dict[str, Any]]:
        """The containers of a service: those that are off before those that are on, high numbers before low ones."""
        replicas = next((observed.replicas for observed in self.observe().services if observed.name == service), ())
        on = {replica.number for replica in replicas if replica.is_on}
        return sorted(self._containers_of((service,)), key=lambda c: (number_of(c) in on, -number_of(c)))

    def _most_telling_first(self, service: str) -> list[dict[str, Any]]:
        """The same, but those that have not been started, or were stopped before, have nothing to tell."""
        return sorted(self._worst_first(service), key=lambda c: (c["State"] not in UP, c["State"] == "created"))

    def _containers_of(self, services: Sequence[str]) -> list[dict[str, Any]]:
        """Those on this engine."""
        return [
            container
            for container in self.containers()
            if container["Labels"].get(SERVICE_LABEL) in services
            and NODE_LABEL not in container["Labels"]
            and not _is_one_off(container)
        ]


def _is_one_off(container: Mapping[str, Any]) -> bool:
    return bool(container["Labels"].get(ONE_OFF_LABEL) == "True")


def _name(container: Mapping[str, Any]) -> str:
    return str(container["Names"][0]).lstrip("/")


def disk_of(client: DockerClient, containers: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> int | None:
    """How much the engine's disk has free, in bytes; None if that cannot be found out."""
    if not is_on_this_machine():
        return other_machine.free_bytes(client, containers)
    return free_bytes(Path(info["DockerRootDir"]))


def free_bytes(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def engine_for(site: Site, narrate: Callable[[str], None] = lambda _: None) -> DockerEngine:
    """The engine for a site. Raises GraaspLocalError if the site's settings are unusable."""
    _ = site.settings
    return DockerEngine(site, narrate)


def refusal_of_nginx(said: str) -> str:
    """The line in nginx's output that gives the reason, without its time and process."""
    lines = [line for line in said.splitlines() if "[emerg]" in line] or said.splitlines() or ["it gave no reason"]
    return re.sub(r"^.*\[emerg\]\s*(\d+#\d+:\s*)?", "", lines[0]).strip()
