"""`graasp-local restore NAME`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.planning.requests import Restore


@click.command("restore")
@click.argument("name")
@click.option("--only", multiple=True, metavar="PART", help="Bring back this part alone, such as graasp or files.")
@click.option(
    "--replace-what-is-there", "replace", is_flag=True, help="Ask nothing: what the site holds now may be replaced."
)
@options.dry_run
@options.json_lines
@options.lock_wait
@options.max_downtime
@click.option("--hold", is_flag=True, help="Stop in restricted with what was restored, to test it with the bypass.")
@options.on_failure
@pass_context
def command(
    context: Context,
    name: str,
    only: tuple[str, ...],
    *,
    replace: bool,
    dry_run: bool,
    json_lines: bool,
    lock_wait: float,
    max_downtime: float | None,
    hold: bool,
    on_failure: str,
) -> None:
    """Bring a backup back, onto this site or onto a new one, and run the version that it belongs to.

    NAME is a backup's name, its beginning, `latest`, or the path of its directory. Everything is loaded beside what is
    there and proven; then it takes its place by renames, and what was there is kept under another name.
    """
    from graasp_local.cli.walking import How, refusals_as_json, walk
    from graasp_local.planning.requests import OnFailure, Restore

    # Whoever comes past the question has agreed to it.
    request = Restore(name, only, replace_what_is_there=not dry_run, hold=hold, on_failure=OnFailure(on_failure))
    with refusals_as_json(wanted=json_lines):
        context.refuse_if_not_ours()
        if not (replace or dry_run):
            _agree(context, request, may_ask=not json_lines)
    how = How(
        dry_run=dry_run,
        as_json=json_lines,
        ask=not replace and not json_lines,
        lock_wait=lock_wait,
        max_downtime=max_downtime,
    )
    walk(context, request, how)


def _agree(context: Context, request: Restore, *, may_ask: bool) -> None:
    """Say what will be replaced and have the site's name typed. Raises Refused where it is not, or cannot be."""
    from graasp_local.errors import Refused
    from graasp_local.operations import restores
    from graasp_local.wording import listed

    project = context.site.settings.project
    backup, databases, volumes = restores.wanted_parts(context.site, request)
    if context.site.selected_version is None:
        return  # nothing was deployed here yet: nothing is replaced
    replaced = f"{listed((*databases, *volumes))} of this site would be replaced by those of {backup.manifest.name}"
    if not (may_ask and sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{replaced}.", "Nothing was changed.", "If that is what you want, add --replace-what-is-there.")
    say(f"{replaced}. What is there now is kept under another name until the next deployment.", err=True)
    if click.prompt(f"Type the site's name ({project}) to go on", default="", show_default=False, err=True) != project:
        raise Refused("That is not the site's name.", "Nothing was changed.")
