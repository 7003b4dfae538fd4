"""Adds to a plan, before its first step that touches the site, a trial of what the engine could refuse to start.

The plan is unchanged if the site has no override, or one with nothing that an engine could refuse.
"""

from __future__ import annotations

from msgspec.structs import replace

from graasp_local.planning.plan import Plan
from graasp_local.planning.steps import CheckStack
from graasp_local.ports.world import World
from graasp_local.stack.services import content_of, stack_directory
from graasp_local.stack.trial import services_to_try


def tried_first(world: World, plan: Plan) -> Plan:
    """Raises ConfigurationError if the override cannot be read."""
    override = world.site.override_file
    if not plan.services_started or not override.exists():
        return plan
    own = content_of(stack_directory() / "compose" / "demo.override.yaml")
    names = tuple(name for name in services_to_try(content_of(override), own) if name in plan.services_started)
    if not names:
        return plan
    trial = CheckStack(names, plan.version, f"the engine might refuse {override.name} only after the gate has closed")
    at = next(index for index, step in enumerate(plan.steps) if step.touches_site)
    return replace(plan, steps=(*plan.steps[:at], trial, *plan.steps[at:]))
