"""`graasp-local rollback`."""

from __future__ import annotations

import click

from graasp_local.cli.context import Context, pass_context


@click.command("rollback")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option(
    "--json", "json_lines", is_flag=True, help="JSON lines on stdout, one an event; the last has the outcome."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before starting. Without a terminal nothing is ever asked.")
@pass_context
def command(context: Context, *, dry_run: bool, json_lines: bool, yes: bool) -> None:
    """Put the site back to before a deployment that was killed, interrupted or held after a failure.

    The database from before its migration is put back; the one of the failed deployment is kept under another name.
    Refuses where visitors could have written since.
    """
    from graasp_local import walks
    from graasp_local.cli.walking import How, walk

    walk(
        context,
        "rollback",
        "graasp-local rollback",
        How(dry_run=dry_run, as_json=json_lines, ask=not yes and not json_lines),
        lambda world: lambda observed: walks.rollback_plan(world, observed),
    )
