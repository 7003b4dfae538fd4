"""`graasp-local images list`, `pull`, `save` and `load`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, narrate_command, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.version import Version

_MB = 1_000_000
_SECONDS_BETWEEN_LINES = 2.0


@click.group("images")
def command() -> None:
    """The images of a version: list them, have them on this machine, carry them to another one as one file."""


@command.command("list")
@click.argument("version_text", metavar="[VERSION]", required=False)
@click.option("--json", "json_object", is_flag=True, help="One JSON object.")
@pass_context
def list_images(context: Context, version_text: str | None, *, json_object: bool) -> None:
    """List the images of a version, else of the selected one: whether each is on this machine, and which it is."""
    from graasp_local.cli.tables import print_table
    from graasp_local.images.pins import shortened

    version = _version(context, version_text)
    engine = context.engine()
    engine.use_selection()
    found = engine.images_here(version)
    if json_object:
        images = [
            {"service": image.service, "image": image.image, "id": image.image_id or None, "bytes": image.bytes}
            for image in found
        ]
        print_json({"version": str(version), "images": images})
        return
    print_table(
        ("SERVICE", "IMAGE", "ID", "SIZE"),
        [
            (
                image.service,
                shortened(image.image),
                image.image_id.removeprefix("sha256:")[:12] or "not on this machine",
                f"{image.bytes / _MB:.0f} MB" if image.bytes is not None else "",
            )
            for image in found
        ],
    )


@command.command("pull")
@click.argument("version_text", metavar="VERSION")
@pass_context
def pull(context: Context, version_text: str) -> None:
    """Have the images of a version on this machine, for a deployment later on."""
    from graasp_local.clock import InterruptionFlag
    from graasp_local.operations.steps.having_images import pull_missing
    from graasp_local.operations.steps.preflight import check_images

    context.refuse_if_not_ours()
    version = _version(context, version_text)
    world = context.world(InterruptionFlag(), narrate_command)
    check_images(world, version)
    for line in pull_missing(world, version):
        say(line, err=True)
    say(f"All images of {version} are on this machine.")


@command.command("complete")
@click.argument("version_text", metavar="[VERSION]", required=False)
@pass_context
def complete(context: Context, version_text: str | None) -> None:
    """Add the programs that Graasp calls and published images lack, to the images of a version on this machine.

    Published images of core and workers cannot draw the thumbnail of a PDF, and core ends when one is uploaded. The
    image with what was missing takes the name of the other; the next deployment of the version uses it.
    """
    from graasp_local.engine.completing import complete_image
    from graasp_local.errors import Refused
    from graasp_local.images.recipes import PROGRAMS

    version = _version(context, version_text)
    site, engine = context.site, context.engine(narrate_command)
    images = {name: image for name, image in engine.images_of(version).items() if name in PROGRAMS}
    for image in images.values():
        if not engine.has_image(image):
            raise Refused(
                f"Not on this machine: {image}.",
                "Nothing was changed.",
                f"`graasp-local images pull {version}` fetches it; then complete it.",
            )
    changed = False
    for service, image in images.items():
        log = site.own_directory / "builds" / f"{version}-{service}-complete.log"
        for line in complete_image(engine, service, image, log, narrate_command):
            changed = True
            say(f"      {service}: {line}", err=True)
        say(f"  ✓ {service}: {image}", err=True)
    if not changed:
        say(f"The images of {version} lack nothing.")
        return
    say(f"The images of {version} are complete.")
    say(f"Next: graasp-local deploy --version {version}", err=True)


@command.command("save")
@click.argument("version_text", metavar="VERSION")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_context
def save(context: Context, version_text: str, file: Path) -> None:
    """Write the images of a version, of Graasp and of everything beside it, into one FILE."""
    from graasp_local.engine.archive import saved
    from graasp_local.errors import Refused, UsageError
    from graasp_local.images.archive import write_image_file
    from graasp_local.wording import listed

    version = _version(context, version_text)
    if file.exists():
        raise UsageError(f"{file} exists already.", "It was left as it is.", "Choose another name, or remove it.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no directory {file.parent}.", "Nothing was written.", "Make it, or choose another.")
    engine = context.engine(narrate_command)
    found = engine.images_here(version)
    absent = tuple(dict.fromkeys(image.image for image in found if not image.image_id))
    if absent:
        raise Refused(
            f"Not on this machine: {listed(absent)}.",
            "Nothing was written.",
            f"`graasp-local images pull {version}` fetches them.",
        )
    images = {image.service: image.image for image in found}
    chunks = saved(tuple(dict.fromkeys(images.values())), narrate_command)
    written = write_image_file(file, str(version), engine.facts().platform, images, chunks)
    for size in _now_and_then(written):
        say(f"      {size / _MB:.0f} MB written", err=True)
    say(f"Saved {len(images)} images of {version} in {file} ({file.stat().st_size / _MB:.0f} MB).")


@command.command("load")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_context
def load(context: Context, file: Path) -> None:
    """Load the images of a FILE that `images save` has written. Needs no site, and no network."""
    from graasp_local.engine import archive
    from graasp_local.engine.client import connect, engine_errors
    from graasp_local.errors import Refused, UsageError
    from graasp_local.images.archive import check_content, image_chunks, read_manifest

    if not file.is_file():
        raise UsageError(f"There is no file {file}.", "Nothing was loaded.")
    manifest = read_manifest(file)
    client = connect()
    with engine_errors():
        told = client.api.version()
    if (platform := f"{told['Os']}/{told['Arch']}") != manifest.platform:
        raise Refused(
            f"The images in {file} are made for {manifest.platform}, and this engine is {platform}.",
            "Nothing was loaded.",
            "Save them on a machine like this one.",
        )
    for size in _now_and_then(check_content(file, manifest)):
        say(f"      checked {size / _MB:.0f} of {manifest.bytes / _MB:.0f} MB", err=True)
    for line in archive.load(client, _counted(image_chunks(file), manifest.bytes)):
        say(f"      {line}", err=True)
    say(f"Loaded {len(manifest.images)} images of {manifest.version}.")
    say(f"Next: graasp-local deploy --version {manifest.version}", err=True)


def _counted(chunks: Iterable[bytes], total: int) -> Iterator[bytes]:
    size, last = 0, time.monotonic()
    for chunk in chunks:
        size += len(chunk)
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"      loaded {size / _MB:.0f} of {total / _MB:.0f} MB", err=True)
        yield chunk


def _now_and_then(sizes: Iterable[int]) -> Iterator[int]:
    """The sizes that are worth a line: one in two seconds. All are taken."""
    last = time.monotonic()
    for size in sizes:
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            yield size


def _version(context: Context, text: str | None) -> Version:
    from graasp_local.errors import UsageError
    from graasp_local.version import Version

    if text is not None:
        return Version.parse(text)
    selected = context.site.selected_version
    if selected is None:
        raise UsageError(
            "No version was deployed to this site yet.", "", "Name one: `graasp-local images list VERSION`."
        )
    return selected
