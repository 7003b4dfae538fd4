"""Two calm themes, dark and light: one accent, and one color each for ok, busy and bad."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="graasp-dark",
    primary="#a5a5ff",
    secondary="#7f8cff",
    accent="#a5a5ff",
    foreground="#e6e6f2",
    background="#14141f",
    surface="#1a1a28",
    panel="#242438",
    success="#7fd6a4",
    warning="#f0c674",
    error="#ff8f8f",
    dark=True,
    variables={"quiet": "#8d8da8", "here-text": "#14141f", "border": "#33334a"},
)

LIGHT = Theme(
    name="graasp-light",
    primary="#5050d2",
    secondary="#5050d2",
    accent="#5050d2",
    foreground="#1f1f33",
    background="#fbfbff",
    surface="#f3f3fa",
    panel="#e6e6f3",
    success="#176a3f",
    warning="#8a5a00",
    error="#b42323",
    dark=False,
    variables={"quiet": "#62627c", "here-text": "#ffffff", "border": "#cfcfe4"},
)
