"""Which versions of Graasp exist: from the tags on this machine, and from the registry's if it answers."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from graasp_local.engine.images.facts import VERSIONED_SERVICES
from graasp_local.engine.images.registry import RegistryUnreachableError, repository_tags
from graasp_local.engine.reach.client import Connected, engine_errors
from graasp_local.version import Version

DEFAULT_REPOSITORY = "public.ecr.aws/graasp/graasp"


class FoundVersion(Struct, frozen=True):
    """A version of which core, workers and migrate all exist, here (`local`) or in the registry."""

    version: Version
    local: bool
    published: bool


class FoundVersions(Struct, frozen=True):
    """Newest first; `problem` says why the registry could not be asked."""

    versions: tuple[FoundVersion, ...]
    repository: str
    problem: str = ""


def find_versions(engine: Connected, repository: str) -> FoundVersions:
    with engine_errors():
        images = engine.client.api.images(name=repository)
    local = complete_versions(tag.rpartition(":")[2] for image in images for tag in image.get("RepoTags") or ())
    problem = ""
    published: frozenset[Version] = frozenset()
    try:
        published = complete_versions(repository_tags(repository))
    except RegistryUnreachableError as error:
        problem = str(error)
    found = sorted(local | published, reverse=True)
    return FoundVersions(
        tuple(FoundVersion(version, version in local, version in published) for version in found), repository, problem
    )


def complete_versions(tags: Iterable[str]) -> frozenset[Version]:
    """The versions for which all three images are tagged, from tags such as `core-v2.14.2`. Pure."""
    by_service: dict[str, set[Version]] = {service: set() for service in VERSIONED_SERVICES}
    for tag in tags:
        service, _, text = tag.partition("-v")
        version = Version.parse_or_none(text)
        if service in by_service and version is not None:
            by_service[service].add(version)
    return frozenset.intersection(*(frozenset(versions) for versions in by_service.values()))


def releases_here(repository: str) -> tuple[Version, ...]:
    """The releases whose images are all on the engine, oldest first, without pre-releases. Raises EngineUnreachable."""
    from contextlib import closing

    from graasp_local.engine.reach.client import connect

    with closing(connect()) as client, engine_errors():
        images = client.api.images(name=repository)
    here = complete_versions(tag.rpartition(":")[2] for image in images for tag in image.get("RepoTags") or ())
    return tuple(sorted(version for version in here if not version.prerelease))
