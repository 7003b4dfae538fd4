"""An engine for this checkout's matrix only, on a separate disk that can be filled, so faults affect nothing else."""

from __future__ import annotations

import hashlib
import subprocess
from contextlib import closing
from pathlib import Path

import docker

from tests.matrix.small_disk import SmallDisk

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "private-engine"
DEMO_IMAGES = "localhost/graasp-demo/*"
DISK_BYTES = 12 * 1024**3
"""The file is sparse: it takes only as much of the machine's disk as the engine uses."""


class PrivateEngine:
    """The engine, with the demo images of the machine's engine; they are loaded once and kept."""

    def __init__(self) -> None:
        place = hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:8]
        self.disk = SmallDisk(Path(f"/var/tmp/graasp-local-matrix-{place}"), DISK_BYTES)
        self.directory = self.disk.directory / "engine"
        self.docker_host = f"unix://{self.directory}/docker.sock"

    def start(self) -> None:
        self.disk.mount()
        self._run("start")

    def kill(self) -> None:
        """SIGKILL the daemon: its containers continue without it."""
        self._run("kill")

    def cut_power(self) -> None:
        """SIGKILL the daemon, its containerd and all containers at once."""
        self._run("cut")

    def stop(self) -> None:
        self._run("stop")
        self.disk.unmount()

    def load_demo_images(self) -> None:
        with closing(docker.from_env()) as machine, closing(docker.DockerClient(base_url=self.docker_host)) as own:
            wanted, there = _images_by_tag(machine), _images_by_tag(own)
        missing = [tag for tag, identity in wanted.items() if there.get(tag) != identity]
        if missing:
            save = subprocess.Popen(["docker", "save", *missing], stdout=subprocess.PIPE)
            subprocess.run(
                ["docker", "--host", self.docker_host, "load", "--quiet"],
                stdin=save.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            assert save.wait() == 0

    def _run(self, verb: str) -> None:
        subprocess.run([SCRIPT, verb, self.directory], check=True, timeout=180, stdout=subprocess.DEVNULL)


def _images_by_tag(client: docker.DockerClient) -> dict[str, str]:
    # An image without layers only marks that the others were built; it cannot be saved.
    return {
        tag: str(image.id)
        for image in client.images.list(DEMO_IMAGES)
        if image.attrs["RootFS"].get("Layers")
        for tag in image.tags
    }
