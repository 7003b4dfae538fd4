"""Which keys work where: the hints in each screen's key bar, from the table of verbs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.drawing.trouble import Trouble, TroubleKind
from graasp_local.verbs import Effect, shown_key, verb

if TYPE_CHECKING:
    from graasp_local.tui.model import SiteView
    from graasp_local.tui.operation_view import OperationView

LAST: tuple[KeyHint, ...] = (("?", "Help", "app.verb('help')"), ("q", "Quit", "app.verb('quit')"))
BACK: KeyHint = ("esc", "Back", "app.back")


def hint(name: str, label: str = "") -> KeyHint:
    """The hint for a verb."""
    row = verb(name)
    return shown_key(row.key), label or row.label, f"app.verb('{name}')"


def dashboard_hints(
    view: SiteView | None,
    trouble: Trouble | None,
    operation: OperationView | None,
    selected: str | None,
    *,
    read_only: bool,
) -> tuple[KeyHint, ...]:
    """For the dashboard: what can be done with the site now, then with the selected service.

    `operation` is the one that is running.
    """
    if trouble is not None:
        names = ["init"] if trouble.kind is TroubleKind.NO_SITE else []
        return tuple(hint(name) for name in _allowed([*names, "status"], read_only=read_only))
    if view is None:
        return ()
    unfinished = ["resume"] if view.unfinished is not None else []
    unfinished += ["rollback"] if view.unfinished is not None and view.unfinished.can_be_undone else []
    last = view.last_deployment
    can_be_undone = last is not None and last.can_be_undone and not last.is_rollback
    undo = ["rollback"] if can_be_undone and not unfinished else []
    names = ["watch"] if operation else [*unfinished, "deploy", "apply", *undo]
    names += ["logs", "history", "details"]
    service = view.service(selected)
    if service is not None and service.runs:
        names += ["shell"] if operation else ["shell", "restart"]
    names += [] if operation else ["restore"]
    names += ["bypass", "maintenance-page", "theme"]
    return tuple(hint(name) for name in _allowed(names, read_only=read_only))


def log_hints(*, alone: bool) -> tuple[KeyHint, ...]:
    """For logs that have the focus."""
    back = (BACK,) if alone else ()
    return (
        *back,
        ("/", "Filter", "app.log_action('filter')"),
        ("space", "Pause", "app.log_action('pause')"),
        ("f", "Follow", "app.log_action('follow')"),
        ("a", "All/one", "app.log_action('all')"),
        ("y", "Copy", "app.log_action('copy')"),
        ("w", "Wrap", "app.log_action('wrap')"),
        ("T", "Times", "app.log_action('times')"),
        ("]", "Further back", "app.log_action('longer')"),
    )


def operation_hints(operation: OperationView | None, *, own: bool) -> tuple[KeyHint, ...]:
    """For an operation: while it is running, it can be interrupted in the UI that started it."""
    interrupt = (
        (("x", "Interrupt", "screen.interrupt"),) if own and operation is not None and not operation.is_over else ()
    )
    return (BACK, *interrupt, ("enter", "Read the step", "screen.read"))


def _allowed(names: list[str], *, read_only: bool) -> list[str]:
    return [name for name in names if not read_only or verb(name).effect is Effect.LOOKS]


def ending_hints(operation: OperationView, *, read_only: bool) -> tuple[KeyHint, ...]:
    """What can be done after an operation that has just ended."""
    from graasp_local.tui.operation_view import what_now

    possible = dict(what_now(operation))
    return tuple(hint(name, possible[name]) for name in _allowed([*possible], read_only=read_only))
