"""Shown instead of the dashboard when the site cannot be observed: what is wrong, and what to do. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from graasp_local.tui.figures import clock_time
from graasp_local.tui.tones import Line, Piece, Tone, paragraphs, plain


class TroubleKind(StrEnum):
    """Why there is no dashboard."""

    NO_SITE = "no-site"
    SETTINGS = "settings"
    ENGINE = "engine"


class Trouble(Struct, frozen=True):
    """Why the dashboard cannot be shown, with an explanation in sentences."""

    kind: TroubleKind
    sentences: tuple[str, ...]


_HEADLINES = {
    TroubleKind.NO_SITE: "There is no site here yet",
    TroubleKind.SETTINGS: "The site's settings cannot be used",
    TroubleKind.ENGINE: "The Docker engine does not answer",
}


def trouble_lines(
    trouble: Trouble, where: str, width: int, *, read_only: bool, seen_at: float | None = None
) -> tuple[Line, ...]:
    """A headline, the error's own sentences, and what this screen does until then.

    `seen_at` is when the site was last observed, if that is still shown below.
    """
    lines: list[Line] = [(), plain(f"✗ {_HEADLINES[trouble.kind]}", Tone.BAD), ()]
    lines += [*paragraphs(trouble.sentences, min(width, 76)), ()]
    match trouble.kind:
        case TroubleKind.NO_SITE if not read_only:
            lines.append(
                (Piece("i", Tone.KEY, "app.verb('init')"), Piece(f"  create a site in {where}, with generated secrets"))
            )
            lines.append(plain("   This starts nothing and overwrites nothing.", Tone.QUIET))
        case TroubleKind.SETTINGS:
            lines.append(plain("This screen updates as soon as the file is fixed.", Tone.QUIET))
        case _:
            lines.append(plain("graasp-local keeps trying; this screen updates as soon as it succeeds.", Tone.QUIET))
    if seen_at is not None:
        lines += [(), plain(f"Everything below is from {clock_time(seen_at)} and may be out of date:", Tone.BUSY)]
    return tuple(lines)
