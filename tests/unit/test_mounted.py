"""Which files an override gives to services, and how it is rewritten to give them others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from graasp_local.errors import ConfigurationError
from graasp_local.stack.mounted import LARGEST_BYTES, NamedFile, files_named, with_others
from graasp_local.stack.services import content_of
from graasp_local.stack.trial import is_named_like_a_file

SITE, OWN = Path("/site"), Path("/site/.graasp-local")

OVERRIDE = """
x-logged: &logged
  volumes: ['./log.conf:/etc/log.conf:ro,z', data:/data]
services:
  core:
    <<: *logged
    labels: !reset null
    env_file: [core.env, {path: ./more.env, required: false}]
    secrets: [one, {source: two, target: /two}]
    ports: ["8080:8080"]
  nginx:
    volumes:
      - {type: bind, source: "${WHERE:-./conf}/a.conf", target: /a.conf, read_only: true}
      - {type: volume, source: data, target: /data}
      - $HERE/b.conf:/b.conf
      - ${GRAASP_STACK}/nginx/html:/html:ro
      - /run/own.sock:/own.sock
    env_file: nginx.env
secrets:
  one: {file: ./one.txt}
  two: {file: /elsewhere/two.txt}
  three: {environment: THREE}
configs:
  unused: {file: unused.txt}
"""
VALUES = {"HERE": "/here", "GRAASP_STACK": "/site/.graasp-local/stack"}


def named(override: str = OVERRIDE) -> dict[str, tuple[str, bool]]:
    found = files_named(override, VALUES, SITE, OWN)
    return {str(file.path): (" ".join(sorted(file.services)), file.read_only) for file in found}


def test_every_way_to_give_a_file_to_a_service_is_known() -> None:
    assert named() == {
        "/site/log.conf": ("core", True),
        "/site/core.env": ("core", True),
        "/site/more.env": ("core", True),
        "/site/one.txt": ("core", True),
        "/elsewhere/two.txt": ("core", True),
        "/site/conf/a.conf": ("nginx", True),
        "/here/b.conf": ("nginx", False),
        "/site/nginx.env": ("nginx", True),
        "/site/unused.txt": ("", True),
    }


def test_a_file_that_one_of_two_services_may_write_to_is_not_only_read() -> None:
    mounts = "services: {a: {volumes: ['./f:/f:ro']}, b: {volumes: ['./f:/f']}}"
    assert named(mounts) == {"/site/f": ("a b", False)}


@pytest.mark.parametrize(
    "override", ["", "services: {core: {mem_limit: 1g}}", "services: {core: {volumes: [data:/data]}}"]
)
def test_an_override_may_give_none(override: str) -> None:
    assert named(override) == {}


def test_what_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        named("volumes: [")


def test_an_override_is_rewritten_with_everything_else_in_it_the_same(tmp_path: Path) -> None:
    others = {file.named: Path("/kept") / file.path.name for file in files_named(OVERRIDE, VALUES, SITE, OWN)}
    text = with_others(OVERRIDE, VALUES, others)
    (tmp_path / "rewritten").write_text(text)
    content = content_of(tmp_path / "rewritten")
    core, nginx = content["services"]["core"], content["services"]["nginx"]
    assert core["volumes"] == ["/kept/log.conf:/etc/log.conf:ro,z", "data:/data"]
    assert core["env_file"] == ["/kept/core.env", {"path": "/kept/more.env", "required": False}]
    assert core["ports"] == ["8080:8080"]
    assert [mount["source"] for mount in nginx["volumes"][:2]] == ["/kept/a.conf", "data"]
    assert nginx["volumes"][2:] == [
        "/kept/b.conf:/b.conf",
        "${GRAASP_STACK}/nginx/html:/html:ro",
        "/run/own.sock:/own.sock",
    ]
    assert nginx["env_file"] == "/kept/nginx.env"
    assert [content["secrets"][name].get("file") for name in ("one", "two", "three")] == [
        "/kept/one.txt",
        "/kept/two.txt",
        None,
    ]
    assert content["configs"]["unused"] == {"file": "/kept/unused.txt"}
    tags = [node.tag for key, node in _service(text, "core") if key.value == "labels"]
    assert tags == ["!reset"]


def _service(text: str, name: str) -> list[tuple[yaml.Node, yaml.Node]]:
    tree: yaml.Node | None = yaml.compose(text)
    assert tree is not None
    services = next(value for key, value in tree.value if key.value == "services")
    found: list[tuple[yaml.Node, yaml.Node]] = next(value for key, value in services.value if key.value == name).value
    return found


def test_one_that_is_not_replaced_stays_as_it_was_written() -> None:
    text = with_others(OVERRIDE, VALUES, {"./log.conf": Path("/kept/log.conf")})
    assert "$HERE/b.conf:/b.conf" in text
    assert "${WHERE:-./conf}/a.conf" in text


def a_file(path: Path, content: bytes, *, read_only: bool) -> NamedFile:
    path.write_bytes(content)
    return NamedFile(path.name, path, frozenset({"core"}), read_only)


@pytest.mark.parametrize(
    ("content", "read_only", "counts"),
    [
        (b"text", False, True),
        (b"a picture\0", True, True),
        (b"a database\0", False, False),
        (b" " * LARGEST_BYTES, False, True),
        (b" " * (LARGEST_BYTES + 1), True, False),
    ],
)
def test_data_is_not_taken_for_configuration(tmp_path: Path, content: bytes, read_only: bool, counts: bool) -> None:
    assert (a_file(tmp_path / "f", content, read_only=read_only).content() is not None) == counts


def test_a_directory_counts_if_it_is_small_and_only_read(tmp_path: Path) -> None:
    below = tmp_path / "conf" / "below"
    below.mkdir(parents=True)
    (below / "a").write_text("a")
    read, written = (NamedFile("conf", below.parent, frozenset(), only) for only in (True, False))
    before = read.content()
    assert (before is not None, written.content()) == (True, None)
    (below / "a").rename(below / "b")
    assert read.content() not in (None, before)
    (below / "c").symlink_to("nowhere")
    assert read.content() is None
    (below / "c").unlink()
    (below / "large").write_bytes(b" " * LARGEST_BYTES)
    assert read.content() is None


def test_an_older_file_put_in_its_place_counts_as_a_change(tmp_path: Path) -> None:
    file = a_file(tmp_path / "f", b"new", read_only=True)
    before = file.changed_at()
    os.utime(a_file(tmp_path / "old", b"old", read_only=True).path, (1.0, 1.0))
    (tmp_path / "old").replace(file.path)
    assert file.path.stat().st_mtime == 1.0
    assert file.changed_at() >= before


@pytest.mark.parametrize(
    ("name", "is_file"),
    [("start.conf", True), ("a.json", True), (".env", False), ("conf.d", False), ("v1.2", False), ("data", False)],
)
def test_an_ending_tells_a_file(name: str, is_file: bool) -> None:
    assert is_named_like_a_file(Path("/site") / name) == is_file
