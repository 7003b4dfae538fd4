"""`graasp-local build --version X`."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, narrate_command, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.images.recipes import BuildSettings, Recipe, Repository
    from graasp_local.settings import Settings
    from graasp_local.version import Version

_NAMES = ("core", "workers", "migrate", "client")


@click.command("build")
@click.option("--version", "version_text", required=True, help="The version, such as 2.14.2.")
@click.option(
    "--from",
    "checkout",
    type=click.Path(path_type=Path),
    help="Build from this checkout of Graasp instead of cloning the version's tag.",
)
@click.option("--client-from", type=click.Path(path_type=Path), help="Build from this checkout of the client.")
@click.option("--client-tag", help="Build this tag of the client. Default: the tag that belongs to the version.")
@click.option(
    "--only", "services", multiple=True, type=click.Choice(_NAMES), help="Build only this image. Can be repeated."
)
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object at the end.")
@pass_context
def command(
    context: Context,
    version_text: str,
    *,
    checkout: Path | None,
    client_from: Path | None,
    client_tag: str | None,
    services: tuple[str, ...],
    json_object: bool,
) -> None:
    """Build the images of a version from its sources, for this engine's platform.

    Use this if the published images are for another platform, and for the web client, which is not published as an
    image. The site does not change until you deploy the version.
    """
    from graasp_local.engine.containers.of_project import refuse_podman
    from graasp_local.engine.images.building import Build, build_image
    from graasp_local.engine.images.completing import complete_image
    from graasp_local.errors import UsageError
    from graasp_local.images.checkout import clone, require_sources
    from graasp_local.images.recipes import RECIPES, Repository, build_arguments, tag_of
    from graasp_local.version import Version
    from graasp_local.wording import listed

    version = Version.parse(version_text)
    refuse_podman()
    context.refuse_if_not_ours()
    site = context.site
    images = context.engine().images_of(version)
    recipes = tuple(r for r in RECIPES if r.service in images and (not services or r.service in services))
    if not recipes:
        raise UsageError(
            f"This site does not use {listed(services) or 'any image that can be built'}: the profile is off.",
            "Nothing was built.",
            "Add the profile to COMPOSE_PROFILES in .env, then build again.",
        )
    given = {Repository.BACKEND: checkout, Repository.CLIENT: client_from}
    tags = {Repository.BACKEND: tag_of(version)}
    if any(recipe.repository is Repository.CLIENT for recipe in recipes):
        tags[Repository.CLIENT] = client_tag or _client_tag(version, client_from)
    told = _settings(site.settings, datetime.now(UTC).isoformat(timespec="seconds"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="graasp-local-build-") as temporary:
        sources: dict[Repository, Path] = {}
        for recipe in recipes:
            repository = recipe.repository
            if repository in sources:
                continue
            named = given[repository]
            if named is not None:
                require_sources(named)
                sources[repository] = named.resolve()
            else:
                sources[repository] = Path(temporary) / repository.name.lower()
                clone(repository.value, tags[repository], sources[repository], narrate_command)
        for recipe in recipes:
            build = Build(
                images[recipe.service],
                _dockerfile(recipe, sources[recipe.repository]),
                sources[recipe.repository],
                build_arguments(recipe, tags[recipe.repository], told),
                site.own_directory / "builds" / f"{version}-{recipe.service}.log",
            )
            for line in build_image(build, narrate_command):
                say(f"      {recipe.service}: {line}", err=True)
            for line in complete_image(context.engine(), recipe.service, build.image, build.log, narrate_command):
                say(f"      {recipe.service}: {line}", err=True)
            say(f"  ✓ {recipe.service}: {build.image}", err=True)
    seconds = round(time.monotonic() - began, 1)
    built = {recipe.service: images[recipe.service] for recipe in recipes}
    if json_object:
        print_json({"version": str(version), "images": built, "seconds": seconds})
        return
    say(f"Built {len(built)} image{'s' if len(built) > 1 else ''} of {version} in {seconds:g} s.")
    say(f"Next: graasp-local deploy --version {version}", err=True)


def _client_tag(version: Version, checkout: Path | None) -> str:
    """The tag of the client that belongs to a version of core. Raises Refused if that is unknown."""
    from graasp_local.errors import Refused
    from graasp_local.images.recipes import client_version, tag_of

    known = client_version(version)
    if known is None and checkout is None:
        raise Refused(
            f"graasp-local does not know which version of the client belongs to {version}.",
            "Nothing was built. The client has its own version numbers, and a tag of the same name may be years old.",
            "Pass --client-tag vX.Y.Z from the client's releases, or build without the client (--only).",
        )
    return tag_of(known or version)


def _settings(settings: Settings, timestamp: str) -> BuildSettings:
    from urllib.parse import urlsplit

    from graasp_local.images.recipes import BuildSettings

    values = settings.values
    url = urlsplit(settings.public_url)
    port = f":{url.port}" if url.port else ""
    counts = values.get("UMAMI_WEBSITE_ID", "")
    return BuildSettings(
        settings.public_url,
        timestamp,
        values.get("SHORT_LINK_BASE_URL", ""),
        values.get("RECAPTCHA_SITE_KEY", ""),
        f"{url.scheme}://{values['UMAMI_HOST']}{port}" if counts else "",
        counts,
    )


def _dockerfile(recipe: Recipe, sources: Path) -> Path:
    """The Dockerfile in the sources; for the client, if its sources have none, the one in the stack."""
    from graasp_local.errors import Refused
    from graasp_local.images.recipes import Repository
    from graasp_local.stack.services import stack_directory

    own = sources / recipe.dockerfile
    if own.is_file():
        return own
    if recipe.repository is Repository.CLIENT:
        return stack_directory() / "compose" / "client.Dockerfile"
    raise Refused(
        f"{sources} has no {recipe.dockerfile}.", "Nothing was built.", "Pass a checkout of Graasp's sources."
    )
