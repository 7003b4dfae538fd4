"""Core and workers as services of a Docker Swarm: made from Compose's rendering, scaled, and waited for.

To stop a service, the Swarm is told to run none of its tasks; the service has stopped once none is left on any machine
that the manager reaches. `problem` says if the engine does not manage a Swarm.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose import site_files
from graasp_local.engine.reach.client import connect, engine_errors, engine_refusals
from graasp_local.engine.swarm import tasks as swarm_tasks
from graasp_local.engine.swarm.images import remove_checks
from graasp_local.engine.swarm.tasks import is_reachable, node_name, replicas_wanted
from graasp_local.errors import EngineUnreachable, NeedsYou
from graasp_local.settings import Swarm
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import PROJECT_LABEL, SERVICE_LABEL, SWARM_SERVICES, SwarmFile, translated

if TYPE_CHECKING:
    from docker import DockerClient

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
"""How much longer than its grace period a task may take to stop: the engines wait two seconds, and a lost machine
counts as down only after some fifteen."""

_LONGEST_FILE = 500 * 1000
_LOG_SECONDS = 10


class SwarmServices:
    """The Swarm services of one site. `narrate` receives each command that changes something, before it runs."""

    def __init__(self, site: Site, client: Callable[[], DockerClient], narrate: Callable[[str], None]) -> None:
        self._site = site
        self._connect = client
        self._narrate = narrate
        self._failed: dict[str, set[str]] = {}

    @property
    def _project(self) -> str:
        return self._site.settings.project

    @property
    def _client(self) -> DockerClient:
        return self._connect()

    def services(self) -> dict[str, dict[str, Any]]:
        """What the Swarm knows about the site's services, by name."""
        found = swarm_tasks.listed("/services", self._project)
        return {each["Spec"]["Labels"][SERVICE_LABEL]: each for each in found}

    def make(self, config: Mapping[str, Any], services: Sequence[str]) -> None:
        """Create these services, or change them to match `config`; the number of their tasks stays the same."""
        there = self.services()
        for service in services:
            self._have(config, service, there.get(service), None)

    def start(self, config: Mapping[str, Any], services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """The same, with as many tasks as are wanted; for those in `first_of` with one, unless they have more."""
        there = self.services()
        for service in services:
            known = there.get(service)
            self._have(config, service, known, self._wanted(service, known, first_of))

    def start_made(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """Start the tasks of services that exist already."""
        there = self.services()
        for service in services:
            self._scale(there[service], self._wanted(service, there[service], first_of))

    def replace_in_turn(self, config: Mapping[str, Any], services: Sequence[str]) -> None:
        """Have the Swarm begin to replace the tasks of these services, each with one that matches `config`."""
        there = self.services()
        for service in services:
            known = there.get(service)
            self._have(config, service, known, self._wanted(service, known, ()), in_turn=True)

    def not_replaced(self, services: Sequence[str]) -> int:
        """How many tasks are still to be replaced. Raises NeedsYou once the Swarm has put the old ones back."""
        tasks, left = swarm_tasks.listed("/tasks", self._project), 0
        for name, service in self.services().items():
            if name in services:
                own = [task for task in tasks if task["ServiceID"] == service["ID"]]
                left += swarm_tasks.to_be_replaced(service, own)
                if swarm_tasks.was_put_back(service):
                    raise NeedsYou(
                        f"{name} failed on a machine, and the Swarm put the old containers back: "
                        f"{self.complaint(name)}."
                    )
        return left

    def _wanted(self, service: str, known: Mapping[str, Any] | None, first_of: Sequence[str]) -> int:
        defined = next((each.replicas for each in self._site.services if each.name == service), None)
        wanted = self._site.settings.replicas.get(service, defined or 1)
        return min(wanted, max(1, replicas_wanted(known))) if service in first_of else wanted

    def want_none(self, services: Collection[str]) -> None:
        """Have the Swarm stop all tasks of these services."""
        for name, service in self.services().items() if services else ():
            if name in services and replicas_wanted(service):
                self._scale(service, 0)

    def await_stop(self, services: Collection[str]) -> None:
        """Raises NeedsYou if a task is left on a machine that answers."""
        if not services:
            return
        stopped = [service for name, service in self.services().items() if name in services]
        grace = max((_grace_seconds(service) for service in stopped), default=0.0)
        deadline = time.monotonic() + grace + _PATIENCE_SECONDS
        while left := self._left(stopped):
            if time.monotonic() > deadline:
                raise NeedsYou(f"{' and '.join(left)} did not stop.")
            time.sleep(_POLL_SECONDS)

    def _left(self, services: Sequence[Mapping[str, Any]]) -> list[str]:
        """What still runs of these, or is about to, where the manager can tell."""
        if not services:
            return []
        nodes = {node["ID"]: node for node in swarm_tasks.listed("/nodes", "")}
        names = {service["ID"]: service["Spec"]["Labels"][SERVICE_LABEL] for service in services}
        left = []
        for task in swarm_tasks.listed("/tasks", self._project):
            node = nodes.get(task.get("NodeID", ""))
            ended = task["Status"]["State"] in swarm_tasks.ENDED
            if task["ServiceID"] in names and not ended and is_reachable(node):
                left.append(f"{names[task['ServiceID']]} on {node_name(node) if node else 'no machine yet'}")
        return left

    def remove(self) -> None:
        """Remove the site's services, wait until nothing of them is left, then remove their files."""
        self.want_none(SWARM_SERVICES)
        self.await_stop(SWARM_SERVICES)
        with engine_refusals():
            for service in self.services().values():
                self._narrate(f"docker service rm {service['Spec']['Name']}")
                self._client.api.remove_service(service["ID"])  # type: ignore[no-untyped-call]
            remove_checks(self._client, self._project)
            self._remove_unused_files()

    def restart(self, service: str) -> None:
        """Replace the tasks of a service with new ones."""
        known = self.services().get(service)
        if known is not None:
            template = dict(known["Spec"]["TaskTemplate"])
            template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
            self._update(known, template, replicas_wanted(known))

    def restarts(self, service: str) -> int:
        """How many of the service's tasks have failed, as far as the Swarm and this object remember."""
        failed = self._failed.setdefault(service, set())
        failed.update(task["ID"] for task in self._failed_tasks(service))
        return len(failed)

    def complaint(self, service: str) -> str:
        """What the Swarm says about the newest task of the service that failed or does not start."""
        known = self.services().get(service)
        tasks = swarm_tasks.listed("/tasks", self._project) if known else []
        unwell = [t for t in tasks if t["ServiceID"] == (known or {}).get("ID") and t["Status"]["State"] != "running"]
        said = [
            t["Status"].get("Err") or t["Status"].get("Message", "")
            for t in sorted(unwell, key=lambda t: (bool(t["Status"].get("Err")), t["CreatedAt"]))
        ]
        return " ".join(said[-1].split()) if said else ""

    def log(self, service: str, lines: int) -> tuple[str, ...]:
        """The ends of the logs of its tasks; empty if their machines do not answer soon."""
        known = self.services().get(service)
        if known is None:
            return ()
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        text = b""
        with suppress(DockerException, RequestException, OSError):
            # Over a connection of its own, with a shorter timeout: a machine that was cut off does not answer.
            client = connect(_LOG_SECONDS)
            text = b"".join(
                client.api.service_logs(known["ID"], stdout=True, stderr=True, tail=str(lines), is_tty=False)
            )
        return tuple(text.decode(errors="replace").splitlines())

    def log_stream(self, service: str, lines: int) -> Any:
        """The logs of its tasks as they grow, in pieces."""
        known = self.services()[service]
        with engine_errors():
            return self._client.api.service_logs(
                known["ID"], stdout=True, stderr=True, tail=str(lines), follow=True, is_tty=False
            )

    def problem(self) -> str | None:
        """Why the Swarm cannot be used from this engine, as a sentence; None if it can."""
        with engine_errors():
            told: dict[str, Any] = self._client.api.info().get("Swarm") or {}
        state = told.get("LocalNodeState") or "inactive"
        if state == "inactive":
            return "SWARM is on, but this engine is not part of a Swarm: `docker swarm init` creates one."
        if state != "active":
            return f"SWARM is on, but this engine's Swarm is {state}: {told.get('Error') or 'no reason given'}."
        if not told.get("ControlAvailable"):
            return (
                "SWARM is on, but this engine is a worker of its Swarm, and the site's machine must be a manager: run "
                "`docker node promote` on a manager."
            )
        try:
            swarm_tasks.listed("/nodes", "")
        except EngineUnreachable as error:  # such as a Swarm whose managers are not enough to have a leader
            return error.what
        return None

    def memory_bytes(self) -> int | None:
        """The memory of all machines that are up and take tasks, together; None if none is known."""
        nodes = [node for node in swarm_tasks.listed("/nodes", "") if takes_tasks(node)]
        return sum(int(node["Description"]["Resources"]["MemoryBytes"]) for node in nodes) or None

    def refuse_untranslatable(self, config: Mapping[str, Any]) -> None:
        """Raises ConfigurationError if a service cannot be made from `config`."""
        for service in SWARM_SERVICES:
            if service in config["services"]:
                self._translated(config, service)

    def _translated(self, config: Mapping[str, Any], service: str) -> Any:
        swarm = self._site.settings.swarm or Swarm()
        return translated(config, service, self._content, swarm.placement, shares_files=swarm.shares_files)

    def _content(self, path: str) -> bytes | None:
        """The content of a file of the stack or of a secret; both are also here if the engine is elsewhere."""
        there = site_files.where_mounted_from(self._site)
        roots = {
            there.get("GRAASP_STACK", str(self._site.stack_copy)): self._site.stack_copy,
            there.get("GRAASP_SECRETS", str(self._site.secrets_directory)): self._site.secrets_directory,
        }
        for root, here in roots.items():
            if path.startswith(f"{root}/"):
                file = here / Path(path).relative_to(root)
                if file.is_file() and file.stat().st_size <= _LONGEST_FILE:
                    return file.read_bytes()
        return None

    def _have(
        self,
        config: Mapping[str, Any],
        service: str,
        known: Mapping[str, Any] | None,
        wanted: int | None,
        *,
        in_turn: bool = False,
    ) -> None:
        made = self._translated(config, service)
        with engine_refusals():
            networks = {network["Name"]: network["Id"] for network in self._client.api.networks()}
            lacking = [name for name in made.networks if name not in networks]
            if lacking:
                raise NeedsYou(f"{service} needs the network {lacking[0]}, which this engine does not have.")
            template = {
                **made.template,
                "Networks": [{"Target": networks[name], "Aliases": [*names]} for name, names in made.networks.items()],
                "ContainerSpec": {**made.template["ContainerSpec"], **self._with_files(made.files)},
            }
            name = f"{self._project}_{service}"
            if known is None:
                self._narrate(
                    f"docker service create --name {name} --replicas {wanted or 0} {template['ContainerSpec']['Image']}"
                )
                self._client.api.create_service(  # type: ignore[no-untyped-call]
                    template,
                    name=name,
                    labels=self._labels(service),
                    mode={"Replicated": {"Replicas": wanted or 0}},
                    update_config=_AT_ONCE,
                    endpoint_spec=_BY_NAME,
                )
            else:
                wanted = replicas_wanted(known) if wanted is None else wanted
                self._update(known, template, wanted, in_turn=in_turn)
                if not in_turn:
                    self._await_change(known["ID"])
            self._remove_unused_files()

    def _await_change(self, service: str) -> None:
        """Wait until the Swarm begins to end the tasks from before a change: for a moment they still look wanted."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            now = self._client.api.inspect_service(service)  # type: ignore[no-untyped-call]
            template = now["Spec"]["TaskTemplate"]["ContainerSpec"]
            tasks = [task for task in swarm_tasks.listed("/tasks", self._project) if task["ServiceID"] == service]
            wanted = [task for task in tasks if task["DesiredState"] in swarm_tasks.WANTED]
            if all(task["Spec"]["ContainerSpec"] == template for task in wanted):
                return
            time.sleep(_POLL_SECONDS)

    def _scale(self, known: Mapping[str, Any], wanted: int) -> None:
        self._update(known, known["Spec"]["TaskTemplate"], wanted)

    def _update(
        self, known: Mapping[str, Any], template: Mapping[str, Any], wanted: int, *, in_turn: bool = False
    ) -> None:
        name, how = known["Spec"]["Name"], _IN_TURN if in_turn else _AT_ONCE
        words = f"--update-order {how['Order']} --update-failure-action {how['FailureAction']} " if in_turn else ""
        self._narrate(f"docker service update --detach {words}--replicas {wanted} {name}")
        with engine_refusals():
            # Read again: each change gives it another number, and the Swarm itself makes some.
            now = self._client.api.inspect_service(known["ID"])  # type: ignore[no-untyped-call]
            self._client.api.update_service(
                known["ID"],
                now["Version"]["Index"],
                task_template=template,
                name=name,
                labels=now["Spec"]["Labels"],
                mode={"Replicated": {"Replicas": wanted}},
                update_config=how,
                rollback_config=_AT_ONCE,
                endpoint_spec=_BY_NAME,
            )

    def _labels(self, service: str) -> dict[str, str]:
        return {PROJECT_LABEL: self._project, SERVICE_LABEL: service}

    def _with_files(self, files: Sequence[SwarmFile]) -> dict[str, Any]:
        """Have the Swarm store these files; returns references. None ever changes: new content is a new file."""
        references: dict[str, list[Any]] = {"Configs": [], "Secrets": []}
        for file in files:
            name = f"{self._project}_{file.name}_{hashlib.sha256(file.content).hexdigest()[:12]}"
            id_ = self._file_id(file, name)
            where = {"Name": file.target, "UID": "0", "GID": "0", "Mode": 0o444}
            kind = "Config" if file.kind == "config" else "Secret"
            references[f"{kind}s"].append({f"{kind}ID": id_, f"{kind}Name": name, "File": where})
        return references

    def _file_id(self, file: SwarmFile, name: str) -> str:
        api, labels = self._client.api, {PROJECT_LABEL: self._project}
        known = (api.configs if file.kind == "config" else api.secrets)(filters={"name": name})
        found = [str(each["ID"]) for each in known if each["Spec"]["Name"] == name]
        if found:
            return found[0]
        self._narrate(f"docker {file.kind} create {name} -")
        make = api.create_config if file.kind == "config" else api.create_secret
        return str(make(name, file.content, labels=labels)["ID"])

    def _remove_unused_files(self) -> None:
        """Remove the files that no service refers to; the Swarm refuses to remove any other."""
        from docker.errors import APIError

        api, filters = self._client.api, {"label": f"{PROJECT_LABEL}={self._project}"}
        used = {
            reference.get("ConfigID") or reference.get("SecretID")
            for service in self.services().values()
            for kind in ("Configs", "Secrets")
            for reference in service["Spec"]["TaskTemplate"]["ContainerSpec"].get(kind) or ()
        }
        for known, remove in ((api.configs, api.remove_config), (api.secrets, api.remove_secret)):
            for each in known(filters=filters):
                if each["ID"] not in used:
                    with suppress(APIError):
                        remove(each["ID"])

    def _failed_tasks(self, service: str) -> Iterator[Mapping[str, Any]]:
        known = self.services().get(service)
        if known is not None:
            for task in swarm_tasks.listed("/tasks", self._project):
                if task["ServiceID"] == known["ID"] and task["Status"]["State"] in swarm_tasks.FAILED:
                    yield task


_AT_ONCE: Any = {"Parallelism": 0, "Order": "stop-first", "FailureAction": "continue"}
"""Services change behind the closed gate, where nothing is gained by replacing tasks one after the other."""

_IN_TURN: Any = {"Parallelism": 1, "Order": "start-first", "FailureAction": "rollback", "Monitor": 2 * 10**9}
"""An old task ends once a new one is healthy. New ones are watched for failures for `Monitor` nanoseconds."""

_BY_NAME: Any = {"Mode": "dnsrr"}
"""nginx gets the address of each task, instead of one address that the kernel balances over them."""


def takes_tasks(node: Mapping[str, Any]) -> bool:
    """Whether the machine is up and runs what the Swarm gives it."""
    return bool(node["Status"]["State"] == "ready" and node["Spec"].get("Availability") == "active")


def _grace_seconds(service: Mapping[str, Any]) -> float:
    return int(service["Spec"]["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod") or 10**10) / 10**9
