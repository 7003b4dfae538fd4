"""What more machines cost: `status`, a change of state, and the time for which a deployment closes the site."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from measuring import shown

from tests.integration.private_swarm import SwarmSite, other_version, running_swarm

COUNTS = (1, 2, 3)
HEADINGS = (
    "machines",
    "cores",
    "status",
    "apply restricted, then running",
    "a deployment closes the site for",
    "a deployment takes",
    "a rolling one takes",
)
_LOOKS = 5


@contextmanager
def swarm_site() -> Iterator[SwarmSite]:
    """A site with 1.1.0 on three engines in network namespaces of this machine (scripts/private-swarm)."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place, running_swarm(Path(place) / "machines") as swarm:
        site = SwarmSite(Path(place) / "site", swarm)
        for version in ("1.0.0", "1.2.0", "1.1.0"):  # from here on, every machine has the images of both
            site.deploy(version, "--no-backup")
        yield site


def node_rows(site: SwarmSite, rounds: int) -> list[tuple[str, ...]]:
    """A row for each number of machines, with one core on each, medians. The deployments migrate nothing.

    All numbers take their turn in each round.
    """
    taken: dict[int, list[list[float]]] = {count: [[], [], [], [], []] for count in COUNTS}
    for _ in range(rounds):
        for count in COUNTS:
            _use(site, count)
            looks, changes, closed, deployments, rolling = taken[count]
            looks += [_seconds(lambda: site.run("status")) for _ in range(_LOOKS)]
            changes.append(_seconds(lambda: (site.run("apply", "restricted"), site.run("apply", "running"))))
            for strategy, told in (("closed", deployments), ("rolling", rolling)):
                ended = site.deploy(other_version(site), "--no-backup", "--strategy", strategy)
                told.append(float(ended["seconds"]))
                if strategy == "closed":
                    closed.append(float(ended["downtime_seconds"]))
    return [(f"{count}", f"{count}", *(shown(median(figures)) for figures in taken[count])) for count in COUNTS]


def _use(site: SwarmSite, count: int) -> None:
    """Have the first machines take tasks, one core each, and the others none."""
    for number, node in enumerate(site.swarm.nodes, 1):
        availability = "active" if number <= count else "drain"
        site.swarm.front.docker("node", "update", "--availability", availability, node.name)
    site.configure(CORE_REPLICAS=str(count))
    site.run("apply", "restricted")
    site.run("apply", "running")


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
