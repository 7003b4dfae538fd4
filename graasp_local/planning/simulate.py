"""What a site would look like after some steps, if each does what it says. Planners use it to look ahead. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from graasp_local.planning.planned import Ahead
from graasp_local.planning.states import Gate, ObservedState
from graasp_local.planning.steps import Step


def simulate(observed: ObservedState, steps: Iterable[Step]) -> ObservedState:
    """What the site would look like after these steps, if each does what it says."""
    site = Ahead(observed, sealed=observed.gate is Gate.SEALED)
    for step in steps:
        site = step.leads_to(site)
    return site.observed
