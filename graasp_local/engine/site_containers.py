"""All containers of a site: those of its engine and, if it runs on several machines, its tasks on all of them."""

from __future__ import annotations

from typing import Any

from graasp_local.engine.listing import containers_of
from graasp_local.engine.observe import has_other_networks
from graasp_local.site.site import Site


def containers_of_site(site: Site, *, to_look_only: bool = False) -> list[dict[str, Any]]:
    """Raises as `containers_of` does."""
    found = containers_of(site.settings.project, to_look_only=to_look_only)
    # A site that was on several machines still has its tasks there.
    if site.settings.swarm is not None or has_other_networks(found, on_swarm=False):
        from graasp_local.engine.swarm_tasks import tasks_as_containers

        found = [*found, *tasks_as_containers(site.settings.project)]
    return found
