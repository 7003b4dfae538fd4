"""Which services have to be recreated when settings change, and a view of the site in which they are outdated.

Read from the compose files: a service that uses a variable needs its new value. The database is left out: it reads its
passwords only once, on an empty data directory.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter

from msgspec.structs import replace

from graasp_local.planning.states import ObservedState, ServiceGroup, Status
from graasp_local.site.site import Site
from graasp_local.stack.services import read_services
from graasp_local.stack.variables import profiles_defined


def services_to_recreate(site: Site, keys: Collection[str]) -> tuple[str, ...]:
    """The services to recreate after a change of these keys, whether they are on or not. Raises ConfigurationError."""
    untouched = (ServiceGroup.DATABASE, ServiceGroup.MIGRATION)
    return tuple(
        service.name
        for service in sorted(
            read_services(site.stack_files, profiles_defined(site.stack_files)), key=attrgetter("name")
        )
        if service.group not in untouched and {*keys} & {*service.variables}
    )


def outdated(observed: ObservedState, services: Collection[str]) -> ObservedState:
    """The same site with these services, if running, marked as created with earlier settings."""
    marked = tuple(
        replace(service, outdated=True) if service.name in services and service.status is Status.RUNNING else service
        for service in observed.services
    )
    return replace(observed, services=marked)
