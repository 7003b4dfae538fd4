"""Options that several verbs share, said once."""

from __future__ import annotations

import click

dry_run = click.option("--dry-run", is_flag=True, help="Check, show the plan, and change nothing.")

json_lines = click.option(
    "--json", "json_lines", is_flag=True, help="JSON lines on stdout, one an event; the last has the outcome."
)

yes = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask before starting. Without a terminal nothing is ever asked."
)

lock_wait = click.option(
    "--lock-wait",
    type=click.FloatRange(0, 86400),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another command that is at work on the site, instead of refusing at once.",
)

on_failure = click.option(
    "--on-failure",
    type=click.Choice(["rollback", "hold"]),
    default="rollback",
    show_default=True,
    help="After a failure behind the closed gate: put back what was before, or leave it for a look.",
)
