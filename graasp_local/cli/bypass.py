"""`graasp-local bypass`."""

from __future__ import annotations

import time

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say


@click.command("bypass")
@click.option(
    "--hours", type=click.IntRange(1, 24 * 30), default=8, show_default=True, help="Hours for which the link is valid."
)
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, hours: int, *, json_object: bool) -> None:
    """Print the maintenance header and a link. Either one lets you use the site while it is closed to visitors."""
    from graasp_local.site.bypass import bypass_link

    settings = context.site.settings
    link = bypass_link(settings.public_url, settings.header_secret, int(time.time()) + hours * 3600)
    if json_object:
        print_json({"header": settings.header_name, "secret": settings.header_secret, "link": link, "hours": hours})
        return
    say("Keep these secret: whoever has them can use the site while it is closed.", err=True)
    say(f"Header: {settings.header_name}: {settings.header_secret}")
    say(f"Link, valid for {hours} {'hour' if hours == 1 else 'hours'}: {link}")
