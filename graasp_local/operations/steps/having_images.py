"""Makes sure that a version's images are here: those its tags point to, or exactly those it was deployed with."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import Interrupted, Refused
from graasp_local.images.deployed import Deployment, deployment_with
from graasp_local.images.pins import BUILT_FOR_SITE, Pin, as_images, variable_of
from graasp_local.operations.steps.preflight import image_warnings
from graasp_local.planning.states import ObservedState, Status
from graasp_local.planning.steps import SelectImages
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.site.selection import Release
from graasp_local.version import Images, Version
from graasp_local.wording import listed


def deployed(world: World, version: Version, images: Images = ()) -> Deployment | None:
    """The deployment of a version with these images; if none are given, the one that is selected, or the newest."""
    selection = world.site.selection
    if not images and selection.version == version:
        images = selection.images
    return deployment_with(world.site.deployments_file, version, images)


def other_images(world: World, observed: ObservedState, version: Version) -> tuple[str, ...]:
    """Services of the selected version whose images on this machine now differ from those selected.

    Empty for any other version, and if this machine has no image to compare with.
    """
    if world.site.selected_version != version:
        return ()
    selected = deployed(world, version)
    try:
        now = {pin.service: pin for pin in world.images.pins(version)}
    except Refused:
        return ()
    pins = selected.pins if selected is not None else ()
    others = {pin.service for pin in pins if pin.service in now and not now[pin.service].is_same_image(pin)}
    rebuilt = select_rebuilt(world, observed)  # a service that was switched on since is not in any record
    built = rebuilt.services if rebuilt is not None else ()
    return tuple(service for service in dict.fromkeys([*now, *built]) if service in others or service in built)


def select_rebuilt(world: World, observed: ObservedState) -> SelectImages | None:
    """The step that selects images built for the site, if they were rebuilt under the same name since they started."""
    named, selected = world.site.named_images, dict(world.site.selection.images_in_effect(world.site.named_images))
    found: dict[str, tuple[Pin, Pin]] = {}
    for service in observed.services:
        variable = variable_of(service.name)
        if service.name not in BUILT_FOR_SITE or service.status is not Status.RUNNING or variable not in named:
            continue
        now = world.images.pin_of(service.name, named[variable])
        before = world.images.pin_of(service.name, selected.get(variable, service.image))
        if now is not None and before is not None and now.image_id != before.image_id:
            found[service.name] = (now, before)
    if not found:
        return None
    new, old = zip(*found.values(), strict=True)
    return SelectImages((*found,), as_images(new), as_images(old), "it has been rebuilt since it was started")


def select_images(world: World, step: SelectImages) -> None:
    """Raises Refused if no version is selected yet. The images are kept, like those of a deployment."""
    site = world.site
    version = site.selected_version
    if version is None:
        raise Refused("No version is selected.")
    found = (world.images.pin_of(_service_of(step, variable), image) for variable, image in step.images)
    world.images.keep_pins([pin for pin in found if pin is not None])
    images = dict(site.selection.images_in_effect(site.named_images)) | dict(step.images)
    prepare.select(site, Release(version, (*images.items(),)))


def _service_of(step: SelectImages, variable: str) -> str:
    return next(service for service in step.services if variable_of(service) == variable)


def pull_missing(world: World, version: Version) -> Iterator[str]:
    """Pull what is not on this machine, and pin the version to what its tags point to now.

    Images that are already here are left as they are. From now on they are kept, as are those of the version that is
    served now, so that a rollback is possible wherever tags move. Raises Refused if an image is not available.
    """
    pulled = yield from _pull_absent(world, version)
    if pulled:  # otherwise the check has already reported these
        yield from image_warnings(world.images.image_facts(version), version)
    pins = world.images.pins(version)
    world.images.use_pins(version, pins)
    served = world.site.selected_version
    recorded = deployed(world, served) if served is not None else None
    if recorded is not None:
        world.images.keep_pins(recorded.pins)
    world.images.keep_images(version)
    yield from (f"{pin.service}: {pin.reference}" for pin in pins)
    earlier = deployed(world, version)
    if earlier is not None:
        before = {pin.service: pin for pin in earlier.pins}
        changed = tuple(
            pin.service for pin in pins if pin.service in before and not pin.is_same_image(before[pin.service])
        )
        if changed:
            at = f" at {earlier.at}" if earlier.at else ""
            yield f"{version} was deployed{at} with different images of {listed(changed)}: its tags were moved"


def share_images(world: World, version: Version) -> Iterator[str]:
    """Have core's and the workers' images on every machine of the Swarm. Raises Refused, Interrupted."""
    for line in world.images.share_images(version):
        yield line
        if world.interruption.requested:
            raise Interrupted("Interrupted while the other machines were getting their images.")


def use_recorded_images(world: World, version: Version, images: Images = ()) -> bool:
    """Use the images of a deployment of the version, or those of its tags for images that are gone for good.

    Which deployment: see `deployed`. Only looks, and fetches nothing. False if no deployment is on record.
    """
    recorded = deployed(world, version, images)
    if recorded is None:
        return False
    found = (_as_it_can_be_had(world, pin) for pin in recorded.pins)
    world.images.use_pins(version, tuple(pin for pin in found if pin is not None))
    return True


def restore_images(world: World, version: Version, images: Images = ()) -> Iterator[str]:
    """Have exactly the images here that the version was deployed with (see `deployed`), pulling missing ones by digest.

    Falls back on a tag, and says so, if neither this machine nor a registry has the image any more. Raises Refused if
    the tag does not exist either.
    """
    if not use_recorded_images(world, version, images):
        yield f"there is no record of the images of {version}: its tags are used"
    yield from _pull_absent(world, version)
    recorded = deployed(world, version, images)
    before = {pin.service: pin for pin in recorded.pins} if recorded else {}
    for pin in world.images.pins(version):
        yield f"{pin.service}: {pin.reference}"
        if pin.service in before and before[pin.service].image_id not in ("", pin.image_id):
            yield f"{pin.service}: the image that {version} was last deployed with is gone; this one is used instead"
    world.images.keep_images(version)


class RollbackImages(Struct, frozen=True):
    """Which services could not be restored as they are now if a deployment failed; empty if all can."""

    lost: tuple[str, ...] = ()
    """There is no image for these, not even of another build."""
    other_builds: tuple[str, ...] = ()
    """Their tags point to a different image than the one that is served now."""


def rollback_images(world: World, version: Version) -> RollbackImages:
    """Whether the images that the version was deployed with are still available. Only looks, and fetches nothing."""
    recorded = deployed(world, version)
    pins = recorded.pins if recorded else ()
    exact = {pin.service for pin in pins if _as_it_can_be_had(world, pin) is not None}
    if pins and len(exact) == len(pins):
        return RollbackImages()
    by_tag = [fact for fact in world.images.image_facts(version) if fact.service not in exact]
    return RollbackImages(
        tuple(fact.service for fact in by_tag if fact.problem),
        tuple(fact.service for fact in by_tag if not fact.problem and fact.service in {pin.service for pin in pins}),
    )


def delete_unneeded_tags(world: World, version: Version, before: Deployment | None) -> Iterator[str]:
    """Keep only the images of the version that was just deployed and of the deployment before it."""
    both = (deployed(world, version), before)
    pins = tuple(pin for deployment in both if deployment is not None for pin in deployment.pins)
    for tag in world.images.release_images(version, pins):
        yield f"removed the tag {tag} of an image that is no longer needed"


def _as_it_can_be_had(world: World, pin: Pin) -> Pin | None:
    if world.images.has_image(pin.reference):
        return pin
    if pin.image_id and world.images.has_image(pin.image_id):
        return replace(pin, reference=pin.image_id)
    if pin.perhaps_in_registry and world.images.registry_has(pin.perhaps_in_registry):
        return replace(pin, reference=pin.perhaps_in_registry)
    return None


def _pull_absent(world: World, version: Version) -> Generator[str, None, bool]:
    """Returns whether there was anything to pull."""
    world.images.give_names_back()
    absent = dict.fromkeys(fact.image for fact in world.images.image_facts(version) if not fact.local)
    for image in absent:
        for line in world.images.pull_image(image):
            yield line
            if world.interruption.requested:
                raise Interrupted(f"Interrupted while {image} was being pulled.")
        yield f"pulled {image}"
    return bool(absent)
