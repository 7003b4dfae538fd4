"""What a person is told to type next."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.journal.records import OperationRecord
from graasp_local.journal.status import Situation, next_steps
from graasp_local.lock import Holder
from graasp_local.planning.states import Absent, Classification, Drifted, InfraState, InState
from graasp_local.version import Version

DRIFTED = Drifted(InfraState.RESTRICTED, ("core is stopped, but should be on in the state restricted.",))
UNFINISHED = OperationRecord(
    "0002", "", "", "1.1.0", None, "unknown", None, None, ("close-gate",), (), previous_version="1.0.0"
)
SOMEBODY = Holder("graasp-local deploy --version 1.1.0", 7, "school", "")
VERSION = Version.parse("1.0.0")


def typed(
    classification: Classification,
    selected: Version | None = VERSION,
    unfinished: OperationRecord | None = None,
    holder: Holder | None = None,
) -> list[str]:
    return [step.command for step in next_steps(Situation(classification, selected, unfinished, holder))]


@pytest.mark.parametrize("state", list(InfraState))
def test_nothing_in_any_of_the_four_states(state: InfraState) -> None:
    assert typed(InState(state)) == []


def test_a_drifted_site_is_brought_to_the_nearest_state() -> None:
    assert typed(DRIFTED) == ["graasp-local apply restricted"]


def test_what_was_left_unfinished_comes_before_what_differs() -> None:
    assert typed(DRIFTED, unfinished=UNFINISHED) == ["graasp-local resume", "graasp-local rollback"]


def test_an_unfinished_first_deployment_cannot_be_rolled_back() -> None:
    assert typed(DRIFTED, unfinished=replace(UNFINISHED, previous_version="")) == ["graasp-local resume"]


def test_a_new_site_is_deployed_and_one_whose_containers_are_gone_is_started_again() -> None:
    assert typed(Absent(), selected=None) == ["graasp-local deploy --version X"]
    assert typed(Absent()) == ["graasp-local apply running"]


@pytest.mark.parametrize("found", [DRIFTED, Absent(), InState(InfraState.STOPPED)])
def test_nothing_while_another_command_runs(found: Classification) -> None:
    assert typed(found, unfinished=UNFINISHED, holder=SOMEBODY) == []
