"""`graasp-local resume`."""

from __future__ import annotations

import click

from graasp_local.cli.context import Context, pass_context


@click.command("resume")
@click.option(
    "--json", "json_lines", is_flag=True, help="JSON lines on stdout, one an event; the last has the outcome."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before starting. Without a terminal nothing is ever asked.")
@click.option(
    "--on-failure",
    type=click.Choice(["rollback", "hold"]),
    default="rollback",
    show_default=True,
    help="After a failure behind the closed gate: put the old version and its database back, or leave it for a look.",
)
@pass_context
def command(context: Context, *, json_lines: bool, yes: bool, on_failure: str) -> None:
    """Go on with a deployment that was killed, interrupted or held after a failure.

    Every step looks first and does only what is missing, so this is the same walk once more.
    """
    from graasp_local import walks
    from graasp_local.cli.walking import How, walk

    how = How(dry_run=False, as_json=json_lines, ask=not yes and not json_lines)
    walk(
        context,
        "resume",
        "graasp-local resume",
        how,
        lambda world: lambda observed: walks.resume_plan(world, observed),
        on_failure,
    )
