"""Which image exactly a version is: what is pinned, recorded, pulled again, and said when a registry gives nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graasp_local.engine.images.kept import kept_repository
from graasp_local.engine.images.pulling import progress
from graasp_local.engine.images.refusals import why_not_had
from graasp_local.errors import Interrupted, Refused
from graasp_local.images.deployed import last_deployment_of, record_deployment
from graasp_local.images.pins import Pin, as_images, pin, registry_of, repository_of, shortened
from graasp_local.operations.steps.having_images import RollbackImages, pull_missing, restore_images, rollback_images
from graasp_local.site import prepare
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld

ONE = Version(1, 0, 0)
CORE = "127.0.0.1:5000/graasp/graasp:core-v1.0.0"


def test_an_image_of_a_registry_is_pinned_by_tag_and_digest() -> None:
    found = pin("core", CORE, "sha256:id", ["127.0.0.1:5000/graasp/graasp@sha256:aa"])
    assert found == Pin("core", f"{CORE}@sha256:aa", "sha256:id")
    assert found.perhaps_in_registry == found.reference


def test_the_digest_that_another_repository_has_of_it_does_not_count() -> None:
    found = pin("core", "localhost/demo/graasp:core-v1.0.0", "sha256:id", ["127.0.0.1:5000/graasp/graasp@sha256:aa"])
    assert found == Pin("core", "sha256:id", "sha256:id")
    assert not found.perhaps_in_registry


def test_a_digest_that_is_the_id_proves_no_registry() -> None:
    found = pin("core", CORE, "sha256:aa", ["127.0.0.1:5000/graasp/graasp@sha256:aa"])
    assert found == Pin("core", "sha256:aa", "sha256:aa", f"{CORE}@sha256:aa")
    assert found.perhaps_in_registry == f"{CORE}@sha256:aa"


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (f"{CORE}@sha256:{'a' * 64}", f"{CORE}@sha256:{'a' * 12}"),
        (f"sha256:{'b' * 64}", f"sha256:{'b' * 12}"),
        (CORE, CORE),
    ],
)
def test_a_person_reads_twelve_digits_of_an_id(image: str, shown: str) -> None:
    assert shortened(image) == shown


@pytest.mark.parametrize(("project", "repository"), [("graasp", "graasp-local/graasp"), ("a-1", "graasp-local/a-1")])
def test_what_is_kept_is_tagged_after_the_project(project: str, repository: str) -> None:
    assert kept_repository(project) == repository


def test_a_project_name_that_no_repository_can_have_stays_distinct() -> None:
    names = {kept_repository(project) for project in ("a__b", "a_b", "a-b", "a-b-")}
    assert len(names) == 4
    assert all(re.fullmatch(r"graasp-local/a-b(\.[0-9a-f]{8})?", name) for name in names)


def test_an_image_that_was_named_by_digest_is_its_own_pin() -> None:
    assert pin("core", f"{CORE}@sha256:aa", "sha256:id", ()).reference == f"{CORE}@sha256:aa"


@pytest.mark.parametrize(
    ("image", "repository", "registry"),
    [
        (CORE, "127.0.0.1:5000/graasp/graasp", "127.0.0.1:5000"),
        (f"{CORE}@sha256:aa", "127.0.0.1:5000/graasp/graasp", "127.0.0.1:5000"),
        ("nginx:1.28.0", "nginx", ""),
        ("graasp/iframely", "graasp/iframely", ""),
        ("localhost/demo/x:1", "localhost/demo/x", "localhost"),
    ],
)
def test_the_parts_of_an_image_name(image: str, repository: str, registry: str) -> None:
    assert (repository_of(image), registry_of(image)) == (repository, registry)


def test_compose_gets_pins_by_variables() -> None:
    assert as_images([Pin("own-service", "x@sha256:aa", "sha256:id")]) == (("OWN_SERVICE_IMAGE", "x@sha256:aa"),)


def test_the_newest_record_of_a_version_counts_and_half_a_line_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "deployments.jsonl"
    assert last_deployment_of(file, ONE) is None
    for number in ("aa", "bb"):
        record_deployment(file, ONE, 0.0, [Pin("core", f"{CORE}@sha256:{number}", f"sha256:{number}")])
    record_deployment(file, Version(1, 1, 0), 0.0, [])
    with file.open("a") as stream:
        stream.write('{"version": "1.0.0", "at"')
    found = last_deployment_of(file, ONE)
    assert found is not None
    assert found.pins == (Pin("core", f"{CORE}@sha256:bb", "sha256:bb"),)


def test_a_record_after_half_a_line_is_a_line_of_its_own(tmp_path: Path) -> None:
    """A machine that loses power while it writes leaves half a line; the next deployment must not be lost with it."""
    file = tmp_path / "deployments.jsonl"
    file.write_text('{"version": "1.0.0", "at"')
    record_deployment(file, ONE, 0.0, [Pin("core", f"{CORE}@sha256:aa", "sha256:aa")])
    found = last_deployment_of(file, ONE)
    assert found is not None
    assert found.pins == (Pin("core", f"{CORE}@sha256:aa", "sha256:aa"),)


def test_a_record_without_image_ids_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deployments.jsonl"
    file.write_text('{"version": "1.0.0", "at": "2026-01-01T00:00:00+00:00", "digests": {"core": "x@sha256:aa"}}\n')
    found = last_deployment_of(file, ONE)
    assert found is not None
    assert found.pins == (Pin("core", "x@sha256:aa", ""),)


@pytest.fixture
def fake(tmp_path: Path) -> FakeWorld:
    fake = FakeWorld(tmp_path / "site")
    prepare.prepare(fake.world.site)
    return fake


def recorded(fake: FakeWorld, *pins: Pin) -> None:
    record_deployment(fake.world.site.deployments_file, ONE, 0.0, pins)


def restored(fake: FakeWorld) -> tuple[list[str], Pin]:
    """What is said, and what core is from then on."""
    lines = list(restore_images(fake.world, ONE))
    return lines, fake.engine.pins(ONE)[0]


BY_DIGEST = Pin("core", "graasp:core-v1.0.0@sha256:aa", "sha256:id-aa")
BY_ID = Pin("core", "sha256:id-aa", "sha256:id-aa")


def test_what_is_here_by_digest_is_used_without_pulling(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    fake.engine.references = {BY_DIGEST.reference}
    assert restored(fake)[1] == BY_DIGEST
    assert fake.state.calls == []


def test_what_is_here_by_its_id_only_is_used_by_its_id(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    fake.engine.references = {BY_DIGEST.image_id}
    assert restored(fake)[1] == BY_ID
    assert fake.state.calls == []


def test_what_was_pruned_is_pulled_by_digest(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    assert restored(fake)[1] == BY_DIGEST
    assert fake.state.calls == [f"pull {BY_DIGEST.reference}"]


def test_a_digest_that_no_registry_has_falls_back_on_the_id_and_then_on_the_tag(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    fake.engine.in_no_registry = {BY_DIGEST.reference}
    lines, core = restored(fake)
    assert core.reference == "graasp:core-v1.0.0@sha256:first"
    assert "core: the image that 1.0.0 was last deployed with is gone; this one is used instead" in lines
    fake.engine.references = {BY_DIGEST.image_id}
    assert restored(fake)[1] == BY_ID


def test_what_only_a_registry_may_have_is_asked_for_there(fake: FakeWorld) -> None:
    recorded(fake, Pin("core", "sha256:aa", "sha256:aa", BY_DIGEST.reference))
    assert restored(fake)[1].reference == BY_DIGEST.reference
    assert fake.state.calls == [f"pull {BY_DIGEST.reference}"]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [({}, RollbackImages(other_builds=("core",))), ({"core": "it is gone"}, RollbackImages(lost=("core",)))],
)
def test_what_could_not_be_rolled_back_to_is_found_beforehand(
    fake: FakeWorld, missing: dict[str, str], expected: RollbackImages
) -> None:
    recorded(fake, BY_ID)
    fake.engine.missing_images = missing
    assert rollback_images(fake.world, ONE) == expected
    fake.engine.references = {BY_ID.image_id}
    assert rollback_images(fake.world, ONE) == RollbackImages()


def test_what_no_registry_has_and_is_gone_falls_back_on_its_tag_and_says_so(fake: FakeWorld) -> None:
    recorded(fake, BY_ID)
    lines, core = restored(fake)
    assert core.reference == "graasp:core-v1.0.0@sha256:first"
    assert lines[1] == "core: the image that 1.0.0 was last deployed with is gone; this one is used instead"


def test_what_the_registry_does_not_give_is_a_refusal(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    fake.engine.failing["pull"] = Refused("The registry does not answer.")
    with pytest.raises(Refused, match="does not answer"):
        restored(fake)


def test_a_pull_can_be_interrupted(fake: FakeWorld) -> None:
    recorded(fake, BY_DIGEST)
    fake.interruption.request()
    with pytest.raises(Interrupted, match="was being pulled"):
        restored(fake)


def test_without_a_record_the_tags_are_used(fake: FakeWorld) -> None:
    lines, core = restored(fake)
    assert lines[0] == "there is no record of the images of 1.0.0: its tags are used"
    assert core.reference == "graasp:core-v1.0.0@sha256:first"


def test_a_tag_that_was_moved_since_the_last_deployment_is_reported(fake: FakeWorld) -> None:
    recorded(fake, *fake.engine.pins(ONE))
    fake.engine.builds["graasp:core-v1.0.0"] = "second"
    assert list(pull_missing(fake.world, ONE))[-1].endswith("with different images of core: its tags were moved")


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("manifest for x not found: manifest unknown", "neither on the engine nor in the registry"),
        ("Head http://x: no basic auth credentials", "`docker login 127.0.0.1:5000`"),
        ("unauthorized: authentication required", "(401)"),
        ("unexpected status from HEAD request: 403 Forbidden", "`docker logout 127.0.0.1:5000`"),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", "(403)"),
        ("denied: requested access to the resource is denied", "(403)"),
        ("toomanyrequests: You have reached your pull rate limit", "(429)"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "the registry did not answer"),
        ("unexpected EOF", "the registry did not answer"),
        ("something else", "the registry answered: something else"),
    ],
)
def test_what_a_registry_refuses_is_reported_with_what_to_type(said: str, meaning: str) -> None:
    assert meaning in why_not_had(CORE, said)


def test_a_digest_with_the_number_403_in_it_is_not_a_refused_login() -> None:
    assert "neither" in why_not_had(CORE, "manifest for x@sha256:ab403cd not found")


LAYERS = (
    {"status": "Downloading", "id": "a", "progressDetail": {"current": 1_000_000, "total": 4_000_000}},
    {"status": "Downloading", "id": "b", "progressDetail": {"current": 2_000_000, "total": 6_000_000}},
    {"status": "Download complete", "id": "a"},
)


def test_the_progress_of_a_pull_is_the_sum_of_its_layers() -> None:
    assert list(progress("x", LAYERS, 0.0)) == ["x: 1 of 4 MB", "x: 3 of 10 MB", "x: 6 of 10 MB"]


def test_a_lost_connection_is_reported_once_and_its_end_is_a_refusal() -> None:
    said = [{"status": f"Retrying in {n} seconds", "id": "a"} for n in (2, 1)] + [{"error": "connection refused"}]
    lines = progress("x", said, 0.0)
    assert next(lines) == "x: lost the connection to the registry; the engine is trying again"
    with pytest.raises(Refused, match="the registry did not answer"):
        next(lines)
