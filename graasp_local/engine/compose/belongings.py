"""What belongs to a Compose project on the engine, found by its labels and removed; and a port that the engine picks.

For stacks that are removed as a whole (graasp_local.testing). Refuses nothing: the caller owns the project.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from graasp_local.engine.containers.inside import run_inside
from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.images.kept import remove_tags
from graasp_local.engine.reach.client import connect, engine_errors, together
from graasp_local.errors import NeedsYou, Refused

if TYPE_CHECKING:
    from docker import APIClient
    from docker.models.containers import Container

_SUBNETS = ipaddress.IPv4Network("10.0.0.0/8")
_SUBNET_PREFIX = 27
"""Room for 29 containers."""

_TRIES = 1000
_ROUNDS = 5
"""The engine may still create one more thing for a killed command after the list was read."""


class Belonging(Struct, frozen=True):
    """A container, volume or network: its `kind`, its id (a volume's is its name), its labels."""

    kind: str
    id: str
    labels: Mapping[str, str]


def belongings(label: str) -> tuple[Belonging, ...]:
    """Everything on the engine that has this label (`name` or `name=value`). Raises EngineUnreachable."""
    with closing(connect()) as client, engine_errors():
        return _found(client.api, label)


def remove_project(project: str) -> None:
    """Remove a project's containers, running or not, its volumes, its networks and its own image tags.

    Does nothing if there are none. Raises EngineUnreachable, and NeedsYou for what the engine does not remove.
    """
    problem = ""
    with closing(connect()) as client, engine_errors():
        for _ in range(_ROUNDS):
            found = _found(client.api, f"{PROJECT_LABEL}={project}")
            if not found:
                remove_tags(client, project, ())
                return
            # In this order: a volume or a network cannot be removed while a container uses it.
            for kind in ("container", "volume", "network"):
                problem = _removed(client.api, [item for item in found if item.kind == kind]) or problem
    raise NeedsYou(
        f"The engine did not remove everything of the project {project}: {problem}.",
        "",
        f"`docker ps --all --filter label={PROJECT_LABEL}={project}` shows what is left.",
    )


def remove_containers(ids: Sequence[str]) -> None:
    """Remove these containers, running or not, as far as the engine allows. Raises EngineUnreachable."""
    with closing(connect()) as client, engine_errors():
        _removed(client.api, [Belonging("container", each, {}) for each in ids])


def free_port(images: Sequence[str], labels: Mapping[str, str]) -> int | None:
    """A port of the engine's loopback address that the engine picks, and will not pick again soon.

    None if none of the images is on the engine: a container is needed for it. Raises Refused if no port is free.
    """
    from docker.errors import APIError, ImageNotFound

    with closing(connect()) as client, engine_errors():
        api = client.api
        # The engine counts up for each address, so it picks another port of this one for the site's database.
        bindings = api.create_host_config(port_bindings={80: ("127.0.0.1", None)})
        for image in images:
            try:
                made = api.create_container(
                    image, entrypoint=["sleep", "60"], ports=[80], host_config=bindings, labels=dict(labels)
                )
            except ImageNotFound:
                continue
            try:
                api.start(made["Id"])
                published = api.inspect_container(made["Id"])["NetworkSettings"]["Ports"]["80/tcp"]
                return int(published[0]["HostPort"])
            except APIError as error:
                raise Refused(
                    f"The engine has no free port: {error.explanation or error}.",
                    "Nothing was started.",
                    "Stop programs that use ports, then try again.",
                ) from error
            finally:
                with suppress(APIError):
                    api.remove_container(made["Id"], force=True)
    return None


def free_subnets(count: int) -> tuple[str, ...]:
    """`count` small networks that overlap neither a network of the engine nor a route of this machine.

    The engine's own pool has room for some thirty networks, which a few stacks use up. Empty if this machine has routes
    to nearly all of the range, by a VPN for example: then the engine chooses. Raises EngineUnreachable.
    """
    with closing(connect()) as client, engine_errors():
        networks = client.api.networks()
    parts = [part for network in networks for part in network["IPAM"].get("Config") or ()]
    used = [ipaddress.ip_network(part["Subnet"]) for part in parts if part.get("Subnet")]
    taken = [*(subnet for subnet in used if isinstance(subnet, ipaddress.IPv4Network)), *_routes()]
    found: list[str] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return tuple(found)
        # Random, because another process may be choosing at the same time.
        first = int(_SUBNETS.network_address) | secrets.randbelow(1 << 19) << 5
        subnet = ipaddress.IPv4Network((first, _SUBNET_PREFIX))
        if not any(subnet.overlaps(other) for other in taken):
            taken.append(subnet)
            found.append(str(subnet))
    return ()


def _routes() -> list[ipaddress.IPv4Network]:
    """The networks that this machine has routes to, except the default one; none if it does not report them."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return []
    ends = [(bytes.fromhex(line.split()[1])[::-1], bytes.fromhex(line.split()[7])[::-1]) for line in lines]
    return [ipaddress.IPv4Network((start, bin(int.from_bytes(mask)).count("1"))) for start, mask in ends if any(mask)]


def image_ids(references: Sequence[str]) -> dict[str, str]:
    """The id of each of these images that is on the engine. Raises EngineUnreachable."""
    from docker.errors import APIError

    ids = {}
    with closing(connect()) as client, engine_errors():
        for reference in references:
            with suppress(APIError):
                ids[reference] = str(client.images.get(reference).id)
    return ids


def network_labels(name: str) -> tuple[Mapping[str, str], ...] | None:
    """The labels of the containers in a network; None if the engine has no such network."""
    from docker.errors import NotFound

    with closing(connect()) as client, engine_errors():
        try:
            client.api.inspect_network(name)
        except NotFound:
            return None
        return tuple(c["Labels"] for c in client.api.containers(all=True, filters={"network": name}))


def sdk_container(container: str) -> Container:
    """A container as a docker SDK object. Raises EngineUnreachable."""
    with engine_errors():
        return connect().containers.get(container)


def run_in(container: str, command: str | Sequence[str], user: str = "") -> tuple[int, bytes]:
    """Exit code and output (both streams together) of a command in a running container. Raises NeedsYou."""
    from docker.errors import APIError

    with closing(connect()) as client, engine_errors():
        try:
            return run_inside(client, container, command, user=user)
        except APIError as error:
            raise NeedsYou(f"The engine refused to run {command!r}: {error.explanation or error}.") from error


def _found(api: APIClient, label: str) -> tuple[Belonging, ...]:
    filters = {"label": label}
    listed: list[tuple[str, str, list[dict[str, Any]]]] = [
        ("container", "Id", api.containers(all=True, filters=filters)),
        ("volume", "Name", api.volumes(filters=filters)["Volumes"] or []),
        ("network", "Id", api.networks(filters=filters)),
    ]
    return tuple(Belonging(kind, str(item[key]), item["Labels"] or {}) for kind, key, items in listed for item in items)


def _removed(api: APIClient, items: Sequence[Belonging]) -> str:
    """Remove these, all of one kind; returns the reason of the last failure, or an empty string."""
    from docker.errors import APIError, NotFound

    problems = []

    def remove(item: Belonging) -> None:
        calls: Mapping[str, Callable[[], object]] = {
            "container": lambda: api.remove_container(item.id, force=True, v=True),
            "volume": lambda: api.remove_volume(item.id, force=True),
            "network": lambda: api.remove_network(item.id),
        }
        try:
            calls[item.kind]()
        except NotFound:
            pass  # another process was quicker
        except APIError as error:
            problems.append(str(error.explanation or error))

    together(remove, items)
    return problems[-1] if problems else ""
