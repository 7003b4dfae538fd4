"""`graasp-local remove-old-database`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import can_ask, say
from graasp_local.errors import Refused


@click.command("remove-old-database")
@click.option("--volume", help="Remove only this volume. Default: every old volume of the site's database.")
@options.discard("old-database", "Do not ask for confirmation; remove the old data.")
@click.option("--confirm", metavar="SITE", hidden=True)
@options.yes_without_loss
@click.option("--json", "json_object", is_flag=True, help="Print what was removed as one JSON object.")
@pass_context
def command(
    context: Context, volume: str | None, discarded: str | None, confirm: str | None, *, yes: bool, json_object: bool
) -> None:
    """Remove old data: the volume and the dump that an upgrade of Postgres
    kept, and databases of failed deployments that may contain new data.

    After this, you cannot go back to the older Postgres. The volume and the databases in use are never removed. With
    --volume, only that volume and the dumps are removed.
    """
    from graasp_local.clock import InterruptionFlag
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.operations import upgrades

    refuse_podman()
    context.refuse_if_not_ours()
    world = context.world(InterruptionFlag())
    old = upgrades.old_volumes(world, volume)
    databases = () if volume else upgrades.kept_databases(world)
    removed: list[str] = []
    if old or databases:
        for name, major in old.items():
            say(f"{name}: {f'Postgres {major}' if major else 'no database files'}", err=True)
        for name in databases:
            say(f"{name}: a database of a failed deployment", err=True)
        if not discarded:
            _require_the_sites_name(world.site.settings.project, confirm, may_ask=not yes)
        for line in upgrades.remove_old(world, old, "graasp-local remove-old-database", databases):
            removed.append(line)
            say(line, err=True)
    if json_object:
        print_json({"removed": sorted([*old, *databases])})
    elif not removed:
        say("Nothing to remove: the site has no old database.")


def _require_the_sites_name(name: str, given: str | None, *, may_ask: bool) -> None:
    if given is None:
        if not (may_ask and can_ask()):
            raise Refused(
                "What is listed above would be removed for good.",
                "Nothing was removed.",
                "Add --discard old-database to confirm.",
            )
        question = f"Type the site's name ({name}) to remove this for good"
        given = click.prompt(question, default="", show_default=False, err=True)
    if given != name:
        raise Refused("That is not the site's name.", "Nothing was removed.")
