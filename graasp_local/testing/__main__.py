"""`python -m graasp_local.testing`: list the stacks that test runs have left; with --clean, remove them."""

from __future__ import annotations

import sys

import click

from graasp_local.errors import GraaspLocalError

_NOTHING = "Nothing is left of earlier test runs."


@click.command()
@click.option("--clean", is_flag=True, help="Remove every stack that no test run uses, kept and idle ones included.")
def command(*, clean: bool) -> None:
    """List test stacks that no test run is using any more: kept after a failure, or idle for the next run."""
    from graasp_local.testing.claims import Claims
    from graasp_local.testing.cleaning import remove_left

    claims = Claims()
    if clean:
        removed = list(remove_left(claims))
        for project in removed:
            click.echo(f"removed {project}")
        if not removed:
            click.echo(_NOTHING, err=True)
        return
    left = list(claims.left())
    if not left:
        click.echo(_NOTHING, err=True)
    for claim in left:
        record = claim.record
        click.echo(f"{record.project}  {record.left}  graasp-local --site {record.site} status")
        claim.release()


if __name__ == "__main__":
    try:
        command()
    except GraaspLocalError as error:
        click.echo("\n".join(error.sentences), err=True)
        sys.exit(error.exit_code)
