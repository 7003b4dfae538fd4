"""`graasp-local completion SHELL`, and the man page."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "man"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL, or the man page. Create the directory first if it does not exist.

    \b
    bash: graasp-local completion bash > ~/.local/share/bash-completion/completions/graasp-local
    zsh:  graasp-local completion zsh > ~/.zfunc/_graasp-local
    fish: graasp-local completion fish > ~/.config/fish/completions/graasp-local.fish
    man:  graasp-local completion man > ~/.local/share/man/man1/graasp-local.1

    zsh finds ~/.zfunc if ~/.zshrc has fpath+=(~/.zfunc) before compinit.
    """
    if shell == "man":
        from datetime import UTC, datetime

        from graasp_local import __version__
        from graasp_local.cli.main import cli
        from graasp_local.cli.man import man_page

        click.echo(man_page(cli, __version__, datetime.now(UTC).date()), nl=False)
        return
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    class Bash(BashComplete):
        @staticmethod
        def _check_version() -> None:
            """The script may be for another machine, so this one's bash does not matter."""

    shells: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}
    complete = shells[shell](ctx.find_root().command, {}, "graasp-local", "_GRAASP_LOCAL_COMPLETE")
    click.echo(complete.source())
