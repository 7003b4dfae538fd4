"""What is worth knowing about a stack whose test failed: its state, its last operation, the relevant logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from graasp_local.errors import GraaspLocalError
from graasp_local.journal.read import read_recent
from graasp_local.journal.records import OperationRecord
from graasp_local.planning.states import ServiceGroup, classify, state_name
from graasp_local.ports.world import World

_LOG_LINES = 15


def described(world: World) -> str:
    """The report, as complete as possible if the stack does not answer. Raises nothing."""
    lines: list[str] = []
    try:
        lines += _observed(world)
    except GraaspLocalError as error:
        lines += error.sentences
    return "\n".join(lines)


def _observed(world: World) -> Iterator[str]:
    observed = world.observe()
    version = world.site.selected_version
    state, gate = state_name(classify(observed)), observed.gate.in_words
    yield f"state {state}, gate {gate}, version {version or 'none deployed yet'}"
    for record in read_recent(world.site.journal_directory).operations[-1:]:
        yield f"last operation: {_operation(record)}"
    services = [service for service in observed.services if service.group is not ServiceGroup.MIGRATION]
    off = [service for service in services if not service.is_on]
    for service in off:
        yield f"{service.name} is {service.described()}"
    telling = {service.name for service in off} | {"core"}
    for service in services:
        if service.name in telling:
            with suppress(GraaspLocalError):
                log = world.containers.recent_log(service.name, _LOG_LINES)
                yield f"the end of the log of {service.name}:" if log else f"{service.name} has logged nothing"
                yield from (f"  {line}" for line in log)


def _operation(record: OperationRecord) -> str:
    steps = zip(record.steps, record.titles, strict=False)
    failed = [f'"{title}" failed' for step, title in steps if step["outcome"] == "failed"]
    return " ".join((f"{record.operation}: {', '.join((record.outcome or 'cut off', *failed))}.", *record.problem))
