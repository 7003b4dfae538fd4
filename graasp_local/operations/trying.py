"""Adds to a plan, before its first step that touches the site, trials of what engines could refuse to start.

The plan is unchanged if the site has no override, or one with nothing that an engine could refuse, and is on one
machine.
"""

from __future__ import annotations

from msgspec.structs import replace

from graasp_local.planning.plan import Plan
from graasp_local.planning.steps import CheckStack, PullImages, RemakeNetworks, RestoreImages, ShareImages
from graasp_local.ports.world import World
from graasp_local.stack.on_swarm import SWARM_SERVICES
from graasp_local.stack.services import content_of, stack_directory
from graasp_local.stack.trial import services_to_try


def tried_first(world: World, plan: Plan) -> Plan:
    """Raises ConfigurationError if the override cannot be read."""
    plan = _on_every_machine(world, plan)
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


def _on_every_machine(world: World, plan: Plan) -> Plan:
    """With a check of the images on the machines of a Swarm: after the steps that get them, or first in a move to a
    Swarm, which has none of these. Any other change of state starts what ran there before, and needs no check.
    """
    version = plan.version or world.site.selected_version
    if world.site.settings.swarm is None or version is None or not {*SWARM_SERVICES} & {*plan.services_started}:
        return plan
    kinds = [type(step) for step in plan.steps]
    getting = [index for index, kind in enumerate(kinds) if kind in (PullImages, RestoreImages)]
    if not getting and RemakeNetworks not in kinds:
        return plan
    at = getting[-1] + 1 if getting else 0
    step = ShareImages(version, "a machine that cannot run them is found while visitors are still served")
    return replace(plan, steps=(*plan.steps[:at], step, *plan.steps[at:]))
