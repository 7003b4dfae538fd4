"""A closer look at what a running step waits for: containers and their health checks, requests in flight.

Asks the engine only while such a step is on the screen. Knows nothing of Textual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import GraaspLocalError
from graasp_local.tui.drawing.progress import Closely

if TYPE_CHECKING:
    from graasp_local.ports.live import LiveEngine
    from graasp_local.ports.world import World
    from graasp_local.tui.model import SiteView
    from graasp_local.tui.operation_view import StepView
    from graasp_local.tui.ports import Access

_TAIL_LINES = 40
_DRAINING = ("drain", "end-connections")


class CloseLook:
    """Used on a thread, repeatedly; anything that cannot be found out is left out."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._world: World | None = None

    def at(self, step: StepView, view: SiteView | None, live: LiveEngine | None) -> Closely:
        """What can be found out about this step now."""
        try:
            if step.name in _DRAINING:
                gate = self._its_world.gate_control
                in_flight = gate.requests_in_flight()
                return Closely(in_flight=in_flight, to_come=gate.upload_bytes_to_come() if in_flight else None)
            if step.name.startswith("start-") and view is not None and live is not None:
                return self._starting(step, view, live)
        except GraaspLocalError:
            self._world = None
        return Closely()

    def _starting(self, step: StepView, view: SiteView, live: LiveEngine) -> Closely:
        group = "graasp" if step.name in ("start-writers", "start-replicas") else step.name.removeprefix("start-")
        containers = [
            service.container
            for service in view.services
            if service.container is not None and service.observed.group.value == group and service.name in step.title
        ]
        details = tuple(filter(None, (live.detail(container.id) for container in containers)))
        waiting = [detail for detail in details if detail.health not in ("", "healthy") or detail.status != "running"]
        if not waiting:
            return Closely(details)
        slowest = min(waiting, key=lambda detail: float("inf") if detail.started_at is None else detail.started_at)
        tail = self._its_world.containers.recent_log(slowest.service, _TAIL_LINES)
        return Closely(details, slowest.service, tuple(tail))

    @property
    def _its_world(self) -> World:
        if self._world is None:
            self._world = self._access.world(self._access.site(), InterruptionFlag(), lambda _: None)
        return self._world
