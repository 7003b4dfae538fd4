"""Second containers that stand in for services while these are replaced. Implements ports.handovers.Handovers.

Each is a one-off container of the same service, so it has the settings, limits and networks that the site gives to the
service. It does not have the service's name in the network: nginx reaches it by its own name, and only while a flag
next to the gate's says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from graasp_local.engine.containers import other_machine
from graasp_local.engine.containers.inside import in_nginx
from graasp_local.engine.containers.services import HANDOVER_LABEL, NODE_LABEL, ONE_OFF_LABEL, SERVICE_LABEL, number_of
from graasp_local.engine.nginx import connections, gate_flag
from graasp_local.engine.nginx.edge import core_answer
from graasp_local.engine.reach.addresses import is_on_this_machine
from graasp_local.engine.reach.client import engine_errors, engine_refusals, together
from graasp_local.engine.site.docker_engine import DockerEngine
from graasp_local.planning.rolling_steps import Side
from graasp_local.ports.gate import CoreAnswer
from graasp_local.ports.handovers import Memory
from graasp_local.site import prepare
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import SWARM_SERVICES
from graasp_local.stack.services import VERSION_LABEL
from graasp_local.version import Version

VISITED_PORTS = {"core": 3000, "client": 8080}
"""The services that change with the version and that nginx's templates send visitors to, with their ports."""

_WEBSOCKET_PORTS = {
    Side.SERVICES: connections.WEBSOCKET_PORT,
    Side.HANDOVER: connections.HANDOVER_WEBSOCKET_PORT,
}
_BETWEEN = "\n--between-answers--\n"
_CURL = "exec curl --noproxy '*' --silent "
_ASK = _CURL + '--max-time 5 --write-out "\\n%{http_code}\\n--between-answers--\\n" "$0" "$@"'
_KNOWS = f"{_CURL}--fail --output /dev/null http://127.0.0.1:{connections.HANDOVER_WEBSOCKET_PORT}/alive"


class DockerHandovers:
    """The second containers of one site. Uses the operation's own engine and Compose."""

    def __init__(self, site: Site, engine: DockerEngine) -> None:
        self._site = site
        self._engine = engine

    def visited(self) -> tuple[str, ...]:
        return tuple(service.name for service in self._site.services if service.name in VISITED_PORTS)

    def replaced_in_turn(self) -> tuple[str, ...]:
        in_swarm = SWARM_SERVICES if self._site.settings.swarm is not None else ()
        return tuple(name for name in self.visited() if name in in_swarm)

    def edge_can_route(self) -> bool:
        code, _ = in_nginx(self._engine, ["sh", "-c", _KNOWS])
        return code == 0

    def memory(self) -> Memory:
        in_use: dict[str, int] = {}
        with engine_errors():
            for container in self._on_this_engine():
                if container["State"] == "running":
                    stats = self._engine.client.api.stats(container["Id"], stream=False, one_shot=True)
                    used = stats.get("memory_stats", {})
                    size = used.get("usage", 0) - used.get("stats", {}).get("inactive_file", 0)
                    service = container["Labels"][SERVICE_LABEL]
                    # Only one more is started, even for several replicas.
                    in_use[service] = max(size, in_use.get(service, 0))
        return Memory(sum(in_use.values()), available_bytes(self._memory_info()))

    def _memory_info(self) -> str:
        if is_on_this_machine():
            with suppress(OSError):
                return Path("/proc/meminfo").read_text()
            return ""
        with engine_errors():
            return other_machine.memory_info(self._engine.client, self._on_this_engine())

    def _on_this_engine(self) -> list[dict[str, Any]]:
        """The services' containers that the stand-in would be next to: tasks on other machines use other memory."""
        here = {str(each["Id"]) for each in self._engine.client.api.containers()}
        return [container for container in self._containers(Side.SERVICES) if container["Id"] in here]

    def start(self, version: Version, services: Sequence[str]) -> None:
        there = set()
        for container in self._containers(Side.HANDOVER):
            labels = container["Labels"]
            if container["State"] == "running" and labels.get(VERSION_LABEL) == str(version):
                there.add(labels[SERVICE_LABEL])
            else:
                self._remove(container)
        prepare.prepare(self._site)
        if version == self._site.selected_version:
            self._engine.use_selection()  # its tags may have moved since
        for service in services:
            if service not in there:
                name = f"{self._site.settings.project}-{service}-handover"
                self._engine.compose.run_detached(service, version, {HANDOVER_LABEL: str(version)}, name=name)

    def core(self, side: Side) -> CoreAnswer | None:
        host = "core" if side is Side.SERVICES else f"{self._site.settings.project}-core-handover"
        return self._answers_of([host])[host]

    def replicas_of_core(self) -> Mapping[str, CoreAnswer | None]:
        core = next((service for service in self._engine.observe().services if service.name == "core"), None)
        if core is None or core.wanted == 1:
            return {}
        containers = [c for c in self._containers(Side.SERVICES) if c["Labels"][SERVICE_LABEL] == "core"]
        # By container name, or a task's address: the service's name resolves to any of them.
        hosts = {f"core-{number_of(c)}": _host_of(c) for c in containers}
        said = self._answers_of([*hosts.values()])
        answers = {name: said[host] for name, host in sorted(hosts.items())}
        return answers if len(answers) >= core.wanted else {**answers, "another core": None}

    def _answers_of(self, hosts: Sequence[str]) -> dict[str, CoreAnswer | None]:
        """What the cores at these names in nginx's networks report about themselves."""
        answers: dict[str, tuple[int, str]] = {}

        def ask(host: str, path: str) -> tuple[int, str] | None:
            if f"{host}{path}" not in answers:
                # From nginx's own container, since core is not reachable from here. The answers for the next path and
                # for the other hosts are fetched by the same command, since running a command in a container takes
                # longer than the answers.
                prefix = path.removesuffix("/version")
                asked = [(each, f"{prefix}{end}") for each in hosts for end in ("/version", "/maintenance/next")]
                addresses = (f"http://{each}:{VISITED_PORTS['core']}{end}" for each, end in asked)
                _, text = in_nginx(self._engine, ["sh", "-c", _ASK, *addresses])
                for (each, end), answer in zip(asked, text.split(_BETWEEN), strict=False):
                    body, _, status = answer.rpartition("\n")
                    if status.isdigit() and int(status):
                        answers[f"{each}{end}"] = (int(status), body)
            return answers.get(f"{host}{path}")

        return {host: core_answer(partial(ask, host)) for host in hosts}

    def route_visitors(self, to: Side) -> None:
        if to is Side.HANDOVER:
            self._outlive_the_engine()
        self._engine.write_gate_files(gate_flag.leading_archive(to))

    def requests_in_flight(self, side: Side) -> int | None:
        containers = [c for c in self._containers(side) if c["State"] in ("running", "paused")]
        backends = [
            (network["IPAddress"], VISITED_PORTS[container["Labels"][SERVICE_LABEL]])
            for container in containers
            for network in container["NetworkSettings"]["Networks"].values()
            if network["IPAddress"]
        ]
        table = self._engine.nginx_connections()
        if not table or not containers:
            return 0
        # A running container whose address the engine does not report at the moment may still be answering.
        if not backends or not connections.is_of_nginx(table):
            return None
        return connections.requests_in_flight(table, backends, [_WEBSOCKET_PORTS[side]])

    def replace_in_turn(self, version: Version, services: Sequence[str]) -> None:
        prepare.prepare(self._site)
        self._engine.swarm.replace_in_turn(self._engine.compose.config(version), services)

    def not_replaced(self, services: Sequence[str]) -> int:
        return self._engine.swarm.not_replaced(services)

    def recent_log(self, service: str, lines: int) -> tuple[str, ...]:
        for container in self._containers(Side.HANDOVER):
            if container["Labels"][SERVICE_LABEL] == service:
                with engine_errors():
                    text = self._engine.client.api.logs(container["Id"], tail=lines, stream=False)
                return tuple(text.decode(errors="replace").splitlines())
        return ()

    def remove(self, and_stop: Sequence[str] = ()) -> None:
        # The containers last: until they are gone they show that something is left to do.
        self._engine.write_gate_files(gate_flag.leading_archive(Side.SERVICES))
        ends = [partial(self._remove, container) for container in self._containers(Side.HANDOVER)]
        together(lambda end: end(), [*ends, *([partial(self._engine.stop, and_stop)] if and_stop else [])])

    def _outlive_the_engine(self) -> None:
        """Let them restart after a power cut, as the services do, while visitors are sent to them."""
        policy: Any = {"Name": "unless-stopped"}
        with engine_errors():
            for container in self._containers(Side.HANDOVER):
                self._engine.client.api.update_container(container["Id"], restart_policy=policy)

    def _remove(self, container: dict[str, Any]) -> None:
        from docker.errors import NotFound

        name = container["Names"][0].lstrip("/")
        self._engine.narrate(shlex.join(["docker", "stop", name]))
        self._engine.narrate(shlex.join(["docker", "rm", "--volumes", name]))
        with engine_refusals(), suppress(NotFound):
            self._engine.client.api.stop(container["Id"])
            self._engine.client.api.remove_container(container["Id"], v=True, force=True)

    def _containers(self, side: Side) -> list[dict[str, Any]]:
        return [
            container
            for container in self._engine.containers()
            if container["Labels"].get(SERVICE_LABEL) in VISITED_PORTS
            and (HANDOVER_LABEL in container["Labels"]) == (side is Side.HANDOVER)
            and (side is Side.HANDOVER or container["Labels"].get(ONE_OFF_LABEL) != "True")
        ]


def _host_of(container: Mapping[str, Any]) -> str:
    if NODE_LABEL not in container["Labels"]:
        return str(container["Names"][0]).lstrip("/")
    shared = (known for name, known in container["NetworkSettings"]["Networks"].items() if name.endswith("_front"))
    return next((str(known["IPAddress"]) for known in shared), "") or "core.invalid"


def available_bytes(meminfo: str) -> int | None:
    """The memory available for new programs without swapping, from the text of /proc/meminfo; None if not in it."""
    found = next((line.split() for line in meminfo.splitlines() if line.startswith("MemAvailable:")), None)
    return int(found[1]) * 1024 if found else None
