"""One observation of a site for `status`, which must not take longer than `docker compose ps`.

The same observation as an operation's, without the parts that only an operation needs: importing those takes longer
than the observation.
"""

from __future__ import annotations

from graasp_local.engine.http_edge import HttpEdge
from graasp_local.engine.observe import seen_on
from graasp_local.engine.site_containers import containers_of_site
from graasp_local.planning.states import ObservedState
from graasp_local.ports.observation import observe
from graasp_local.site.site import Site


def look_at(site: Site) -> ObservedState:
    """The current state of the site. Raises EngineUnreachable."""
    return observe(
        lambda: seen_on(site, containers_of_site(site, to_look_only=True)),
        HttpEdge(site.settings).gate,
        page_when_stopped=site.settings.page_when_stopped,
    )
