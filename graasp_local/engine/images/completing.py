"""Adds to an image the programs that its service calls but that it lacks. The derived image takes the image's name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from graasp_local.engine.images.building import Build, build_image
from graasp_local.engine.images.programs import lacking_programs
from graasp_local.engine.reach.client import Connected, engine_errors
from graasp_local.errors import Refused
from graasp_local.images.recipes import PROGRAMS
from graasp_local.stack.services import stack_directory


def complete_image(
    engine: Connected, service: str, image: str, log: Path, narrate: Callable[[str], None]
) -> Iterator[str]:
    """Add what is missing, if anything is; yields what is done. Raises Refused if that fails or has no effect.

    The image must be on this machine. On failure its name stays with the original image.
    """
    with engine_errors():
        before = engine.client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        lacking = lacking_programs(engine.client, service, before["Id"])
    if not lacking:
        return
    packages = " ".join(PROGRAMS[service][program] for program in lacking)
    yield f"adding {packages}"
    arguments = {"IMAGE": image, "PACKAGES": packages, "RUN_AS": before["Config"].get("User") or "root"}
    with tempfile.TemporaryDirectory(prefix="graasp-local-complete-") as nothing:
        dockerfile = stack_directory() / "compose" / "complete.Dockerfile"
        yield from build_image(Build(image, dockerfile, Path(nothing), arguments, log), narrate)
    with engine_errors():
        after = engine.client.api.inspect_image(image)["Id"]  # type: ignore[no-untyped-call]
        still = lacking_programs(engine.client, service, after)
    if still:
        raise Refused(
            f"{image} still lacks {' and '.join(still)}.", "The site is unchanged.", f"The whole output is in {log}."
        )
