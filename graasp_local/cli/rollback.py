"""`graasp-local rollback`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import can_ask, say


@click.command("rollback")
@options.dry_run
@options.json_lines
@options.yes_without_loss
@options.discard(
    "written-since", "Roll back even though everything written since the deployment disappears from the site."
)
@click.option("--discard-written-since", "discard", is_flag=True, hidden=True)
@options.lock_wait
@options.max_downtime
@pass_context
def command(
    context: Context,
    *,
    dry_run: bool,
    json_lines: bool,
    yes: bool,
    discarded: str | None,
    discard: bool,
    lock_wait: float,
    max_downtime: float | None,
) -> None:
    """Undo the last deployment, or an unfinished restore or upgrade.

    If the deployment ran a migration, the database from before it is restored, and the current one is kept
    under another name until the next deployment. If visitors may have written data since, it asks first.
    """
    from graasp_local.cli.operating import OperationOptions, operation
    from graasp_local.planning.requests import Rollback

    may_ask = not (yes or json_lines or dry_run) and can_ask()
    agreed = discard or bool(discarded) or (may_ask and _agrees_to_a_loss(context))
    options = OperationOptions(
        dry_run=dry_run,
        as_json=json_lines,
        ask=not yes and not json_lines,
        lock_wait=lock_wait,
        max_downtime=max_downtime,
    )
    operation(context, Rollback(discard_written_since=agreed), options)


def _agrees_to_a_loss(context: Context) -> bool:
    """Say what would be discarded and ask for the site's name; False if nothing would be. Raises Refused."""
    from graasp_local.clock import InterruptionFlag
    from graasp_local.errors import Refused
    from graasp_local.operations.rollback import loss

    world = context.world(InterruptionFlag())
    lost = loss(world, world.observe())
    if lost is None:
        return False
    say(f"{lost.described()} will disappear from the site.", err=True)
    name = world.site.settings.project
    if click.prompt(f"Type the site's name ({name}) to discard it", default="", show_default=False, err=True) != name:
        raise Refused("That is not the site's name.", "Nothing was changed.")
    return True
