"""How the command line prints, and whether it may ask. Every line goes through the filter for text from elsewhere.
stdout is data, stderr is narration."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from graasp_local.wording import plain_text


def say(text: object = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print a line; `style` is click's, and is dropped if NO_COLOR is set or the output is not a terminal."""
    plain = plain_text(str(text))
    styled = click.style(plain, **style) if style and not os.environ.get("NO_COLOR") else plain
    click.echo(styled, err=err, nl=nl)


def can_ask() -> bool:
    """Whether there is a person to ask: questions go to stderr, since stdout is data."""
    return sys.stdin.isatty() and sys.stderr.isatty()
