"""Versions of Graasp that call things by other names: each is deployed, and found to be what it is, on one site."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker

OLD = """\
RUN sed -i -e 's#"/api/#"/#' -e 's/^SECURE_SESSION/CLIENT_HOST SECURE_SESSION/' \\
    -e 's/return web.json_response({"version".*/return web.Response(text=f"{said} @ {STARTED}")/' core.py
"""
"""As Graasp was before 2.10.4: no /api, the version as plain text, and it does not start without CLIENT_HOST."""

NEW = "RUN sed -i 's/^SECURE_SESSION/PUBLIC_URL SECURE_SESSION/' core.py\n"
"""As Graasp is from 2.14 on: it does not start without PUBLIC_URL."""


@pytest.fixture
def repository() -> Iterator[str]:
    """Two versions made from a demo version: 7.0.0 has the old names, 7.1.0 the new ones."""
    name = f"localhost/gltest-{uuid.uuid4().hex[:8]}"
    for version, changes in (("7.0.0", OLD), ("7.1.0", NEW)):
        for service in ("core", "workers", "migrate"):
            text = f"FROM localhost/graasp-demo/graasp:{service}-v1.2.0\nENV APP_VERSION=v{version}\n"
            if service == "core":
                text += f"USER root\n{changes}USER node\n"
            docker("build", "--quiet", "--tag", f"{name}:{service}-v{version}", "-", text=text)
    yield name
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name}").split()
    docker("rmi", "--force", *tags)


def test_a_version_with_the_old_names_and_one_with_the_new_are_deployed(new_site: DemoSite, repository: str) -> None:
    new_site.configure(GRAASP_REPOSITORY=repository)
    assert new_site.deploy("7.0.0")["outcome"] == "done"
    assert new_site.ask("/version").body.startswith("v7.0.0 @ ")
    assert new_site.ask("/api/version").status == 404
    assert new_site.deploy("7.1.0")["outcome"] == "done"
    assert new_site.ask("/api/version").json()["version"] == "v7.1.0"
    assert new_site.ask("/version").status == 404
    assert new_site.deploy("7.0.0")["outcome"] == "done"
