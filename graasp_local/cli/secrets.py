"""`graasp-local secrets list` and `graasp-local secrets rotate`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import can_ask, say
from graasp_local.errors import ExitCode, NeedsYou, Refused, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from graasp_local.planning.plan import Plan
    from graasp_local.planning.requests import Rotate
    from graasp_local.settings import Setting
    from graasp_local.settings.rotation import Rotation


@click.group("secrets")
def command() -> None:
    """List the secrets of the site, or rotate them."""


@command.command("list", short_help="List the secrets; values are never shown.")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def list_secrets(context: Context, *, json_object: bool) -> None:
    """List the secrets: length, last rotation, and what a new value breaks. Values are never shown."""
    from graasp_local.cli.tables import print_table
    from graasp_local.settings import SETTINGS
    from graasp_local.settings.rotation import breaks, rotatable
    from graasp_local.site.rotate import ages

    values = context.site.settings.values
    external = context.site.settings.external_database is not None
    rotated = ages(context.site)
    can_be = {setting.key for setting in rotatable(external=external)}
    told = [
        {
            "key": setting.key,
            "length": len(values[setting.key]),
            "rotatable": setting.key in can_be,
            "rotated": rotated.get(setting.key),
            "breaks": breaks(setting),
        }
        for setting in SETTINGS
        if setting.secret is not None
    ]
    if json_object:
        print_json({"secrets": told})
        return
    rows = [
        (
            str(secret["key"]),
            str(secret["length"]),
            str(secret["rotated"] or "unknown")[:10],
            str(secret["breaks"] if secret["rotatable"] else "Cannot be rotated here."),
        )
        for secret in told
    ]
    print_table(["SECRET", "LENGTH", "ROTATED", "A NEW VALUE"], rows)


@command.command("rotate", short_help="Give secrets new values and recreate what uses them.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Rotate every secret that can be rotated.")
@options.dry_run
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON line for each event; needs --yes.")
@click.option(
    "-y",
    "--yes",
    is_flag=True,
    help="Do not ask for confirmation. Required without a terminal, because new secrets can log users out.",
)
@pass_context
def rotate(
    context: Context, names: tuple[str, ...], *, every: bool, dry_run: bool, json_lines: bool, yes: bool
) -> None:
    """Give secrets new values, in .env and in the database, and recreate the services that use them.

    Shows what the new values break before it asks. Without a NAME, it finishes an interrupted rotation.
    """
    from graasp_local.cli.operating import OperationOptions, operation, refusals_as_json
    from graasp_local.cli.rotation import finish_rotation, uninterrupted
    from graasp_local.planning.plan import render
    from graasp_local.planning.requests import Rotate
    from graasp_local.settings.rotation import chosen, new_rotation, rotatable

    with refusals_as_json(wanted=json_lines):
        context.refuse_if_not_ours()
        finished = finish_rotation(context)
        if finished and not names and not every:
            say("`graasp-local status` shows which services have to be recreated.", err=True)
            sys.exit(ExitCode.DONE)
        if not names and not every:
            raise UsageError(
                "No secret was named.",
                "Nothing was changed.",
                "Name one from `graasp-local secrets list`, or pass --all.",
            )
        external = context.site.settings.external_database is not None
        settings = rotatable(external=external) if every else chosen(names, external=external)
        request = Rotate(tuple(setting.key for setting in settings))
        plan = _way_into_effect(context, request)
        _say_what_breaks(settings)
        if plan is not None and dry_run:
            say(render(plan))
        if dry_run:
            sys.exit(ExitCode.DONE)
        _agree(yes=yes, may_ask=not json_lines and can_ask())
        with uninterrupted():
            kept = _rotate(context, new_rotation(settings), names)
        say(f"The new values are in .env. The old file was kept as {kept}; remove it once everything works.", err=True)
        if json_lines:
            keys = [setting.key for setting in settings]
            print_json({"event": "secrets-rotated", "keys": keys, "kept": str(kept)})
    context.forget_site()
    if plan is None:
        say("No service has to be recreated.", err=True)
        sys.exit(ExitCode.DONE)
    operation(context, request, OperationOptions(dry_run=False, as_json=json_lines, ask=False))


def _way_into_effect(context: Context, request: Rotate) -> Plan | None:
    """The plan that recreates the services that use the secrets; None if there are none to recreate.

    Raises Refused if the site is not in a state that it could return to.
    """
    from graasp_local.clock import InterruptionFlag
    from graasp_local.operations.plans import shown_plan
    from graasp_local.planning.states import Absent, Drifted, classify

    world = context.world(InterruptionFlag())
    match classify(world.observe()):
        case Absent():
            return None
        case Drifted() as drifted:
            raise Refused(
                f"The site has drifted: {drifted.differences[0]}",
                "Nothing was changed: new secrets would hide the cause.",
                f"Fix that first: `{drifted.fixing_command}`.",
            )
        case _:
            plan = shown_plan(world, request).plan
            return plan if plan.steps else None


def _say_what_breaks(settings: Sequence[Setting]) -> None:
    from graasp_local.settings.rotation import breaks

    for setting in settings:
        say(f"{setting.key}: {breaks(setting)}", err=True)


def _agree(*, yes: bool, may_ask: bool) -> None:
    if yes:
        return
    if not may_ask:
        raise Refused("New secrets would break what is listed above.", "Nothing was changed.", "Add --yes to confirm.")
    if not click.confirm("Go ahead?", default=False, err=True):
        say("Nothing was changed.", err=True)
        sys.exit(ExitCode.DONE)


def _rotate(context: Context, rotation: Rotation, names: Sequence[str]) -> Path:
    from graasp_local.cli.rotation import roles_of
    from graasp_local.clock import SystemClock
    from graasp_local.lock import held_lock
    from graasp_local.site import prepare
    from graasp_local.site.rotate import rotate as rotate_secrets

    site = context.site
    prepare.refuse_if_not_ours(site)
    prepare.prepare(site)
    with held_lock(site.lock_file, f"graasp-local secrets rotate {shlex.join(names)}".strip()):
        try:
            return rotate_secrets(site, rotation, roles_of(context), SystemClock())
        except NeedsYou as error:
            if site.rotation_file.exists():
                raise
            raise Refused(
                error.what,
                "Nothing was changed: database passwords are changed in the database too, so it has to be running.",
                "If it is off, `graasp-local apply db-only` starts it.",
            ) from error
