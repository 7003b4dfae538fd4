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
    """Show or renew the certificate of a site that terminates TLS itself."""


@command.command("show")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def show(context: Context, *, json_object: bool) -> None:
    """Show the certificate's names, issuer and expiry."""
    from graasp_local.errors import Refused
    from graasp_local.tls.renew import certificate_of

    found = certificate_of(context.site.settings, context.site.tls_paths)
    if found is None:
        raise Refused("The site has no certificate.", "", "Set TLS in .env, then run apply or deploy.")
    due = found.due(datetime.now(UTC), context.site.settings.certificate_names)
    if json_object:
        print_json({"tls": context.site.settings.tls.value, **_as_json(found), "due": due})
        return
    say(f"For {', '.join(found.names)}, issued by {found.issuer}, valid until {found.ends:%Y-%m-%d %H:%M} UTC.")
    if due:
        say(f"It is due for renewal: {due}.")


@command.command("renew")
@click.option("--now", "at_once", is_flag=True, help="Renew it even if it is not due.")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def renew(context: Context, *, at_once: bool, json_object: bool) -> None:
    """Renew the certificate if it is due, and reload nginx. Run this once a day from a timer.

    With TLS=files, the files are read again. No request is dropped: nginx finishes running requests with the old
    certificate. `doctor` warns if the timer has not run for days.
    """
    from graasp_local.engine.nginx.edge import HttpEdge
    from graasp_local.engine.nginx.reload import EdgeReload
    from graasp_local.engine.reach.addresses import is_on_this_machine
    from graasp_local.errors import Refused
    from graasp_local.lock import held_lock
    from graasp_local.settings import Tls
    from graasp_local.site import prepare
    from graasp_local.tls.attempts import StartedBy, recorded
    from graasp_local.tls.renew import When
    from graasp_local.tls.renew import renew as renewed

    site = context.site
    prepare.refuse_if_not_ours(site)
    prepare.prepare(site)
    if site.settings.tls is Tls.ACME and not is_on_this_machine():
        raise Refused(
            "TLS=acme does not work with an engine on another machine: the file that the authority asks for would be "
            "written on this machine, not on that one.",
            "Nothing was changed.",
            "Use TLS=files with a certificate of your own, or run graasp-local on that machine.",
        )
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
        say("The certificate is not due for renewal yet.")
    else:
        say(f"Renewed: nginx uses a certificate from {new.issuer}, valid until {new.ends:%Y-%m-%d %H:%M} UTC.")


def _as_json(certificate: Certificate) -> dict[str, object]:
    return {
        "names": list(certificate.names),
        "issuer": certificate.issuer,
        "until": certificate.ends.isoformat(timespec="seconds"),
    }
