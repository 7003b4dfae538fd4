"""What one machine carries: requests per second, and how much processor time each service spends on a request.

The load comes from wrk on the same machine, which takes its share of the processors: so the rate is a lower bound, and
the processor time per request says more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from measuring import shown

from graasp_local.engine.site.docker_engine import engine_for
from graasp_local.site.site import Site

HEADINGS = ("request", "at once", "a second", "median", "99 %", "failed", "processor time for one request")
_SECONDS = 15
_WARM_UP_SECONDS = 3
_CONNECTIONS = (4, 32)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def load_rows(site: Site, paths: Sequence[str], header: str | None = None) -> list[tuple[str, ...]]:
    """A row for each path and number of connections; `header` is sent with each request, a session cookie for example.

    The site has to be running. Nothing is written, if the paths do not write.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("The load needs wrk: on Debian, apt-get install wrk.")
    return [_row(site, path, count, header) for path in paths for count in _CONNECTIONS]


def _row(site: Site, path: str, connections: int, header: str | None) -> tuple[str, ...]:
    url = f"http://127.0.0.1:{site.settings.port}{path}"
    _wrk(url, connections, _WARM_UP_SECONDS, header)
    before = _processor_seconds(site)
    said = _wrk(url, connections, _SECONDS, header)
    spent = {name: seconds - before.get(name, seconds) for name, seconds in _processor_seconds(site).items()}
    requests = int(_found(r"(\d+) requests in", said))
    failed = int(_found(r"Non-2xx or 3xx responses: (\d+)", said, "0"))
    shares = sorted(((seconds / requests, name) for name, seconds in spent.items()), reverse=True)
    return (
        path,
        str(connections),
        f"{requests / _SECONDS:.0f}",
        shown(_seconds(said, "50%")),
        shown(_seconds(said, "99%")),
        str(failed),
        ", ".join(f"{name} {shown(each)}" for each, name in shares if each >= 0.00005),
    )


def _wrk(url: str, connections: int, seconds: int, header: str | None) -> str:
    extra = ["--header", header] if header else []
    words = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
    return subprocess.run([*words, *extra, url], capture_output=True, text=True, check=True).stdout


def _processor_seconds(site: Site) -> dict[str, float]:
    """Of each running service since its container started, both kinds of time, all containers together."""
    client, spent = engine_for(site).client, dict[str, float]()
    filters = {"label": f"com.docker.compose.project={site.settings.project}"}
    for container in client.api.containers(filters=filters):
        usage = client.api.stats(container["Id"], stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]
        name = container["Labels"]["com.docker.compose.service"]
        spent[name] = spent.get(name, 0.0) + usage["total_usage"] / 1e9
    return spent


def _seconds(said: str, share: str) -> float:
    number, unit = re.findall(rf"{share}\s+([\d.]+)(us|ms|s|m)\b", said)[0]
    return float(number) * _UNITS[unit]


def _found(pattern: str, said: str, otherwise: str = "") -> str:
    found = re.search(pattern, said)
    if found is None and not otherwise:
        raise SystemExit(f"wrk answered something else:\n{said}")
    return found.group(1) if found else otherwise
