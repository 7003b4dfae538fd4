"""The docker client's configuration: what in it keeps a registry from being asked is a refusal that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite

AWAY = "registry.invalid/graasp/graasp"
HELPER = "docker-credential-failing"

FILES = {
    "a helper that is not installed": (
        {"credsStore": "not-installed"},
        "names the credential helper docker-credential-not-installed",
    ),
    "one for this registry": (
        {"credHelpers": {"registry.invalid": "not-installed"}},
        "names the credential helper docker-credential-not-installed (credHelpers, registry.invalid)",
    ),
    "a helper that fails": ({"credsStore": "failing"}, "did not return a login"),
    "no JSON": ("{", "is not valid JSON"),
    "no object": ("[]", "is not the docker client's configuration"),
    "helpers of no sense": ({"credHelpers": ["x"]}, "credHelpers in it has the wrong type"),
    "logins of no sense": ({"auths": {"registry.invalid": "x"}}, "cannot be used"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DemoSite:
    """Its images are nowhere."""
    site = DemoSite(tmp_path_factory.mktemp("login") / "site")
    site.configure(GRAASP_REPOSITORY=AWAY)
    return site


def environment(directory: Path, content: object) -> dict[str, str]:
    import os

    directory.joinpath("config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    helper = directory / HELPER
    helper.write_text("#!/bin/sh\necho no keychain >&2\nexit 1\n")
    helper.chmod(0o755)
    return {"DOCKER_CONFIG": str(directory), "PATH": f"{directory}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("content", "said"), FILES.values(), ids=FILES)
def test_a_login_that_cannot_be_used_is_refused_with_the_files_name(
    site: DemoSite, tmp_path: Path, content: object, said: str
) -> None:
    env = environment(tmp_path, content)
    for words in (["deploy", "--version", "9.9.9", "-y"], ["images", "pull", "9.9.9"]):
        done = site.run(*words, code=10, env=env)
        assert str(tmp_path / "config.json") in done.stderr, done.stderr
        assert said in done.stderr
        assert "Warning" not in done.stderr
    site.run("doctor", "--version", "9.9.9", env=env, code=10)


def test_a_helper_for_another_registry_does_not_matter(site: DemoSite, tmp_path: Path) -> None:
    env = environment(tmp_path, {"credHelpers": {"elsewhere.example": "not-installed"}})
    said = site.run("deploy", "--version", "9.9.9", "-y", code=10, env=env).stderr
    assert "not-installed" not in said


def test_a_file_that_is_a_directory_is_named(site: DemoSite, tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    said = site.run("deploy", "--version", "9.9.9", "-y", code=10, env={"DOCKER_CONFIG": str(tmp_path)}).stderr
    assert f"{tmp_path / 'config.json'}, where docker keeps logins, cannot be read" in said
