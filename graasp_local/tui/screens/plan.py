"""The plan before anything happens: every step with its cause, how long the site will be closed, and a yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct
from msgspec.structs import replace
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import sentences_of
from graasp_local.planning.plan import Strategy
from graasp_local.planning.requests import (
    ChangeState,
    Deploy,
    Request,
    Restore,
    Resume,
    Rollback,
    Rotate,
    Scale,
    UpgradeDatabase,
)
from graasp_local.tui.drawing.operation import plan_head, plan_table, refusal_lines
from graasp_local.tui.model import Reception
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.confirm import ConfirmByName
from graasp_local.tui.tones import Line, Tone, plain
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.operations.plans import Shown


class PlanMade(Struct, frozen=True):
    """The plan for a request; `estimate` is in words, empty if the site stays open."""

    request: Request
    shown: Shown
    estimate: str
    visited: tuple[str, ...]
    """The services that visitors reach."""
    powers: tuple[str, ...]
    """What the site's own compose file asks of the machine, and which requests are running, in sentences."""
    reasons: Mapping[str, str]
    """By step name, how long each step that counts keeps the site closed, and what that figure is based on."""


class PlanScreen(UiScreen):
    """Goes ahead on `y`; leaving in any other way does not change the site."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "go", show=False),
        Binding("a", "other_way", show=False),
        Binding("n,escape", "leave", show=False),
    ]

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._made: PlanMade | None = None
        self._was_told_of_more = False
        self._is_refused = False

    def compose(self) -> ComposeResult:
        yield Lines(self._title, id="title", classes="title")
        yield Lines(
            lambda width: (plain("Running the checks. Nothing is changed yet …", Tone.QUIET),),
            id="head",
            classes="gap",
        )
        yield Rows(id="steps", cursor=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._keys()
        self._plan()

    def _show(self, made: PlanMade) -> None:
        self._made = made
        reception = self.ui.view.reception if self.ui.view is not None else Reception.NOTHING
        closes = self._only_closes_what_was_left
        self.show(
            "head",
            lambda width: plan_head(
                made.shown.plan,
                made.estimate,
                reception,
                width,
                visited=made.visited,
                closes_what_was_left=closes,
                powers=made.powers,
            ),
        )
        self.query_one(Rows).show(lambda width: plan_table(made.shown.plan, width, made.reasons))
        self._keys()

    def action_leave(self) -> None:
        """Go back; after a refusal, to the list that the refused choice came from."""
        self.ui.pop_screen()
        if self._is_refused:
            self.ui.verbs.choose_again(self._request)

    def _show_refusal(self, sentences: tuple[str, ...]) -> None:
        self._is_refused = True
        self._keys()
        self.show("head", lambda width: refusal_lines(sentences, width))

    def _ask_about_loss(self, what: str) -> None:
        """Nothing is discarded unless the site's name is typed; after that, the plan still needs confirmation."""
        name = self.ui.view.project if self.ui.view is not None else ""
        said = (f"{what} will disappear from the site.", "To keep a copy, take a backup first.")
        question = ConfirmByName("Rolling back discards everything written since", said, name)
        self.ui.push_screen(question, self._discard_if)

    def _discard_if(self, typed: bool | None) -> None:
        if not typed:
            self.ui.pop_screen()
            return
        self._ask_for(Rollback(discard_written_since=True))

    def action_go(self) -> None:
        if self._made is not None and self._is_ready:
            # Count only the first line of each step; the rest of a step whose title was seen is its cause.
            below = sum(key.endswith(" 0") for key in self.query_one(Rows).keys_never_seen)
            if below and not self._was_told_of_more:
                self._was_told_of_more = True
                count = "One more step is" if below == 1 else f"{below} more steps are"
                self.ui.notify(
                    f"{count} below. Press j or G to see the rest, or y again to go ahead.", severity="warning"
                )
                return
            self.app.clear_notifications()  # what was said about the plan must not cover the operation
            self.ui.pop_screen()
            self.ui.start_operation(self._made)

    def action_other_way(self) -> None:
        """Plan the same with the plan's alternative strategy; that plan is shown before anything happens."""
        alternative = self._alternative
        if alternative is None or not isinstance(self._request, Deploy):
            return
        self._ask_for(replace(self._request, strategy=alternative))

    def _ask_for(self, request: Request) -> None:
        """Plan this request instead."""
        self._request, self._made, self._was_told_of_more, self._is_refused = request, None, False, False
        self.show("title", self._title)
        self._keys()
        self._plan()

    def _title(self, width: int) -> tuple[Line, ...]:
        return (plain(headline(self._request), Tone.STRONG),)

    @property
    def _alternative(self) -> Strategy | None:
        return self._made.shown.plan.alternative if self._made is not None else None

    @property
    def _is_ready(self) -> bool:
        return self._made is not None and (bool(self._made.shown.plan.steps) or self._only_closes_what_was_left)

    @property
    def _only_closes_what_was_left(self) -> bool:
        """Whether a deployment was killed after its last step, so that only its end in the journal is missing."""
        if self._made is None or self._made.shown.plan.steps or self._made.shown.plan.version is None:
            return False
        return self.ui.view is not None and self.ui.view.unfinished is not None

    @work(thread=True, exclusive=True, exit_on_error=False, group="plan")
    def _plan(self) -> None:
        from graasp_local.operations.plans import downtime_estimate, running_requests, shown_plan
        from graasp_local.operations.rollback import loss
        from graasp_local.site.check import told_powers

        access = self.ui.access
        try:
            world = access.world(access.site(), InterruptionFlag(), lambda _: None)
            lost = loss(world, world.observe()) if self._request == Rollback() else None
            if lost is not None:
                self.call_later(self._ask_about_loss, lost.described())
                return
            shown = shown_plan(world, self._request)
            estimate = downtime_estimate(world, shown.plan, shown.before)
            words = estimate.described() if estimate is not None else ""
            reasons = estimate.reasons() if estimate is not None else {}
            running = running_requests(world, shown.plan)
            visited, powers = world.handovers.visited(), (*told_powers(world.site), *filter(None, [running]))
            self.call_later(self._show, PlanMade(self._request, shown, words, visited, powers, reasons))
        except Exception as error:  # the person waits for an answer, whatever is wrong
            self.call_later(self._show_refusal, sentences_of(error))

    def _keys(self) -> None:
        ready = self._is_ready
        go = (("y", "Go ahead", "screen.go"),) if ready else ()
        other = (("a", "Without closing the site", "screen.other_way"),) if self._alternative is not None else ()
        leave = ("n", "Cancel", "screen.leave") if ready else ("esc", "Back", "screen.leave")
        self.query_one(KeyBar).show_keys((*go, *other, leave, ("j k", "Scroll", "")) if ready else (leave,), ())


def headline(request: Request) -> str:
    """The request as a heading. Pure."""
    match request:
        case ChangeState(state=state):
            return f"Change the state to {state}"
        case Deploy(version=version, hold=hold, strategy=strategy):
            held = " and hold it behind the gate" if hold else ""
            how = " without closing the site" if strategy is Strategy.ROLLING else ""
            return f"Deploy {version}{held}{how}"
        case Resume():
            return "Finish what was left unfinished"
        case Rollback(discard_written_since=discard):
            return "Undo the last deployment" + (" and discard what was written since" if discard else "")
        case Restore(backup=backup):
            return f"Restore the backup {backup}"
        case UpgradeDatabase() | Rotate() | Scale():
            return request.command
