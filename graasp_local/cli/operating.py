"""Carries an operation out for a terminal or a script: the plan and the question first, the events, the exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Protocol

import click
from msgspec import Struct

from graasp_local.cli.context import Context, narrate_command, print_json, silence_output
from graasp_local.cli.forecast import show_plan
from graasp_local.cli.rotation import finish_rotation
from graasp_local.cli.speaking import can_ask, say
from graasp_local.clock import InterruptionFlag
from graasp_local.errors import ExitCode, GraaspLocalError
from graasp_local.journal.events import (
    Event,
    OperationEnded,
    OperationStarted,
    Probed,
    RollbackStarted,
    StepEnded,
    StepOutcome,
    StepOutput,
    StepStarted,
    as_json,
    ended_before_it_began,
    summary,
)
from graasp_local.planning.estimate import Estimate, refuse_longer
from graasp_local.planning.plan import Plan, render
from graasp_local.planning.requests import Deploy, Request
from graasp_local.ports.world import World
from graasp_local.version import Version
from graasp_local.wording import LEFT_AS_IT_IS, PUTTING_BACK, STOPPING, plain_text

if TYPE_CHECKING:
    from rich.status import Status


class OperationOptions(Struct, frozen=True):
    """How a person or script wants an operation run: `dry_run` only shows it, `ask` asks on a terminal first.

    `lock_wait` is how many seconds to wait for an operation that is already running; one that may close the site for
    more than `max_downtime` seconds is refused.
    """

    dry_run: bool
    as_json: bool
    ask: bool
    lock_wait: float = 0.0
    max_downtime: float | None = None


def operation(context: Context, request: Request, options: OperationOptions) -> NoReturn:
    """Plan, show, ask, carry out; exits the process with the documented exit code."""
    from graasp_local.operations import run
    from graasp_local.operations.plans import Shown, downtime_estimate, shown_plan

    interruption = InterruptionFlag()
    code = ExitCode.UNEXPECTED
    with refusals_as_json(wanted=options.as_json):
        context.refuse_if_not_ours()
        finish_rotation(context)  # before there is a second thread, which would receive the signals that it blocks
        Thread(target=_load_in_background, daemon=True).start()
        world = context.world(interruption, (lambda _: None) if options.as_json else narrate_command)
        if isinstance(request, Deploy) and not options.lock_wait:
            # If the lock has to be waited for, what is read now could change during the wait.
            world.images.expect(Version.parse(request.version))
        _say_what_was_left(world)
        shown: Shown | None = None
        if options.dry_run or (options.ask and can_ask()):
            shown = shown_plan(world, request)
            estimate = downtime_estimate(world, shown.plan, shown.before)
            if options.dry_run:
                _show_dry_run(world, shown.plan, estimate, options)
                refuse_longer(shown.plan, estimate, options.max_downtime)
                sys.exit(ExitCode.DONE)
            refuse_longer(shown.plan, estimate, options.max_downtime)
            _show_plan(world, shown.plan, estimate)
            if shown.plan.steps and not click.confirm("Go ahead?", default=True, err=True):
                say("Nothing was changed.", err=True)
                sys.exit(ExitCode.DONE)
        with interruptible(interruption):
            printer = _Unbreakable(
                _JsonLines() if options.as_json else _Narration(world, already_shown=shown is not None)
            )
            _say_who_is_waited_for(world, options)
            wanted = run.RunOptions(shown, options.lock_wait, options.max_downtime)
            for event in run.run(world, request, wanted):
                printer.show(event)
                if isinstance(event, OperationEnded):
                    code = event.exit_code
    sys.exit(code)


def _load_in_background() -> None:
    """Load what every operation needs while the first requests wait for the engine."""
    # A missing or broken module is reported where it is needed.
    with suppress(Exception):
        # In the order in which they are needed.
        import_module("docker")
        import_module("psycopg")
        import_module("python_on_whales")


def _say_what_was_left(world: World) -> None:
    """Every command that changes the site names an operation that was left unfinished, and how to continue."""
    from graasp_local.lock import current_holder

    left = world.site.history.seems_unfinished
    if left is not None and current_holder(world.site.lock_file) is None:
        say(
            f"The operation {left.operation} was left unfinished: `graasp-local resume` finishes it, `graasp-local "
            "rollback` undoes it.",
            err=True,
        )


def _say_who_is_waited_for(world: World, options: OperationOptions) -> None:
    from graasp_local.lock import current_holder

    holder = current_holder(world.site.lock_file) if options.lock_wait else None
    if holder is not None:
        say(f"Waiting up to {options.lock_wait:g} s for {holder.described()}.", err=True)


@contextmanager
def refusals_as_json(*, wanted: bool) -> Iterator[None]:
    """If JSON is wanted, a refusal before an operation begins ends with the same last JSON line as an operation."""
    try:
        yield
    except GraaspLocalError as error:
        if not wanted:
            raise
        print_json(as_json(ended_before_it_began(error)))
        sys.exit(error.exit_code)


def _show_dry_run(world: World, plan: Plan, estimate: Estimate | None, options: OperationOptions) -> None:
    from graasp_local.site.check import told_powers

    if not options.as_json:
        _show_plan(world, plan, estimate, err=False)
        return
    started = as_json(OperationStarted("", "", plan))
    print_json(
        {
            "event": "plan",
            **{key: started[key] for key in ("target", "version", "plan")},
            "estimated_downtime_seconds": round(estimate.seconds, 1) if estimate else None,
            "forecast": estimate.as_json() if estimate else None,
            "hint": plan.hint,
            "powers": list(told_powers(world.site)),
        }
    )


def _show_plan(world: World, plan: Plan, estimate: Estimate | None, *, err: bool = True) -> None:
    from graasp_local.operations.plans import running_requests

    show_plan(world.site, plan, estimate, running_requests(world, plan), err=err)


class _Printer(Protocol):
    def show(self, event: Event) -> None: ...


class _Unbreakable:
    """Continues silently once its reader has left: an operation does not end because of that."""

    def __init__(self, printer: _Printer) -> None:
        self._printer: _Printer | None = printer

    def show(self, event: Event) -> None:
        if self._printer is None:
            return
        try:
            self._printer.show(event)
        except (OSError, SystemExit):  # rich exits the process when its pipe breaks
            self._printer = None
            silence_output()


class _JsonLines:
    def show(self, event: Event) -> None:
        print_json(as_json(event))
        sys.stdout.flush()


class _Narration:
    """Events for a person on stderr: a spinner on a terminal, plain lines otherwise; the summary on stdout."""

    def __init__(self, world: World, *, already_shown: bool) -> None:
        from rich.console import Console

        self._world = world
        self._already_shown = already_shown
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._titles: dict[int, str] = {}
        self._spinner: Status | None = None

    def show(self, event: Event) -> None:
        match event:
            case OperationStarted(plan=plan, forecast=estimate):
                if not self._already_shown and plan.steps:
                    _show_plan(self._world, plan, estimate)
            case RollbackStarted(plan=plan, problem=problem):
                self._console.print(plain_text(f"{problem[0]} Rolling back:"), markup=False, style="bold")
                say(render(plan), err=True)
            case StepStarted(index=index, title=title):
                self._titles[index] = title
                self._spin(title)
            case StepOutput(text=text):
                self._console.print(plain_text(f"      {text}"), markup=False)
            case StepEnded():
                self._stop_spinning()
                self._console.print(self._ended_line(event))
            case Probed(report=report):
                for line in report.as_lines():
                    self._console.print(f"  probe, {line}", markup=False)
            case OperationEnded():
                self._stop_spinning()
                for sentence in event.problem:
                    if sentence:
                        self._console.print(plain_text(sentence), markup=False, style="bold")
                say(summary(event))

    def _ended_line(self, event: StepEnded) -> str:
        from rich.markup import escape

        done = event.outcome is StepOutcome.DONE
        mark = "[green]✓[/green]" if done else "[red]✗[/red]"
        return f"  {mark} {escape(plain_text(self._titles[event.index]))}  [dim]{event.seconds:.2f} s[/dim]"

    def _spin(self, title: str) -> None:
        if self._console.is_terminal:
            from rich.text import Text

            self._spinner = self._console.status(Text(f"{plain_text(title)} …"))
            self._spinner.start()
        else:
            self._console.print(plain_text(f"  · {title}"), markup=False)

    def _stop_spinning(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None


@contextmanager
def interruptible(interruption: InterruptionFlag) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops at the next safe point; a second one quits at once and leaves things as they
    are.

    A rollback that is running continues after the first. SIGHUP comes from the end of an ssh session, often twice, not
    from an impatient person: it never quits at once. Signals that `nohup` or a script ignores stay ignored.
    """
    presses = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += number != signal.SIGHUP
        if presses > 1 and number != signal.SIGHUP:
            _say(LEFT_AS_IT_IS)
            # At once, without unwinding: nothing that is running is waited for.
            os._exit(ExitCode.INTERRUPTED)
        if interruption.is_ending:
            _say(PUTTING_BACK)
            return
        interruption.request()
        _say(STOPPING)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _say(sentence: str) -> None:
    # A closed terminal cannot be written to; that must not end the operation.
    with suppress(OSError):
        say(f"\n{sentence}", err=True)
