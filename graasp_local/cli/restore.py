"""`graasp-local restore NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import can_ask, say

if TYPE_CHECKING:
    from graasp_local.planning.requests import Restore


@click.command("restore")
@click.argument("name")
@click.option(
    "--only", multiple=True, metavar="PART", help="Restore only this part, such as graasp or files. Can be repeated."
)
@options.discard("current-data", "Do not ask for confirmation; replace the site's current data.")
@click.option("--replace-what-is-there", "replace", is_flag=True, hidden=True)
@options.dry_run
@options.json_lines
@options.yes_without_loss
@options.lock_wait
@options.max_downtime
@click.option(
    "--hold",
    is_flag=True,
    help="Leave the site restricted, with the restored data, so that you can test it through the bypass.",
)
@options.on_failure
@pass_context
def command(
    context: Context,
    name: str,
    only: tuple[str, ...],
    *,
    discarded: str | None,
    replace: bool,
    dry_run: bool,
    json_lines: bool,
    yes: bool,
    lock_wait: float,
    max_downtime: float | None,
    hold: bool,
    on_failure: str,
) -> None:
    """Restore a backup to this site or to a new one, and run the version that it belongs to.

    NAME is the name of a backup, the beginning of one, `latest`, or the path of a backup's directory. The backup is
    loaded next to the current data and checked, then swapped in. The current data is kept under another name until
    the next deployment.
    """
    from graasp_local.backup.store import is_path
    from graasp_local.cli.operating import OperationOptions, operation, refusals_as_json
    from graasp_local.planning.requests import OnFailure, Restore

    agreed = replace or bool(discarded)
    if is_path(name):
        name = str(Path(name).absolute())  # the journal shows the command as it can be typed again, anywhere
    # A person who gets past the question has agreed to it.
    request = Restore(name, only, replace_what_is_there=not dry_run, hold=hold, on_failure=OnFailure(on_failure))
    with refusals_as_json(wanted=json_lines):
        context.refuse_if_not_ours()
        if not (agreed or dry_run):
            _agree(context, request, may_ask=not (yes or json_lines))
    options = OperationOptions(
        dry_run=dry_run,
        as_json=json_lines,
        ask=not (agreed or yes or json_lines),
        lock_wait=lock_wait,
        max_downtime=max_downtime,
    )
    operation(context, request, options)


def _agree(context: Context, request: Restore, *, may_ask: bool) -> None:
    """Say what will be replaced and ask for the site's name. Raises Refused if it is not typed, or cannot be."""
    from graasp_local.errors import Refused
    from graasp_local.operations import restores
    from graasp_local.wording import listed

    project = context.site.settings.project
    backup, databases, volumes = restores.wanted_parts(context.site, request)
    if context.site.selected_version is None:
        return  # nothing was deployed here yet, so nothing is replaced
    replaced = f"{listed((*databases, *volumes))} of this site will be replaced by those of {backup.manifest.name}"
    if not (may_ask and can_ask()):
        raise Refused(f"{replaced}.", "Nothing was changed.", "Add --discard current-data to confirm.")
    say(f"{replaced}. The current data is kept under another name until the next deployment.", err=True)
    if (
        click.prompt(f"Type the site's name ({project}) to continue", default="", show_default=False, err=True)
        != project
    ):
        raise Refused("That is not the site's name.", "Nothing was changed.")
