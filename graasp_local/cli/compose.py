"""`graasp-local compose -- …`."""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence

import click

from graasp_local.cli.context import Context, pass_context
from graasp_local.wording import plain_text


@click.command("compose", context_settings={"ignore_unknown_options": True})
@click.option(
    "--for-version", "version_text", help="Use this version instead of the selected one, and include `migrate`."
)
@click.option(
    "--for-database",
    "server",
    nargs=2,
    metavar="IMAGE VOLUME",
    help="Use this database server instead of the selected one, as an upgrade of Postgres does.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_context
def command(
    context: Context, version_text: str | None, server: tuple[str, str] | None, arguments: tuple[str, ...]
) -> None:
    """Run docker compose with the site's files, environment and project name, such as `compose -- ps`.

    This bypasses graasp-local's checks, its lock and its journal. Use it to inspect the site, or to repeat a command
    that graasp-local printed.
    """
    from graasp_local.engine.compose import site_files
    from graasp_local.engine.compose.verbs import Compose, compose_version, see_to_variables
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.engine.reach.addresses import is_on_this_machine
    from graasp_local.planning.server import DatabaseServer
    from graasp_local.site import prepare
    from graasp_local.site.selection import Release
    from graasp_local.version import Version

    if version_text and server:
        raise click.UsageError("Pass only one of --for-version and --for-database.")
    candidate = Version.parse(version_text) if version_text else DatabaseServer(*server) if server else None
    refuse_podman()
    prepare.refuse_if_not_ours(context.site)
    prepare.prepare(context.site)
    compose_version()
    see_to_variables(context.site)
    site_files.send(context.site)
    compose, selection = Compose(context.site, lambda _: None), context.site.selection
    if isinstance(candidate, Version) and candidate == selection.version:
        compose.use_release(Release(candidate, selection.images))
    words = ["docker", "compose", *compose.arguments(candidate), *arguments]
    if not is_on_this_machine():
        # The connection to the engine ends with this process.
        sys.exit(subprocess.run(words).returncode)
    if _is_of_the_terminal(arguments) or not (sys.stdout.isatty() or sys.stderr.isatty()):
        os.execvp("docker", words)  # noqa: S606
    os._exit(_shown_as_text(words))


_WITH_A_VALUE = (
    "--ansi",
    "--env-file",
    "-f",
    "--file",
    "--parallel",
    "--profile",
    "--progress",
    "-p",
    "--project-name",
)


def _is_of_the_terminal(arguments: Sequence[str]) -> bool:
    """Whether this runs a program in a container, which then has the terminal to itself."""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return word in ("attach", "exec", "run")
        if word in _WITH_A_VALUE:
            next(words, None)
    return False


def _shown_as_text(words: Sequence[str]) -> int:
    """Run a command and return its exit code; its output is stripped of everything that a terminal obeys."""
    signal.signal(signal.SIGINT, lambda *_: None)  # the command gets the signal too, and reports what it does
    pipes = {stream.fileno(): subprocess.PIPE if stream.isatty() else None for stream in (sys.stdout, sys.stderr)}
    with subprocess.Popen(words, stdout=pipes[1], stderr=pipes[2]) as process, selectors.DefaultSelector() as ready:
        for pipe, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            if pipe is not None:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                ready.register(pipe, selectors.EVENT_READ, (decoder, target))
        while ready.get_map():
            for key, _ in ready.select():
                decoder, target = key.data
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    ready.unregister(key.fileobj)
                target.write(plain_text(decoder.decode(piece, not piece)))
                target.flush()
        code = process.wait()
    return code if code >= 0 else 128 - code
