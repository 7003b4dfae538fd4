"""`graasp-local backup`, and its `list`, `verify` and `settings`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, narrate_command, pass_context, print_json
from graasp_local.cli.speaking import can_ask, say
from graasp_local.errors import GraaspLocalError, Refused, UsageError

if TYPE_CHECKING:
    from graasp_local.backup.store import DamagedBackup, StoredBackup
    from graasp_local.ports.world import World

PASSPHRASE_VARIABLE = "GRAASP_LOCAL_BACKUP_PASSPHRASE"  # noqa: S105 - its name, not its value

Result = TypeVar("Result")

_json = click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
_passphrase_file = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"Read the passphrase for .env from the first line of this file. Default: ${PASSPHRASE_VARIABLE}.",
)


@click.group("backup", invoke_without_command=True)
@_passphrase_file
@options.lock_wait
@_json
@click.pass_context
def command(ctx: click.Context, passphrase_file: Path | None, lock_wait: float, *, json_object: bool) -> None:
    """Back up the site: its databases, its files, and .env if there is a passphrase to encrypt it with.

    The site keeps running. Each database is consistent in itself; files may be newer than the databases. The backup
    is read back and checked before it is kept. `graasp-local restore` restores it, here or on another machine.
    """
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.find_object(Context) or Context(None)
    with _failures_as_json(wanted=json_object):
        passphrase = _passphrase(passphrase_file)
        backup = _with_world(
            context, json_object, lambda world: _take(world, passphrase, lock_wait, silent=json_object)
        )
        if json_object:
            print_json({"outcome": "done", **_told(backup)})
        else:
            say(backup.directory)
            if passphrase is None:
                say(".env is not included: keep a copy elsewhere, or pass --passphrase-file.", err=True)


@command.command("list")
@_json
@pass_context
def list_backups(context: Context, *, json_object: bool) -> None:
    """List the site's backups, newest first."""
    from graasp_local.backup.store import BackupStore

    _ = context.site.settings
    every = BackupStore.of(context.site).all()
    if json_object:
        print_json([_told(backup) for backup in reversed(every)])
    elif not every:
        say("No backups yet. `graasp-local backup` takes one.", err=True)
    else:
        _print_list(every)


@command.command("verify", short_help="Read a whole backup and check it.")
@click.argument("name", default="latest")
@click.option(
    "--trial-restore", is_flag=True, help="Also load each dump into a temporary database and compare the rows."
)
@options.lock_wait
@_json
@pass_context
def verify(context: Context, name: str, *, trial_restore: bool, lock_wait: float, json_object: bool) -> None:
    """Read a whole backup and check it: sizes, SHA-256 checksums, every dump with pg_restore, every archive header.

    NAME is the name of a backup, the beginning of one, `latest`, or the path of a backup's directory.
    """
    with _failures_as_json(wanted=json_object):
        backup = _with_world(
            context,
            json_object,
            lambda world: _verify(world, name, lock_wait, trial_restore=trial_restore, silent=json_object),
        )
        if json_object:
            print_json({"outcome": "done", "trial_restore": trial_restore, **_told(backup)})
        else:
            how = "complete, and its trial restore succeeded" if trial_restore else "complete"
            say(f"{backup.manifest.name} is {how}.")


@command.command("settings")
@click.argument("name", default="latest")
@_passphrase_file
@pass_context
def settings(context: Context, name: str, passphrase_file: Path | None) -> None:
    """Print the .env from a backup. It contains every password of the site.

    NAME is the name of a backup, the beginning of one, `latest`, or the path of a backup's directory. With a path, no
    site is needed, so it works on a new machine too.
    """
    from graasp_local.backup.check import check_bytes
    from graasp_local.backup.sealing import unseal
    from graasp_local.backup.store import BackupStore, is_path

    store = BackupStore(Path.cwd()) if is_path(name) else BackupStore.of(context.site)
    backup = store.find(name)
    part = backup.manifest.settings
    if part is None:
        raise Refused(
            f"The backup {backup.manifest.name} does not include .env: it was taken without a passphrase.",
            "Nothing was changed.",
            "Use your own copy of .env.",
        )
    passphrase = _passphrase(passphrase_file)
    if passphrase is None and can_ask():
        passphrase = click.prompt("Passphrase", hide_input=True, err=True)
    if passphrase is None:
        raise UsageError("A passphrase is needed.", "", f"Pass --passphrase-file, or set {PASSPHRASE_VARIABLE}.")
    content = check_bytes(backup.path(part.stored.file), part.stored)
    text = unseal(content, passphrase).decode()
    if sys.stdout.isatty():
        say(text, nl=False)
    else:
        click.echo(text, nl=False)  # a file gets it unchanged


def _take(world: World, passphrase: str | None, lock_wait: float, *, silent: bool) -> StoredBackup:
    from graasp_local.backup.keep import delete_old_backups
    from graasp_local.backup.take import Everything, take_backup
    from graasp_local.cli.reports import followed
    from graasp_local.lock import Patience, held_lock
    from graasp_local.site import prepare

    prepare.refuse_if_not_ours(world.site)
    prepare.prepare(world.site)
    patience = Patience(lock_wait, world.clock, world.interruption)
    with held_lock(world.site.lock_file, "graasp-local backup", patience):
        backup = followed(take_backup(world, Everything(passphrase)), world.clock, silent=silent)
        for line in delete_old_backups(world):
            if not silent:
                say(line, err=True)
    return backup


def _verify(world: World, name: str, lock_wait: float, *, trial_restore: bool, silent: bool) -> StoredBackup:
    from graasp_local.backup import check
    from graasp_local.backup.store import BackupStore
    from graasp_local.backup.take import database_is_on, require_database
    from graasp_local.cli.reports import followed
    from graasp_local.lock import Patience, held_lock
    from graasp_local.site import prepare

    prepare.refuse_if_not_ours(world.site)
    backup = BackupStore.of(world.site).find(name)
    prepare.prepare(world.site)
    followed(check.check_backup(world, backup, backup.manifest.parts), world.clock, silent=silent)
    check.refuse_without_version(backup.manifest)
    if database_is_on(world):
        check.refuse_newer_postgres(world, backup.manifest)
    if trial_restore:
        require_database(world, f"{backup.manifest.name} is complete, but its dumps were not loaded.")
        patience = Patience(lock_wait, world.clock, world.interruption)
        with held_lock(world.site.lock_file, "graasp-local backup verify --trial-restore", patience):
            followed(check.trial_restore(world, backup), world.clock, silent=silent)
    return backup


def _with_world(context: Context, json_object: bool, act: Callable[[World], Result]) -> Result:
    from graasp_local.cli.operating import interruptible
    from graasp_local.clock import InterruptionFlag

    interruption = InterruptionFlag()
    world = context.world(interruption, (lambda _: None) if json_object else narrate_command)
    with interruptible(interruption):
        return act(world)


@contextmanager
def _failures_as_json(*, wanted: bool) -> Iterator[None]:
    try:
        yield
    except GraaspLocalError as error:
        if not wanted:
            raise
        print_json({"outcome": "failed", "exit_code": error.exit_code.value, "problem": list(error.sentences)})
        sys.exit(error.exit_code)


def _passphrase(file: Path | None) -> str | None:
    """From a file or the environment, never from the command line, which every user of the machine can read."""
    from graasp_local.backup.sealing import BYTE_ORDER_MARK, passphrase_in

    if file is None:
        return os.environ.get(PASSPHRASE_VARIABLE, "").removeprefix(BYTE_ORDER_MARK) or None
    return passphrase_in(file)


def _told(backup: StoredBackup | DamagedBackup) -> dict[str, Any]:
    from graasp_local.backup.manifest import as_json
    from graasp_local.backup.store import DamagedBackup

    if isinstance(backup, DamagedBackup):
        return {"name": backup.directory.name, "directory": str(backup.directory), "damage": backup.damage}
    return {**as_json(backup.manifest), "directory": str(backup.directory), "bytes": backup.manifest.bytes}


def _print_list(every: tuple[StoredBackup | DamagedBackup, ...]) -> None:
    from graasp_local.backup.moving import in_words
    from graasp_local.backup.store import DamagedBackup
    from graasp_local.cli.tables import print_table

    rows = []
    for backup in reversed(every):
        if isinstance(backup, DamagedBackup):
            rows.append((backup.directory.name, "", "", "", f"damaged: {backup.damage}"))
            continue
        manifest = backup.manifest
        holds = ", ".join(part.name for part in manifest.parts)
        at = manifest.at[:16].replace("T", " ")
        rows.append((manifest.name, at, manifest.version, in_words(manifest.bytes), holds))
    print_table(("BACKUP", "TAKEN (UTC)", "VERSION", "SIZE", "CONTENTS"), rows)
