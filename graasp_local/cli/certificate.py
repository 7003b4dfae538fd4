"""`graasp-local certificate show` and `renew`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.tls.certificate import Certificate


@click.group("certificate")
def command() -> None:
    """The certificate of a site that has TLS of its own: see it, or renew it."""


@command.command("show")
@click.option("--json", "json_object", is_flag=True, help="One JSON object.")
@pass_context
def show(context: Context, *, json_object: bool) -> None:
    """Show what the certificate is for, who gave it, and until when it counts."""
    from graasp_local.errors import Refused
    from graasp_local.tls.renew import certificate_of

    found = certificate_of(context.site.settings, context.site.tls_paths)
    if found is None:
        raise Refused("The site has no certificate.", "", "Set TLS in .env, then apply or deploy.")
    due = found.due(datetime.now(UTC), context.site.settings.certificate_names)
    if json_object:
        print_json({"tls": context.site.settings.tls.value, **_as_json(found), "due": due})
        return
    say(f"For {', '.join(found.names)}, from {found.issuer}, until {found.ends:%Y-%m-%d %H:%M} UTC.")
    if due:
        say(f"It should be renewed: {due}.")


@command.command("renew")
@click.option("--now", "at_once", is_flag=True, help="Also if it is not due.")
@click.option("--json", "json_object", is_flag=True, help="One JSON object.")
@pass_context
def renew(context: Context, *, at_once: bool, json_object: bool) -> None:
    """Renew the certificate if it is due, and let nginx take it over; for a timer that runs once a day.

    With TLS=files the files are read anew. No request is dropped: nginx finishes with the old one what it has begun.
    `doctor` warns when no run without a terminal was made for days.
    """
    from graasp_local.engine.edge_reload import EdgeReload
    from graasp_local.engine.http_edge import HttpEdge
    from graasp_local.lock import held_lock
    from graasp_local.site import prepare
    from graasp_local.tls.attempts import StartedBy, recorded
    from graasp_local.tls.renew import When
    from graasp_local.tls.renew import renew as renewed

    site = context.site
    prepare.refuse_if_not_ours(site)
    prepare.prepare(site)
    nginx = EdgeReload(context.engine(), HttpEdge(site.settings))
    started_by = StartedBy.PERSON if sys.stdin.isatty() else StartedBy.TIMER
    with (
        held_lock(site.lock_file, "graasp-local certificate renew"),
        recorded(site.renewals_file, started_by, lambda: datetime.now(UTC)),
    ):
        when = When.NOW if at_once else When.DUE
        new = renewed(site.settings, site.tls_paths, nginx, when, lambda line: say(f"  {line}", err=True))
    if json_object:
        print_json({"renewed": new is not None, **(_as_json(new) if new else {})})
    elif new is None:
        say("The certificate need not be renewed yet.")
    else:
        say(f"Renewed: nginx shows a certificate from {new.issuer}, until {new.ends:%Y-%m-%d %H:%M} UTC.")


def _as_json(certificate: Certificate) -> dict[str, object]:
    return {
        "names": list(certificate.names),
        "issuer": certificate.issuer,
        "until": certificate.ends.isoformat(timespec="seconds"),
    }
