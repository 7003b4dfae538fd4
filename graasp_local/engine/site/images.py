"""The images that make up a version of the site, from Compose, and which of them this machine has, from the engine.

Compose is asked once per version: its rendering of the site's files does not change while a command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose.verbs import Compose
from graasp_local.engine.containers.of_project import containers_of
from graasp_local.engine.containers.services import SERVICE_LABEL
from graasp_local.engine.images import facts, kept
from graasp_local.engine.images.facts import VERSIONED_SERVICES, ImageHere
from graasp_local.engine.images.migrations import ImageMigrations
from graasp_local.engine.images.pulling import pull
from graasp_local.engine.reach.client import connect, engine_errors
from graasp_local.errors import ConfigurationError, NeedsYou, Refused
from graasp_local.images.deployed import deployment_with
from graasp_local.images.pins import Pin, as_images, shortened
from graasp_local.planning.migrations import ImageMigration
from graasp_local.ports.images import ImageFact
from graasp_local.site import prepare
from graasp_local.site.selection import Release
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import SWARM_SERVICES
from graasp_local.stack.services import VERSION_LABEL
from graasp_local.version import Images, Version

if TYPE_CHECKING:
    from docker import DockerClient


class SiteImages:
    """The image half of an engine. `narrate` receives each command that changes something, before it runs."""

    def __init__(self, site: Site, narrate: Callable[[str], None]) -> None:
        self._site = site
        self.narrate = narrate
        self.compose = Compose(site, narrate)
        self._images: dict[Version, Mapping[str, str]] = {}
        self._versioned: dict[Version, tuple[str, ...]] = {}
        self.networks: Mapping[str, Any] | None = None
        """The networks of the compose files, once these were read for the images of a version."""
        self._image_migrations = ImageMigrations()
        self._reading = RLock()
        self._stand_ins: dict[str, str] = {}
        self._pinned: set[Version] = set()
        """Versions whose images are known exactly, whatever is selected."""

    @cached_property
    def client(self) -> DockerClient:
        return connect()

    def images_of(self, version: Version) -> Mapping[str, str]:
        """The image of every service for a version, as Compose resolves it."""
        with self._reading:
            if version not in self._images:
                self._read_images(version)
            return self._images[version]

    def _read_images(self, version: Version) -> None:
        prepare.prepare(self._site)
        try:
            config = self.compose.config(version)
        except NeedsYou as error:
            raise ConfigurationError(
                f"Compose cannot use the site's files: {error.what.removeprefix('Compose failed: ')}",
                "Nothing was changed.",
                "Fix .env or compose.override.yaml; `graasp-local compose -- config` shows the result of both.",
            ) from error
        services = config["services"]
        self.networks = config.get("networks") or {}
        self._versioned[version] = tuple(
            name for name, definition in services.items() if VERSION_LABEL in definition.get("labels", {})
        )
        self._images[version] = {
            name: definition["image"] for name, definition in services.items() if "image" in definition
        }
        if self._site.settings.external_database is not None:
            # No service runs from it; backups and restores use its tools.
            self._images[version] = {**self._images[version], "db": self._site.tools_image}

    def expect(self, version: Version) -> None:
        """Start fetching from Compose what a deployment of this version will need, in the background.

        Also loads the package that calls Compose.
        """

        def ask() -> None:
            # Errors are raised where the result is needed.
            with suppress(Exception):
                _ = self.compose.version
                self.images_of(version)
                import python_on_whales  # noqa: F401

        Thread(target=ask, daemon=True).start()

    def image_facts(self, version: Version) -> tuple[ImageFact, ...]:
        with engine_errors():
            return tuple(self._image_fact(*item) for item in self.images_of(version).items())

    def _image_fact(self, service: str, image: str) -> ImageFact:
        found = facts.image_fact(self.client, service, image)
        if found.problem and (stand_in := self._stand_in(service, image)):
            self._stand_ins[image] = stand_in
            return ImageFact(service, image, local=True, platforms=())
        return found

    def registry_has(self, reference: str) -> bool:
        with engine_errors():
            return facts.registry_has(self.client, reference)

    def has_image(self, reference: str) -> bool:
        with engine_errors():
            return facts.has_image(self.client, reference)

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        prepare.prepare(self._site)
        defined = self.compose.config(None)["services"]
        found = {name: str(defined[name]["image"]) for name in services if "image" in defined.get(name, {})}
        absent = {name: image for name, image in found.items() if not self.has_image(image)}
        with engine_errors():
            stand_ins = {image: self._stand_in(name, image) for name, image in absent.items()}
        self._stand_ins.update({image: stand_in for image, stand_in in stand_ins.items() if stand_in})
        return {name: image for name, image in absent.items() if not stand_ins[image]}

    def _stand_in(self, service: str, image: str) -> str:
        """The id of the image that had this name here and has lost it; empty if the engine no longer has that image."""
        if image.startswith("sha256:"):
            return ""
        if "@" in image:
            found = {pin.reference: pin.image_id for pin in self._deployed_pins()}.get(image, "")
        else:
            containers = [c for c in containers_of(self._project) if c["Labels"].get(SERVICE_LABEL) == service]
            found = kept.id_behind(self.client, containers, image) or self._deployed_id(service, image)
            if not containers and service not in self._versioned_services():
                found = kept.kept_id(self.client, self._project, service)
        return found if found and facts.has_image(self.client, found) else ""

    def _deployed_pins(self) -> tuple[Pin, ...]:
        """The images that the selected version was deployed with."""
        selected = self._site.selection
        if selected.version is None:
            return ()
        recorded = deployment_with(self._site.deployments_file, selected.version, selected.images)
        return recorded.pins if recorded else ()

    def _deployed_id(self, service: str, image: str) -> str:
        """The id that is deployed of the selected version, if this is its name in that version: tags can be removed."""
        version = self._site.selected_version
        if version is None or self._images.get(version, {}).get(service) != image:
            return ""
        return next((pin.image_id for pin in self._deployed_pins() if pin.service == service), "")

    def image_or_stand_in(self, service: str, image: str) -> str:
        """A reference to the image of a service that is run without Compose: its id if the image has lost its name."""
        if self.has_image(image):
            return image
        with engine_errors():
            return self._stand_in(service, image) or image

    def _versioned_services(self) -> tuple[str, ...]:
        return tuple(name for names in self._versioned.values() for name in names) or VERSIONED_SERVICES

    def share_images(self, version: Version) -> Iterator[str]:
        swarm = self._site.settings.swarm
        if swarm is None:
            return
        from graasp_local.engine.swarm.images import have_everywhere, see_files_everywhere

        if version in self._pinned:
            known = self.images_of(version)
        else:
            defined = self.compose.config(None)["services"]
            known = {service: str(defined[service]["image"]) for service in SWARM_SERVICES}
        images = {service: known[service] for service in SWARM_SERVICES}
        yield from have_everywhere(self.client, self._project, images, swarm, self.narrate)
        if swarm.shares_files:
            yield from see_files_everywhere(
                self.client, self._project, images["core"], swarm, self.compose.config(None)
            )

    def give_names_back(self) -> None:
        """Restore the names of images that were found here without the name that Compose uses.

        A name with a digest cannot be assigned; instead, the selection refers to that image by its id from then on.
        """
        taken, self._stand_ins = self._stand_ins, {}
        by_digest = {image: image_id for image, image_id in taken.items() if "@" in image}
        for image, image_id in taken.items():
            if image in by_digest:
                continue
            self.narrate(f"docker tag {shortened(image_id)} {image}")
            repository, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
            with engine_errors():
                self.client.api.tag(image_id, repository, tag)
        version = self._site.selected_version
        if by_digest and version is not None:
            selected: Images = tuple((key, by_digest.get(image, image)) for key, image in self._site.selection.images)
            prepare.select(self._site, Release(version, selected))

    def keep_images(self, version: Version) -> None:
        with engine_errors():
            kept.keep(self.client, self._project, self.images_of(version), self.narrate)

    def keep_pins(self, pins: Sequence[Pin]) -> None:
        wanted = {pin.service: pin.image_id for pin in pins if pin.image_id}
        with engine_errors():
            kept.keep(self.client, self._project, wanted, self.narrate)

    def release_images(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        with engine_errors():
            needed = {image.image_id for image in self.images_here(version)} | {pin.image_id for pin in but}
            return kept.remove_tags(self.client, self._project, needed)

    @property
    def _project(self) -> str:
        return self._site.settings.project

    def pull_image(self, reference: str) -> Iterator[str]:
        self.narrate(f"docker pull {reference}")
        with engine_errors():
            yield from pull(self.client, reference)

    def pins(self, version: Version) -> tuple[Pin, ...]:
        with engine_errors():
            found = self.images_of(version)
            return tuple(facts.image_pin(self.client, name, found[name]) for name in self._versioned[version])

    def pin_of(self, service: str, image: str) -> Pin | None:
        with engine_errors(), suppress(Refused):
            return facts.image_pin(self.client, service, image)
        return None

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        self.compose.use_release(Release(version, as_images(pins)))
        self._pinned.add(version)
        self._images[version] = {**self.images_of(version), **{pin.service: pin.reference for pin in pins}}

    def use_selection(self) -> None:
        """Use the images that the site's selected version was deployed with."""
        selection = self._site.selection
        if selection.version is not None:
            self.compose.use_release(Release(selection.version, selection.images))

    def images_here(self, version: Version) -> tuple[ImageHere, ...]:
        """Every image of a version as this machine has it."""
        with engine_errors():
            return tuple(facts.image_here(self.client, *item) for item in self.images_of(version).items())

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]:
        image = self.image_or_stand_in("migrate", self.images_of(version)["migrate"])
        with engine_errors():
            return self._image_migrations.of(self.client, image)
