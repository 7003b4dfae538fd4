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
    """List, pull, complete, save or load the images of a version."""


@command.command("list")
@click.argument("version_text", metavar="[VERSION]", required=False)
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def list_images(context: Context, version_text: str | None, *, json_object: bool) -> None:
    """List the images of a version. Default: the selected version."""
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
                image.image_id.removeprefix("sha256:")[:12] or "not on the engine",
                f"{image.bytes / _MB:.0f} MB" if image.bytes is not None else "",
            )
            for image in found
        ],
    )


@command.command("pull")
@click.argument("version_text", metavar="VERSION")
@pass_context
def pull(context: Context, version_text: str) -> None:
    """Pull the images of a version now, to deploy it later."""
    from graasp_local.clock import InterruptionFlag
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.operations.steps.having_images import pull_missing
    from graasp_local.operations.steps.preflight import check_images

    refuse_podman()
    context.refuse_if_not_ours()
    version = _version(context, version_text)
    world = context.world(InterruptionFlag(), narrate_command)
    check_images(world, version)
    for line in pull_missing(world, version):
        say(line, err=True)
    say(f"All images of {version} are on the engine.")


@command.command("complete", short_help="Add the programs for PDF thumbnails that published images lack.")
@click.argument("version_text", metavar="[VERSION]", required=False)
@pass_context
def complete(context: Context, version_text: str | None) -> None:
    """Add the programs for PDF thumbnails, which the published images of core and workers lack.

    Without them, core crashes when a PDF is uploaded. Each completed image replaces the published one under the same
    name, and the next deployment of the version uses it.
    """
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.engine.images.completing import complete_image
    from graasp_local.errors import Refused
    from graasp_local.images.recipes import PROGRAMS

    refuse_podman()
    version = _version(context, version_text)
    site, engine = context.site, context.engine(narrate_command)
    images = {name: image for name, image in engine.images_of(version).items() if name in PROGRAMS}
    for image in images.values():
        if not engine.has_image(image):
            raise Refused(
                f"Not on the engine: {image}.",
                "Nothing was changed.",
                f"`graasp-local images pull {version}` pulls it; then run this again.",
            )
    changed = False
    for service, image in images.items():
        log = site.own_directory / "builds" / f"{version}-{service}-complete.log"
        for line in complete_image(engine, service, image, log, narrate_command):
            changed = True
            say(f"      {service}: {line}", err=True)
        say(f"  ✓ {service}: {image}", err=True)
    if not changed:
        say(f"The images of {version} are already complete.")
        return
    say(f"Completed the images of {version}.")
    say(f"Next: graasp-local deploy --version {version}", err=True)


@command.command("save", short_help="Save the images of a version to one FILE.")
@click.argument("version_text", metavar="VERSION")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_context
def save(context: Context, version_text: str, file: Path) -> None:
    """Save the images of a version, Postgres and nginx included, to one FILE."""
    from graasp_local.engine.images.archive import saved
    from graasp_local.errors import Refused, UsageError
    from graasp_local.images.archive import write_image_file
    from graasp_local.wording import listed

    version = _version(context, version_text)
    if file.exists():
        raise UsageError(f"{file} already exists.", "It was not changed.", "Choose another name, or remove that file.")
    if not file.parent.is_dir():
        raise UsageError(
            f"There is no directory {file.parent}.", "Nothing was written.", "Create it, or choose another directory."
        )
    engine = context.engine(narrate_command)
    found = engine.images_here(version)
    absent = tuple(dict.fromkeys(image.image for image in found if not image.image_id))
    if absent:
        raise Refused(
            f"Not on the engine: {listed(absent)}.",
            "Nothing was written.",
            f"`graasp-local images pull {version}` pulls them.",
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
    """Load the images from a FILE written by `images save`. Needs neither a site nor a network."""
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.engine.images import archive
    from graasp_local.engine.reach.client import connect, engine_errors
    from graasp_local.errors import Refused, UsageError
    from graasp_local.images.archive import check_content, image_chunks, read_manifest

    if not file.is_file():
        raise UsageError(f"There is no file {file}.", "Nothing was loaded.")
    refuse_podman()
    manifest = read_manifest(file)
    client = connect()
    with engine_errors():
        told = client.api.version()
    if (platform := f"{told['Os']}/{told['Arch']}") != manifest.platform:
        raise Refused(
            f"The images in {file} are made for {manifest.platform}, but this engine is {platform}.",
            "Nothing was loaded.",
            f"Save them on a machine whose engine is {platform}.",
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
    """The sizes to report, one every two seconds; all of them are consumed."""
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
            "No version has been deployed to this site yet.", "", "Pass the version to use, such as 2.14.2."
        )
    return selected
