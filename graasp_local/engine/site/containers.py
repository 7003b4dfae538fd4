"""All containers of a site: those of its engine and, if it runs on several machines, its tasks on all of them.

Also one observation of a site for `status`, which must not take longer than `docker compose ps`: the same observation
as an operation's, without the parts that only an operation needs. Importing those takes longer than the observation.
"""

from __future__ import annotations

from typing import Any

from graasp_local.engine.containers.of_project import containers_of
from graasp_local.engine.containers.services import has_other_networks, observed_on
from graasp_local.engine.nginx.edge import HttpEdge
from graasp_local.planning.states import ObservedState
from graasp_local.ports.observation import observe
from graasp_local.site.site import Site


def containers_of_site(site: Site, *, to_observe_only: bool = False) -> list[dict[str, Any]]:
    """Raises as `containers_of` does."""
    found = containers_of(site.settings.project, to_observe_only=to_observe_only)
    # A site that was on several machines still has its tasks there.
    if site.settings.swarm is not None or has_other_networks(found, on_swarm=False):
        from graasp_local.engine.swarm.tasks import tasks_as_containers

        found = [*found, *tasks_as_containers(site.settings.project)]
    return found


def observe_site(site: Site) -> ObservedState:
    """The current state of the site. Raises EngineUnreachable."""
    return observe(
        lambda: observed_on(site, containers_of_site(site, to_observe_only=True)),
        HttpEdge(site.settings).gate,
        page_when_stopped=site.settings.page_when_stopped,
    )
