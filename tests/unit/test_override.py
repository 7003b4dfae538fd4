"""What a site's own compose file asks for is told by the service's name: in `config check`, by doctor, in the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.errors import ConfigurationError
from graasp_local.settings.rules import Severity
from graasp_local.site.check import Finding, check_configuration, told_powers
from graasp_local.site.create import init_site
from graasp_local.site.prepare import select
from graasp_local.site.site import Site
from graasp_local.stack.powers import powers
from graasp_local.version import Version

SITE = "/srv/graasp"
SOCKET = "gives x the engine's socket"
GIVEN = {
    "privileged: true": "gives x all rights of the host (privileged)",
    "privileged: 'true'": "gives x all rights of the host (privileged)",
    "network_mode: host": "gives x the host's network namespace (network_mode: host)",
    "pid: host": "gives x the host's process namespace (pid: host)",
    "ipc: host": "gives x the host's IPC namespace (ipc: host)",
    "userns_mode: host": "gives x the host's user namespace (userns_mode: host)",
    "uts: host": "gives x the host's UTS namespace (uts: host)",
    "cgroup: host": "gives x the host's cgroup namespace (cgroup: host)",
    "pid: 'container:other'": "gives x the process namespace of another container (pid: container:other)",
    "cap_add: [SYS_ADMIN, NET_ADMIN]": "gives x more capabilities (SYS_ADMIN, NET_ADMIN)",
    "devices: [/dev/sda]": "gives x devices of the host (devices)",
    "device_cgroup_rules: ['b *:* rwm']": "gives x devices of the host (device_cgroup_rules)",
    "gpus: all": "gives x devices of the host (gpus)",
    "security_opt: ['seccomp:unconfined']": "gives x less confinement (seccomp: unconfined)",
    "security_opt: ['apparmor=unconfined']": "gives x less confinement (apparmor: unconfined)",
    "security_opt: ['label:disable']": "gives x less confinement (label: disable)",
    "security_opt: ['systempaths=unconfined']": "gives x less confinement (systempaths: unconfined)",
    "security_opt: ['no-new-privileges:false']": "gives x less confinement (no-new-privileges: false)",
    "security_opt: []": "gives x less confinement (an empty security_opt)",
    "cap_drop: []": "gives x less confinement (an empty cap_drop)",
    "use_api_socket: true": "gives x the engine's socket (use_api_socket)",
    "volumes_from: ['container:other']": "gives x the volumes of another container (container:other)",
    "provider: {type: anything}": "gives x a program on this machine that Compose runs (provider)",
    "post_start: [{command: id, privileged: true}]": (
        "gives x a command with all rights of the host (post_start: privileged)"
    ),
    "volumes: ['/var/run/docker.sock:/var/run/docker.sock']": f"{SOCKET} (/var/run/docker.sock)",
    "volumes: ['/run/user/1000/docker.sock:/s:ro']": f"{SOCKET} (/run/user/1000/docker.sock)",
    "volumes: [{type: bind, source: /run/podman/podman.sock, target: /s}]": f"{SOCKET} (/run/podman/podman.sock)",
    "volumes: ['${SOCK}:/s']": f"{SOCKET} (/var/run/docker.sock)",
    "volumes: ['$SOCK:/s']": f"{SOCKET} (/var/run/docker.sock)",
    "volumes: ['${OTHER:-/var/run/docker.sock}:/s']": f"{SOCKET} (/var/run/docker.sock)",
    "volumes: ['/var/run:/run']": "gives x the host's /var/run, with the engine's socket in it",
    "volumes: ['/:/host']": "gives x the host's root directory (/)",
    "volumes: ['//:/host']": "gives x the host's root directory (/)",
    "volumes: ['/srv/..:/host']": "gives x the host's root directory (/)",
    "volumes: ['../..:/host']": "gives x the host's root directory (/)",
    "volumes: ['/etc:/e:ro']": "gives x the host's /etc",
    "volumes: ['/etc/shadow:/e:ro']": "gives x the host's /etc/shadow",
    "volumes: ['/proc:/p']": "gives x the host's /proc",
    "volumes: ['/var/lib/docker:/d']": "gives x the host's /var/lib/docker",
    "volumes: ['/var/lib:/d']": "gives x the host's /var/lib",
    "volumes: ['/home:/h']": "gives x the host's /home",
    "volumes: ['/home/alice:/h']": "gives x the host's /home/alice",
    "volumes: ['~/.ssh:/h']": "gives x a directory of your home (~/.ssh)",
    "volumes: ['/srv:/h']": "gives x the site's own directory, with all its secrets (/srv)",
    "volumes: ['.:/h']": f"gives x the site's own directory, with all its secrets ({SITE})",
    "volumes: ['./.env:/h']": f"gives x the site's secrets ({SITE}/.env)",
    "volumes: ['bound:/h']": "gives x the host's /etc",
    "secrets: [shadow]": "gives x the host's /etc/shadow",
    "configs: [{source: shadow, target: /s}]": "gives x the host's /etc/shadow",
    "ports: ['8080:80']": "publishes a port of x to the network (0.0.0.0:8080:80)",
    "ports: ['80']": "publishes a port of x to the network (0.0.0.0:any:80)",
    "ports: [80]": "publishes a port of x to the network (0.0.0.0:any:80)",
    "ports: ['0.0.0.0:8080:80/udp']": "publishes a port of x to the network (0.0.0.0:8080:80)",
    "ports: ['[::]:8080:80']": "publishes a port of x to the network (:::8080:80)",
    "ports: ['8000-8010:8000-8010']": "publishes a port of x to the network (0.0.0.0:8000-8010:8000-8010)",
    "ports: [{target: 80, published: '8080'}]": "publishes a port of x to the network (0.0.0.0:8080:80)",
    "extends: {file: other.yaml, service: y}": ("takes x from another file (extends), which is not checked"),
}
USUAL = [
    "image: nginx",
    "mem_limit: 3g",
    "ports: ['127.0.0.1:8080:80']",
    "ports: ['[::1]:8080:80', '192.168.1.5:8080:80']",
    "ports: [{target: 80, published: 8080, host_ip: 127.0.0.1}]",
    "volumes: ['data:/data', './reports:/reports', '/srv/other:/data', '/mnt/disk/files:/files']",
    "volumes: ['/etc/localtime:/etc/localtime:ro', '/etc/ssl/certs:/etc/ssl/certs:ro']",
    "volumes: ['/home/alice/plugins:/plugins']",
    "volumes: [{type: volume, source: data, target: /data}, {type: tmpfs, target: /tmp}]",
    "privileged: false",
    "network_mode: bridge",
    "security_opt: ['no-new-privileges:true']",
    "cap_drop: [ALL]",
    "read_only: false",
    "secrets: [postgres-password]",
]


def asked(definition: str) -> tuple[str, ...]:
    content = yaml.safe_load(
        f"services: {{ x: {{ {definition} }} }}\n"
        "volumes: { bound: { driver_opts: { type: none, o: bind, device: /etc } }, data: {} }\n"
        "secrets: { shadow: { file: /etc/shadow } }\n"
        "configs: { shadow: { file: /etc/shadow } }\n"
    )
    return tuple(power.said for power in powers(content, {"SOCK": "/var/run/docker.sock"}, SITE))


@pytest.mark.parametrize(("definition", "said"), GIVEN.items(), ids=GIVEN)
def test_what_makes_a_service_as_powerful_as_root_is_named(definition: str, said: str) -> None:
    assert asked(definition) == (said,)


@pytest.mark.parametrize("definition", USUAL)
def test_what_people_usually_write_is_not(definition: str) -> None:
    assert asked(definition) == ()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    chosen = {
        "PUBLIC_URL": "https://graasp.school.example",
        "TRUSTED_PROXIES": "host",
        "COOKIE_DOMAIN": "graasp.school.example",
        "HTTP_BIND": "127.0.0.1",
        "MAILER_CONNECTION": "smtp://graasp:Zk3-vT9q@mail.school.example:587",
        "COMPOSE_PROFILES": "etherpad,files,iframely,nudenet",
    }
    return init_site(tmp_path / "site", chosen, demo=False)


def found(site: Site, override: str) -> tuple[Finding, ...]:
    site.override_file.write_text(override)
    return check_configuration(Site(site.directory))


def test_it_is_reported_by_config_check_doctor_and_every_plan(site: Site) -> None:
    override = "services: { core: { volumes: ['/var/run/docker.sock:/s'], pid: host } }\n"
    told = found(site, override)
    assert [(finding.severity, finding.key) for finding in told] == [(Severity.WARNING, "core")] * 2
    assert told[0].said.endswith("compose.override.yaml gives core the host's process namespace (pid: host).")
    assert "compose.override.yaml gives core the engine's socket (/var/run/docker.sock)." in told_powers(site)
    runner, plan = CliRunner(), ["--site", str(site.directory), "plan", "db-only", "--from", "running"]
    shown = runner.invoke(cli, plan)
    assert "compose.override.yaml gives core the engine's socket (/var/run/docker.sock)." in shown.output
    assert len(json.loads(runner.invoke(cli, [*plan, "--json"]).stdout)["powers"]) == 2
    site.override_file.write_text("services: {}\n")
    assert "gives core" not in runner.invoke(cli, plan).output


@pytest.mark.parametrize(
    "name",
    [
        *["compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"],
        *["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"],
    ],
)
def test_a_file_that_compose_would_read_and_we_do_not_is_named(site: Site, name: str) -> None:
    (site.directory / name).write_text("services: {}\n")
    (finding,) = check_configuration(site)
    assert finding.severity is Severity.WARNING
    assert finding.said == f"{site.directory / name} is ignored: only compose.override.yaml is read."


def test_compose_file_in_the_settings_is_not_used(site: Site) -> None:
    site.env_file.write_text(f"{site.env_file.read_text()}COMPOSE_FILE=other.yaml\n")
    (finding,) = check_configuration(site)
    assert (finding.key, finding.line) == ("COMPOSE_FILE", len(site.env_file.read_text().splitlines()))


@pytest.mark.parametrize(
    ("limits", "is_refused"),
    [
        ("{ memory: 3g }", True),
        ("{ pids: 200 }", True),
        ("{ cpus: '2' }", True),
        ("{ memory: 2g, pids: 1000 }", False),
        ("{}", False),
    ],
)
def test_limits_that_conflict_with_the_stacks_are_an_error(site: Site, limits: str, *, is_refused: bool) -> None:
    told = found(site, f"services: {{ core: {{ deploy: {{ resources: {{ limits: {limits} }} }} }} }}\n")
    assert [finding.severity for finding in told] == [Severity.ERROR] * is_refused
    if is_refused:
        assert "limits core with deploy.resources.limits, but core also has mem_limit and pids_limit" in told[0].said
    assert found(site, "services: { core: { mem_limit: 3g, pids_limit: 200 } }\n") == ()
    limits = "deploy: { resources: { limits: { memory: 1g } } }"
    own = f"services: {{ own: {{ image: x, labels: {{ org.graasp.group: graasp }}, {limits} }} }}\n"
    assert found(site, own) == ()


def test_options_of_an_existing_volume_are_reported(site: Site) -> None:
    options = "volumes: { db-data: { driver_opts: { type: none, o: bind, device: /mnt/disk } } }\n"
    assert found(site, options) == ()
    select(site, Version.parse("1.0.0"))
    (finding,) = found(site, options)
    assert "sets driver_opts for the volume db-data. This takes effect only when the volume is created" in finding.said
    for moved in ("{ name: elsewhere }", "{ external: true }"):
        (finding,) = found(site, f"volumes: {{ files: {moved} }}\n")
        assert "for the volume files" in finding.said
    assert found(site, "volumes: { own: { name: elsewhere } }\n") == ()


def test_a_file_that_cannot_be_read_is_reported_once(site: Site) -> None:
    (finding,) = found(site, "services: [\n")
    assert finding.severity is Severity.ERROR
    with pytest.raises(ConfigurationError):
        told_powers(Site(site.directory))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"# caf\xe9\n", "this is not valid YAML"),
        (b"services: {core: &a {x-own: *a}}\n", "contains itself"),
        (b"services: {core: {labels: {1: a, b: c}}}\n", "keys that are not text"),
    ],
)
def test_what_yaml_allows_and_compose_does_not_is_reported_as_an_error_of_the_file(
    site: Site, content: bytes, said: str
) -> None:
    site.override_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        CliRunner().invoke(cli, ["--site", str(site.directory), "plan", "running"], catch_exceptions=False)
