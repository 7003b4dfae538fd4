"""`graasp-local apply STATE`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context
from graasp_local.planning.states import InfraState

STATE = click.Choice([state.value for state in InfraState])


@click.command("apply")
@click.argument("state", type=STATE)
@options.drain_limit
@options.dry_run
@options.json_lines
@click.option("-y", "--yes", is_flag=True, expose_value=False, help="Accepted for scripts: apply never asks.")
@options.lock_wait
@pass_context
def command(
    context: Context, state: str, *, drain_limit: float, dry_run: bool, json_lines: bool, lock_wait: float
) -> None:
    """Change the state of the site, from any of the four to any other.

    \b
    running     visitors are served
    restricted  visitors see the maintenance page, and everything is on
    db-only     visitors see the maintenance page, and only the database and umami are on
    stopped     everything is off, and visitors get no answer

    With STOPPED_PAGE=on in .env, nginx still shows the maintenance page in stopped.
    """
    from graasp_local.cli.operating import OperationOptions, operation
    from graasp_local.planning.requests import ChangeState

    options = OperationOptions(dry_run=dry_run, as_json=json_lines, ask=False, lock_wait=lock_wait)
    operation(context, ChangeState(InfraState(state), drain_limit), options)
