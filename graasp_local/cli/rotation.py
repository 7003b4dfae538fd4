"""Finishes a rotation of secrets that was cut off, before anything else is done with the site."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.cli.context import Context
from graasp_local.cli.speaking import say
from graasp_local.errors import NeedsYou

if TYPE_CHECKING:
    from graasp_local.site.rotate import Roles


def finish_rotation(context: Context) -> bool:
    """Returns whether there was one and it is now finished. If the database does not answer, says so and continues."""
    if not context.site.rotation_file.exists():
        return False
    context.refuse_if_not_ours()
    from graasp_local.clock import SystemClock
    from graasp_local.lock import held_lock
    from graasp_local.site import rotate

    site = context.site
    with held_lock(site.lock_file, "finishing a rotation of secrets"), uninterrupted():
        rotation = rotate.cut_off(site)
        if rotation is None:
            return False
        names = ", ".join(rotation.keys)
        try:
            rotate.finish(site, roles_of(context), SystemClock())
        except NeedsYou as error:
            say(f"The interrupted rotation of {names} cannot be finished yet: {error.what}", err=True)
            return False
    say(f"Finished the interrupted rotation of {names}.", err=True)
    context.forget_site()
    return True


def roles_of(context: Context) -> Roles:
    """The roles of the site's database server."""
    from graasp_local.postgres.external import ExternalRoles
    from graasp_local.postgres.external_server import ExternalConnections
    from graasp_local.postgres.roles import PostgresRoles

    external = context.site.settings.external_database
    if external is not None:
        return ExternalRoles(ExternalConnections(external))
    return PostgresRoles(context.engine().database_address, context.site.settings.postgres_password)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait until this short part is done."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
