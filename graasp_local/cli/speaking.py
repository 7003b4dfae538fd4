"""How the command line prints: every line goes through the filter for text from elsewhere. stdout is data, stderr is
narration."""

from __future__ import annotations

import os
from typing import Any

import click

from graasp_local.wording import plain_text


def say(text: object = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print a line; `style` is click's, and is dropped if NO_COLOR is set or the output is not a terminal."""
    plain = plain_text(str(text))
    styled = click.style(plain, **style) if style and not os.environ.get("NO_COLOR") else plain
    click.echo(styled, err=err, nl=nl)
