from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from graasp_local.planning.states import InfraState
from tests.unit.fakes import FakeWorld
from tests.unit.sites import site_in

# How long an example takes says something about the machine only. The same examples every time, so that a run says
# something about the change at hand; `pytest tests/unit --hypothesis-profile=explore` goes looking for others.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("same")


@pytest.fixture
def fake(tmp_path: Path) -> FakeWorld:
    """A new site: no containers."""
    return FakeWorld(tmp_path / "site")


@pytest.fixture
def running(fake: FakeWorld) -> FakeWorld:
    """A site that is running with version 1.0.0."""
    fake.become(site_in(InfraState.RUNNING))
    return fake
