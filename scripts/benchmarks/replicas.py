"""What more cores cost: `status`, a change of state, and the time for which a deployment closes it."""

from __future__ import annotations

import time
from statistics import median

from bench_site import AFTER, GRAASP_LOCAL, BenchSite
from measuring import shown, timed

COUNTS = (1, 2, 4, 8)
HEADINGS = (
    "cores",
    "status",
    "apply restricted, then running",
    "a deployment closes the site for",
    "compared with one core",
)


def replica_rows(site: BenchSite, rounds: int) -> list[tuple[str, ...]]:
    """A row for each number of cores, medians; the deployment has one migration, and its downtime is a visitor's.

    All numbers take their turn in each round.
    """
    site.run("apply", "db-only")
    site.remember_database()
    looks: dict[int, list[float]] = {count: [] for count in COUNTS}
    changes: dict[int, list[float]] = {count: [] for count in COUNTS}
    closed: dict[int, list[float]] = {count: [] for count in COUNTS}
    status = [GRAASP_LOCAL, "--site", str(site.directory), "status"]
    for _ in range(rounds):
        for count in COUNTS:
            site.configure("CORE_REPLICAS", str(count))
            site.restore_rows()
            looks[count] += [timed(status) for _ in range(3)]
            began = time.perf_counter()
            site.run("apply", "restricted")
            site.run("apply", "running")
            changes[count].append(time.perf_counter() - began)
            with site.probed(closed[count]):
                site.deploy(AFTER)
    one = median(closed[COUNTS[0]])
    return [
        (
            str(count),
            shown(median(looks[count])),
            shown(median(changes[count])),
            shown(median(closed[count])),
            f"{median(closed[count]) / one:.2f}",
        )
        for count in COUNTS
    ]
