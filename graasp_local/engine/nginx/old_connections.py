"""Connections from before the gate closed, distinguished from later ones and ended. Implements ports.old_connections.

nginx checks the gate when a request arrives, and never again: a websocket, or a body that is still being sent,
continues. A reload gives everything that arrives later to new workers; the old ones keep what they have. Those
connections are cut on the service's side, so that clients waiting for an answer get the gate's; then the old workers
end, by a signal if necessary. In the container only their own user may signal them, since root there lacks that right
(CAP_KILL).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

from graasp_local.engine.containers.inside import SiteContainers, in_nginx
from graasp_local.engine.containers.services import SERVICE_LABEL
from graasp_local.engine.nginx import connections
from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import GROUP_LABEL

_NOT_BEHIND_THE_GATE = ("umami", "admin", "iframely")
_KEPT_OPEN = ("etherpad", "admin")
"""Their connections stay open, as websockets do."""

_ANSWERING_PORTS = (connections.CORE_PORT, 8080)
"""Of core and umami, and of the file server and the client's server."""

_HOPS = (connections.WEBSOCKET_PORT, connections.HANDOVER_WEBSOCKET_PORT)

_NAMES = 'for p in /proc/[0-9]*; do n=$(tr "\\0" " " <"$p/cmdline" 2>/dev/null) || continue'
_RELOAD = f"""
exec 2>/dev/null
master= workers= user=
{_NAMES}
  case $n in
  "nginx: master process"*) master=${{p#/proc/}} ;;
  "nginx: worker process is shutting down"*) ;;
  "nginx: worker process"*) workers="$workers ${{p#/proc/}}"; user=$(stat -c %u "$p") ;;
  esac
done
[ -n "$master" ] && [ -n "$workers" ] && kill -HUP "$master" || exit 1
tries=0
while [ $tries -lt 100 ]; do
  left=
  for w in $workers; do
    case $(tr "\\0" " " <"/proc/$w/cmdline" 2>/dev/null) in
    "nginx: worker process is shutting down"*) ;;
    "nginx: worker process"*) left=1 ;;
    esac
  done
  [ -n "$left" ] || {{ echo "$user"; exit 0; }}
  tries=$((tries + 1)); sleep 0.05
done
exit 1
"""
_CUT = r"""
command -v perl >/dev/null || exit 0
exec perl -e '
  socket(my $kernel, 16, 3, 4) or exit;
  for (@ARGV) {
    my ($own, $own_port, $other, $other_port) = split /[: ]/;
    my $ports = pack("nn", $own_port, $other_port);
    my ($from, $to) = map { pack("C4", split /\./) . ("\0" x 12) } $own, $other;
    my $which = $ports . $from . $to . pack("LLL", 0, 0xffffffff, 0xffffffff);
    defined(send($kernel, pack("LSSLL", 72, 21, 5, 1, 0) . pack("CCCCL", 2, 6, 0, 0, 0xfff) . $which, 0)) or exit;
    recv($kernel, my $answer, 65536, 0);
  }' -- "$@"
"""
"""Has the kernel end these connections, by SOCK_DESTROY of its socket diagnosis. If it cannot, or the image has no
perl, they end with their worker.
"""
_GO_BY_THEMSELVES = 40
"""How many polls of 0.05 s each workers have to give their last answers and end."""
_END = f"""
old() {{
  {_NAMES}
    case $n in "nginx: worker process is shutting down"*) echo "${{p#/proc/}}" ;; esac
  done
}}
signal=TERM tries=0
while [ $tries -lt 140 ]; do
  workers=$(old)
  [ -n "$workers" ] || exit 0
  [ $tries -lt 90 ] || signal=KILL
  [ $tries -lt {_GO_BY_THEMSELVES} ] || kill -$signal $workers 2>/dev/null
  tries=$((tries + 1)); sleep 0.05
done
exit 1
"""


_SETTLING_SECONDS = 0.1
_OBSERVATIONS_WHILE_SETTLING = 4
"""What an old worker accepted just before it was set apart reaches core a moment later, and counts as old too."""


class SiteOfNginx(SiteContainers, Protocol):
    """The site whose nginx it is."""

    def nginx_connections(self) -> str: ...


class DockerOldConnections:
    """The old connections of one site's nginx; remembers what was open when they were set apart."""

    def __init__(self, engine: SiteOfNginx) -> None:
        self._engine = engine
        self._user = ""
        self._before: frozenset[connections.Connection] = frozenset()

    def open(self) -> int:
        table = self._engine.nginx_connections()
        if _cannot_be_read(table):
            return 1  # or more, or none: what is not known to be closed is ended
        return len(self._to_services_but(_NOT_BEHIND_THE_GATE, connections.established(table)))

    def set_apart(self) -> bool:
        code, said = in_nginx(self._engine, ["sh", "-c", _RELOAD])
        if code != 0 or not said.strip().isdigit():
            return False
        self._user, self._before = said.strip(), connections.established(self._engine.nginx_connections())
        for _ in range(_OBSERVATIONS_WHILE_SETTLING):
            time.sleep(_SETTLING_SECONDS)
            self._before |= connections.established(self._engine.nginx_connections())
        return True

    def requests(self) -> int:
        table = self._engine.nginx_connections()
        if _cannot_be_read(table):
            return 1
        backends = [(address, port) for address in self._addresses_but(_KEPT_OPEN) for port in _ANSWERING_PORTS]
        return connections.requests_in_flight(connections.only(table, self._before), backends, _HOPS)

    def end(self) -> int:
        now = connections.established(self._engine.nginx_connections())
        left = self._to_services_but(_NOT_BEHIND_THE_GATE, now & self._before)
        if left:
            ends = (f"{':'.join(map(str, each.local))} {':'.join(map(str, each.remote))}" for each in left)
            in_nginx(self._engine, ["sh", "-c", _CUT, "sh", *ends], privileged=True)
        in_nginx(self._engine, ["sh", "-c", _END], user=self._user)
        return len(left)

    def _to_services_but(
        self, excepted: Collection[str], among: frozenset[connections.Connection]
    ) -> list[connections.Connection]:
        addresses = self._addresses_but(excepted)
        return [each for each in among if each.remote[0] in addresses]

    def _addresses_but(self, excepted: Collection[str]) -> set[str]:
        return {
            network["IPAddress"]
            for container in self._engine.containers()
            if container["Labels"].get(GROUP_LABEL) in (ServiceGroup.GRAASP, ServiceGroup.ADMINISTRATION)
            and container["Labels"].get(SERVICE_LABEL) not in excepted
            for network in container["NetworkSettings"]["Networks"].values()
            if network["IPAddress"]
        }


def _cannot_be_read(table: str) -> bool:
    return bool(table) and not connections.is_of_nginx(table)
