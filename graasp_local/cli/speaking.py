"""How the command line speaks: every line through the filter for texts that others wrote. stdout is data, stderr is
narration."""

from __future__ import annotations

import os
from typing import Any

import click

from graasp_local.plain_text import plain_text


def say(text: object = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """A line; `style` is click's, and left away where NO_COLOR is set or no terminal listens."""
    plain = plain_text(str(text))
    styled = click.style(plain, **style) if style and not os.environ.get("NO_COLOR") else plain
    click.echo(styled, err=err, nl=nl)
