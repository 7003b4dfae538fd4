"""A version's images as one file: complete or not there, and what is wrong with one is said before it is loaded."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from graasp_local.errors import Refused
from graasp_local.images.archive import check_content, image_chunks, read_manifest, write_image_file
from graasp_local.images.recipes import RECIPES, SERVICES_TO_BUILD, BuildSettings, build_arguments, client_version
from graasp_local.version import Version

IMAGES = {"core": "graasp:core-v1.0.0"}
CONTENT = [b"a" * 1000, b"b" * 777]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "graasp-1.0.0.images"
    assert list(write_image_file(file, "1.0.0", "linux/amd64", IMAGES, CONTENT)) == [1000, 1777]
    return file


def test_what_was_written_is_read_again(file: Path) -> None:
    manifest = read_manifest(file)
    assert (manifest.version, manifest.platform, manifest.images, manifest.bytes) == (
        "1.0.0",
        "linux/amd64",
        IMAGES,
        1777,
    )
    assert b"".join(image_chunks(file)) == b"".join(CONTENT)
    assert list(check_content(file, manifest))[-1] == 1777


def test_it_is_a_tar_archive_that_other_tools_read(file: Path) -> None:
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["images.tar", "graasp-local.json"]


def test_nothing_is_left_behind_when_it_is_cut_short(tmp_path: Path) -> None:
    def until_the_disk_is_full() -> Iterator[bytes]:
        yield b"some"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        list(write_image_file(tmp_path / "x", "1.0.0", "linux/amd64", IMAGES, until_the_disk_is_full()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 100, 1500, 2100])
def test_half_a_file_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(Refused, match="is not a complete file"):
        read_manifest(file)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("something else\n" * 100)
    with pytest.raises(Refused, match="is not a complete file"):
        read_manifest(tmp_path / "x")


def test_a_damaged_byte_is_found_before_anything_is_loaded(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[900] ^= 1
    file.write_bytes(content)
    with pytest.raises(Refused, match="changed or damaged"):
        list(check_content(file, read_manifest(file)))


def test_what_is_built_into_an_image() -> None:
    settings = BuildSettings("https://graasp.test", "2026-01-02T03:04:05+00:00", recaptcha_site_key="6Lc-site")
    arguments = {recipe.service: build_arguments(recipe, "v2.14.2", settings) for recipe in RECIPES}
    told = {"APP_VERSION": "v2.14.2", "BUILD_TIMESTAMP": "2026-01-02T03:04:05+00:00"}
    assert arguments["core"] == arguments["migrate"] == told
    assert arguments["client"]["VITE_GRAASP_REDIRECTION_HOST"] == "https://graasp.test/api/items/short-links"
    assert arguments["client"]["VITE_RECAPTCHA"] == "6Lc-site"
    assert arguments["client"]["VITE_GRAASP_WS_HOST"] == "wss://graasp.test/api/ws"
    assert arguments["client"]["VITE_UMAMI_WEBSITE_ID"] == ""  # not left out: "undefined" would be counted
    assert SERVICES_TO_BUILD == ("core", "workers", "migrate", "client")


@pytest.mark.parametrize(
    ("core", "client"),
    [
        ("2.9.3", "2.31.2"),
        ("2.12.0", "2.36.0"),
        ("2.13.7", "2.38.0"),
        ("2.14.2", "2.38.2"),
        ("2.14.9", "2.38.2"),
        ("2.15.0", None),
        ("2.8.1", None),
        ("3.0.0", None),
    ],
)
def test_the_client_that_goes_with_a_version_of_core_and_none_where_that_is_not_known(core: str, client: str) -> None:
    assert client_version(Version.parse(core)) == (Version.parse(client) if client else None)
