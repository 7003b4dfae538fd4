"""Observes a site: its containers, then the gate if nginx is up to ask. Does not decide what that means."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from graasp_local.planning.states import Gate, ObservedService, ObservedState, ServiceGroup, Status


class ObservedServices(Struct, frozen=True):
    """Containers of a site at one moment: its services, the names of running migration containers, and what stands in
    for a service.
    """

    services: tuple[ObservedService, ...]
    migrations: tuple[str, ...]
    handovers: tuple[ObservedService, ...] = ()
    other_networks: bool = False


def observe(
    observe_services: Callable[[], ObservedServices], ask_gate: Callable[[], Gate], *, page_when_stopped: bool
) -> ObservedState:
    """`observe_services` lists the containers in one call; `ask_gate` asks nginx, but not while nginx is down.

    `page_when_stopped` is the site's setting.
    """
    found = observe_services()
    # While nginx is down, whatever answers on the port is not ours.
    nginx_is_up = any(
        service.group is ServiceGroup.EDGE and service.status is Status.RUNNING for service in found.services
    )
    gate = ask_gate() if nginx_is_up else Gate.UNKNOWN
    return ObservedState(
        found.services, gate, found.migrations, found.handovers, page_when_stopped, found.other_networks
    )
