"""Having the images of a version on this machine: those its tags lead to, or exactly those it was deployed with."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from graasp_local.deployments import last_deployment_of
from graasp_local.errors import Interrupted
from graasp_local.pins import Pin
from graasp_local.version import Version
from graasp_local.wording import listed
from graasp_local.world import World


def pull_missing(world: World, version: Version) -> Iterator[str]:
    """Pull what is not on this machine, and pin the version to what its tags lead to now.

    Images that are there stay as they are. Raises Refused if one cannot be had.
    """
    yield from _pull_absent(world, version)
    pins = world.engine.pins(version)
    world.engine.use_pins(version, pins)
    yield from (f"{pin.service}: {pin.reference}" for pin in pins)
    earlier = last_deployment_of(world.site.deployments_file, version)
    if earlier is not None:
        before = {pin.service: pin.image_id for pin in earlier.pins}
        changed = tuple(pin.service for pin in pins if before.get(pin.service, "") not in ("", pin.image_id))
        if changed:
            yield f"{version} was deployed at {earlier.at} with other images of {listed(changed)}: its tags were moved"


def use_recorded_images(world: World, version: Version) -> bool:
    """Let the images of the version's last deployment stand for it, those of its tags where they are gone for good.

    Looks at what is here and fetches nothing. False where no deployment of the version is on record.
    """
    recorded = last_deployment_of(world.site.deployments_file, version)
    if recorded is None:
        return False
    found = (_as_it_can_be_had(world, pin) for pin in recorded.pins)
    world.engine.use_pins(version, tuple(pin for pin in found if pin is not None))
    return True


def restore_images(world: World, version: Version) -> Iterator[str]:
    """Have exactly the images here that the version was deployed with, pulling by digest what is gone.

    Falls back on a tag, and says so, where neither this machine nor a registry has the image any more. Raises Refused
    if there is not even that.
    """
    if not use_recorded_images(world, version):
        yield f"there is no record of the images of {version}: its tags are used"
    yield from _pull_absent(world, version)
    recorded = last_deployment_of(world.site.deployments_file, version)
    before = {pin.service: pin for pin in recorded.pins} if recorded else {}
    for pin in world.engine.pins(version):
        yield f"{pin.service}: {pin.reference}"
        if pin.service in before and before[pin.service].image_id not in ("", pin.image_id):
            yield f"{pin.service}: not the image of {version}'s last deployment, which is gone"


def _as_it_can_be_had(world: World, pin: Pin) -> Pin | None:
    if world.engine.has_image(pin.reference):
        return pin
    if pin.image_id and world.engine.has_image(pin.image_id):
        return replace(pin, reference=pin.image_id)
    return pin if pin.can_be_pulled else None


def _pull_absent(world: World, version: Version) -> Iterator[str]:
    for image in dict.fromkeys(fact.image for fact in world.engine.image_facts(version) if not fact.local):
        for line in world.engine.pull_image(image):
            yield line
            if world.interruption.requested:
                raise Interrupted(f"Interrupted while {image} was pulled.")
        yield f"pulled {image}"
