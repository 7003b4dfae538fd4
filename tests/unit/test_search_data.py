"""Meilisearch's data and an image that could not open it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.operations.deployments import transition_plan
from graasp_local.planning.search_data import other_search_version
from graasp_local.planning.states import Health, InfraState, ObservedService, ServiceGroup, Status
from graasp_local.ports.images import ImageFact
from graasp_local.site.site import Site
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploying, events_of
from tests.unit.sites import site_in


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ("1.8.4", "getmeili/meilisearch:v1.10.2"),
        ("1.8.4", "r.example:5000/m:1.7"),
        ("1.8.4", "m:v2.8.4-rc.1@sha256:ab"),
    ],
)
def test_data_of_another_minor_cannot_be_opened(data: str, image: str) -> None:
    assert other_search_version(data, image) == (
        f"Meilisearch's data was written by {data}, but its image {image} opens only data of its own minor version."
    )


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ("1.8.4", "getmeili/meilisearch:v1.8.0"),
        ("1.8.4\n", "m:1.8"),
        ("1.8.4", "m:latest"),
        ("1.8.4", "m@sha256:0110"),
        ("1.8.4", "sha256:0110"),
        ("1.8.4", ""),
        ("?", "m:v1.10.0"),
        ("1.8.4", "m:1"),
    ],
)
def test_what_fits_or_is_not_known_is_let_through(data: str, image: str) -> None:
    assert other_search_version(data, image) is None


def test_a_deployment_with_it_is_refused_and_a_way_out_is_named(running: FakeWorld) -> None:
    images = running.engine.image_facts
    search = ImageFact("meilisearch", "getmeili/meilisearch:v1.10.2", local=True, platforms=())

    def with_search(version: Version) -> tuple[ImageFact, ...]:
        return (*images(version), search)

    running.engine.image_facts = with_search  # type: ignore[method-assign]
    running.engine.search = ("1.8.4", "site_search-data")
    with pytest.raises(Refused, match=r"written by 1\.8\.4") as refused:
        events_of(running, deploying(running))
    assert "`docker volume rm site_search-data`" in refused.value.next_step
    assert running.state.calls == []


def test_so_is_a_change_of_state_that_starts_it(fake: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = site_in(InfraState.DB_ONLY)
    search = ObservedService("meilisearch", ServiceGroup.GRAASP, Status.EXITED, Health.NONE)
    fake.become(replace(stopped, services=(*stopped.services, search)), applied="1.0.0")
    monkeypatch.setattr(Site, "named_images", {"MEILISEARCH_IMAGE": "getmeili/meilisearch:v1.10.2"})
    fake.engine.search = ("1.8.4", "site_search-data")
    with pytest.raises(Refused, match="opens only data of its own minor"):
        transition_plan(fake.world, fake.world.observe(), InfraState.RUNNING)
    assert transition_plan(fake.world, fake.world.observe(), InfraState.STOPPED).steps
