"""Tags of a site's own for the demo images, so that a test can let them lead elsewhere."""

from __future__ import annotations

import re
import uuid

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker

SERVICES = ("core", "workers", "migrate")


def image(service: str, version: str) -> str:
    """The demo image of a service, as others have it too."""
    return f"localhost/graasp-demo/graasp:{service}-v{version}"


class OwnTags:
    """Takes a site to tags that are no one else's; they begin as the demo images of these versions."""

    def __init__(self, site: DemoSite, *versions: str) -> None:
        self.repository = f"localhost/moved-{uuid.uuid4().hex[:8]}/graasp"
        self.site = site
        env = site.directory / ".env"
        text = re.sub(r"^GRAASP_REPOSITORY=.*$", f"GRAASP_REPOSITORY={self.repository}", env.read_text(), flags=re.M)
        env.write_text(text)
        for version in versions:
            for service in SERVICES:
                self.point(service, version, image(service, version))

    def tag(self, service: str, version: str) -> str:
        return f"{self.repository}:{service}-v{version}"

    def point(self, service: str, version: str, source: str) -> None:
        docker("tag", source, self.tag(service, version))

    def point_to_other_build(self, service: str, version: str) -> str:
        """To an image that behaves as the demo image does and is another one; returns its id."""
        source = f"FROM {image(service, version)}\nLABEL build={uuid.uuid4().hex}\n"
        docker("build", "--quiet", "--tag", self.tag(service, version), "-", text=source)
        return docker("image", "inspect", "--format", "{{.Id}}", self.tag(service, version))

    def core(self) -> str:
        """The id of the image that core runs."""
        return str(self.site.containers()["core"]["Image"])

    def forget(self) -> None:
        tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={self.repository}")
        docker("rmi", *tags.split())
