"""`graasp-local rollback`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context


@click.command("rollback")
@options.dry_run
@options.json_lines
@options.yes
@options.lock_wait
@pass_context
def command(context: Context, *, dry_run: bool, json_lines: bool, yes: bool, lock_wait: float) -> None:
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
        How(dry_run=dry_run, as_json=json_lines, ask=not yes and not json_lines, lock_wait=lock_wait),
        lambda world: lambda observed: walks.rollback_plan(world, observed),
    )
