"""`graasp-local plan STATE`."""

from __future__ import annotations

import click

from graasp_local.cli.apply import STATE
from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.planning.states import (
    Gate,
    Health,
    InfraState,
    ObservedService,
    ObservedState,
    ServiceGroup,
    Status,
    row_of,
)


@click.command("plan")
@click.argument("state", type=STATE)
@click.option(
    "--from", "from_state", type=STATE, help="Plan from this state instead of the current one. Needs no engine."
)
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, state: str, from_state: str | None, *, json_object: bool) -> None:
    """Show what `apply STATE` would do, step by step, and why. Changes nothing."""
    from graasp_local.cli.forecast import show_plan
    from graasp_local.journal.events import OperationStarted, as_json
    from graasp_local.planning.plan_transition import plan_transition
    from graasp_local.site.check import told_powers

    target, estimate, running = InfraState(state), None, ""
    if from_state:
        plan = plan_transition(_as_if_in(context, InfraState(from_state)), target)
    else:
        from graasp_local.clock import InterruptionFlag
        from graasp_local.operations.plans import downtime_estimate, running_requests, shown_plan
        from graasp_local.planning.requests import ChangeState

        world = context.world(InterruptionFlag())
        shown = shown_plan(world, ChangeState(target))
        plan, estimate = shown.plan, downtime_estimate(world, shown.plan, shown.before)
        running = running_requests(world, plan)
    if json_object:
        told = as_json(OperationStarted("", "", plan))
        print_json(
            {
                "target": told["target"],
                "plan": told["plan"],
                "forecast": estimate.as_json() if estimate else None,
                "powers": list(told_powers(context.site)),
            }
        )
    else:
        show_plan(context.site, plan, estimate, running, err=False)


def _as_if_in(context: Context, state: InfraState) -> ObservedState:
    """The site as it would be observed in a state."""
    page = context.site.settings.page_when_stopped
    row = row_of(state, page_when_stopped=page)
    services = tuple(
        ObservedService(service.name, service.group, Status.RUNNING, Health.HEALTHY)
        if service.group in row.groups_on
        else ObservedService(service.name, service.group, Status.EXITED)
        for service in context.site.services
        if service.group != "migration"
    )
    gate = row.gate if ServiceGroup.EDGE in row.groups_on else Gate.UNKNOWN
    return ObservedState(services, gate, page_when_stopped=page)
