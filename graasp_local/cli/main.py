"""The entry point: finds the verb, imports only its module, and turns errors into sentences and exit codes."""

from __future__ import annotations

import gc
import importlib
import io
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from graasp_local import __version__
from graasp_local.cli import examples
from graasp_local.cli.context import Context, silence_output
from graasp_local.cli.speaking import say
from graasp_local.cli.surroundings import forget_variables, open_missing_descriptors, speak_utf8
from graasp_local.errors import ExitCode, exit_code_of, sentences_of
from graasp_local.verbs import COMMAND_LINE_VERBS

# Imports stay in memory: collecting garbage among them every 700 objects would take a tenth of a `status`.
gc.set_threshold(50_000, 20, 20)

_EXIT_CODES = """\
\b
Exit codes:
   0  done
   1  unexpected error
   2  mistake in the command, in .env or in compose.override.yaml
   3  no Docker engine answers, or Compose v2 is missing
  10  refused: a check failed before anything was changed
  11  locked: another graasp-local command is running on this site
  20  failed and rolled back: the old version serves again
  21  failed, needs you: the last lines say what to type
 130  interrupted
"""


class _Verbs(click.Group):
    """Imports a verb's module only when the verb is called: `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMAND_LINE_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMAND_LINE_VERBS:
            return None
        command: click.Command = importlib.import_module(f"graasp_local.cli.{cmd_name.replace('-', '_')}").command
        examples.add_to(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMAND_LINE_VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMAND_LINE_VERBS:
            import difflib

            near = difflib.get_close_matches(name, COMMAND_LINE_VERBS, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"Unknown command `{name[:64]}`.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    invoke_without_command=True,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="graasp-local")
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    envvar="GRAASP_LOCAL_SITE",
    help=(
        "The site's directory. Default: $GRAASP_LOCAL_SITE, otherwise this directory or the nearest parent that "
        "is a site."
    ),
)
@click.pass_context
def cli(ctx: click.Context, site: Path | None) -> None:
    """Run and deploy a self-hosted Graasp.

    A site is in one of four states: running, restricted (visitors see a maintenance page, unless they send the
    maintenance header), db-only (only the database and umami are on, behind the maintenance page) or stopped
    (everything is off; with STOPPED_PAGE=on, nginx still shows the maintenance page).
    """
    os.umask(os.umask(0o022) | 0o022)  # what is created in a site must not be writable by others
    ctx.obj = Context(site)
    if ctx.invoked_subcommand is not None:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        from graasp_local.cli.tui import open_tui

        open_tui(site, read_only=False)
    say(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and exit with the documented exit code."""
    speak_utf8()
    open_missing_descriptors()
    forget_variables(os.environ)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # Like Ctrl-C, so that what a command has started is ended with it. An operation has its own handlers.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = run()
    if _reader_has_left():
        silence_output()  # what is still buffered must not raise
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # At once: shutting the interpreter down can take as long as a command, only to free what the system frees anyway.
    os._exit(code)


def run() -> ExitCode:
    """Run the command line and return the documented exit code for the process."""
    try:
        cli.main(prog_name="graasp-local", standalone_mode=False)
        code = ExitCode.DONE
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n"), err=True)  # it repeats what was typed
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt) as error:
        # click raises it without a cause at a question, and from the KeyboardInterrupt anywhere else.
        is_at_a_question = isinstance(error, click.Abort) and error.__cause__ is None
        said = "nothing was changed." if is_at_a_question else "`graasp-local status` shows the state of the site."
        say(f"Interrupted: {said}", err=True)
        code = ExitCode.INTERRUPTED
    except SystemExit as error:
        # click and rich exit with 1 when the reader of the output has left (`| head`): that is not an error.
        code = ExitCode.DONE if error.code == 1 and _reader_has_left() else ExitCode(int(error.code or 0))
    except Exception as error:  # sentences, not a traceback
        code = exit_code_of(error)
        if code is ExitCode.UNEXPECTED and os.environ.get("GRAASP_LOCAL_DEBUG"):
            raise
        for sentence in sentences_of(error):
            say(sentence, err=True)
    return code


def _reader_has_left() -> bool:
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    main()
