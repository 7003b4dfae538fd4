"""`config check`: what no command goes on with is an error, what should be looked at is a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.errors import ConfigurationError
from graasp_local.settings.rules import Severity
from graasp_local.site.check import Finding, check_configuration
from graasp_local.site.create import init_site
from graasp_local.site.site import Site

OWN_SERVICE = """\
services:
  reports:
    image: registry.school.example/reports:${REPORTS_VERSION}
    labels: { org.graasp.group: administration }
    profiles: [reports]
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site in which nothing is wrong."""
    chosen = {
        "PUBLIC_URL": "https://graasp.school.example",
        "TRUSTED_PROXIES": "host",
        "COOKIE_DOMAIN": "graasp.school.example",
        "HTTP_BIND": "127.0.0.1",
        "MAILER_CONNECTION": "smtp://graasp:Zk3-vT9q@mail.school.example:587",
        "COMPOSE_PROFILES": "etherpad,files,iframely,nudenet",
    }
    return init_site(tmp_path / "site", chosen, demo=False)


def edit(site: Site, *lines: str, **changed: str) -> None:
    text = site.env_file.read_text().splitlines()
    for key, value in changed.items():
        text = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in text]
    site.env_file.write_text("\n".join([*text, *lines]) + "\n")


def only(site: Site) -> Finding:
    found = check_configuration(site)
    assert len(found) == 1, found
    return found[0]


def test_a_new_site_has_nothing_wrong(site: Site) -> None:
    assert check_configuration(site) == ()


def test_all_errors_are_listed_at_once_before_the_warnings_and_in_order_of_lines(site: Site) -> None:
    edit(site, "HTTP_PROT=81", JWT_SECRET="changeme-changeme", HTTP_PORT="http", UMAMI_APP_SECRET="")
    found = check_configuration(site)
    assert [(finding.severity, finding.key) for finding in found] == [
        (Severity.ERROR, "HTTP_PORT"),
        (Severity.ERROR, "UMAMI_APP_SECRET"),
        (Severity.ERROR, "JWT_SECRET"),
        (Severity.WARNING, "HTTP_PROT"),
    ]
    assert all(f"line {finding.line}: {finding.key} " in finding.said for finding in found)


def test_every_command_refuses_what_is_an_error_and_only_that(site: Site) -> None:
    edit(site, "HTTP_PROT=81")
    assert site.settings.port == 80
    edit(site, HTTP_PORT="http")
    with pytest.raises(ConfigurationError, match="HTTP_PORT should be a port number"):
        _ = Site(site.directory).settings


def test_an_unknown_key_is_reported_with_the_nearest_known_one(site: Site) -> None:
    edit(site, "HTTP_PROT=81")
    assert "HTTP_PROT is not a setting" in only(site).said
    assert "did you mean HTTP_PORT" in only(site).said


def test_a_variable_of_the_override_is_not_an_unknown_key(site: Site) -> None:
    edit(site, "REPORTS_VERSION=1.4")
    assert only(site).key == "REPORTS_VERSION"
    site.override_file.write_text(OWN_SERVICE)
    assert check_configuration(site) == ()


def test_an_unknown_profile_is_reported_with_the_known_ones(site: Site) -> None:
    site.override_file.write_text(OWN_SERVICE)
    edit(site, "REPORTS_VERSION=1.4", COMPOSE_PROFILES="report,nudenet")
    assert "contains 'report', which is not the profile of any service (did you mean reports?)" in only(site).said
    edit(site, COMPOSE_PROFILES="reports,nudenet")
    assert check_configuration(site) == ()


def test_the_same_secret_used_twice_is_reported_by_both_names(site: Site) -> None:
    edit(site, APPS_JWT_SECRET=site.settings.values["JWT_SECRET"])
    found = only(site)
    assert "APPS_JWT_SECRET is the same secret as JWT_SECRET" in found.said
    assert "secrets rotate APPS_JWT_SECRET" in found.fix


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"TRUSTED_PROXIES": ""}, "TRUSTED_PROXIES is empty, so the headers of the TLS proxy in front are not trusted"),
        ({"HTTP_BIND": "0.0.0.0"}, "PUBLIC_URL is https, but nginx serves plain HTTP on every address"),
        ({"PUBLIC_URL": "http://graasp.school.example"}, "PUBLIC_URL is http: users are logged out at once"),
        ({"COMPOSE_PROFILES": "files"}, "the profile nudenet is off: items with an image cannot be published"),
        ({"MAILER_CONNECTION": "smtp://user:password@localhost:1025"}, "MAILER_CONNECTION points to core's own"),
    ],
)
def test_what_works_but_should_be_checked_is_a_warning(site: Site, changed: dict[str, str], said: str) -> None:
    edit(site, **changed)
    assert only(site).severity is Severity.WARNING
    assert said in only(site).said


def test_a_file_that_others_may_read_is_reported_with_the_command_that_fixes_it(site: Site) -> None:
    site.env_file.chmod(0o644)
    assert "is accessible to other users of this machine (mode 0644)" in only(site).said
    assert only(site).fix == f"`chmod 600 {site.env_file}`"


def test_an_override_that_cannot_be_used_is_an_error(site: Site) -> None:
    site.override_file.write_text("services: {reports: {image: a}}\n")
    assert only(site).severity is Severity.ERROR
    assert "reports has no group" in only(site).said


def test_no_value_of_a_secret_is_ever_printed(site: Site) -> None:
    secret = "tr0ub4dor-and-three"
    edit(site, f"JWT_SECRET={secret}", "KEY=", APPS_JWT_SECRET=secret, EMAIL_CHANGE_JWT_SECRET=f"'{secret}$'")
    told = json.dumps([(finding.said, finding.fix) for finding in check_configuration(site)])
    assert secret not in told


def call(site: Site, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--site", str(site.directory), "config", *words])
    return result.exit_code, result.stdout


def test_the_exit_code_tells_errors_from_warnings(site: Site) -> None:
    assert call(site, "check")[0] == 0
    edit(site, "HTTP_PROT=81")
    assert call(site, "check")[0] == 0
    edit(site, HTTP_PORT="http")
    code, output = call(site, "check", "--json")
    told = json.loads(output)
    assert (code, told["errors"], told["warnings"]) == (2, 1, 1)
    assert told["problems"][0]["key"] == "HTTP_PORT"


def test_show_hides_secrets_unless_asked(site: Site) -> None:
    secret = site.settings.values["JWT_SECRET"]
    edit(site, "REPORTS_TOKEN=hidden-as-well")
    for words in (["show"], ["show", "--json"]):
        code, output = call(site, *words)
        assert code == 0
        assert "https://graasp.school.example" in output
        assert not any(value in output for value in (secret, "Zk3-vT9q", "hidden-as-well"))
        assert secret in call(site, *words, "--secrets")[1]


def test_show_works_on_a_file_that_no_other_command_accepts(site: Site) -> None:
    edit(site, HTTP_PORT="http", JWT_SECRET="")
    told = {item["key"]: item for item in json.loads(call(site, "show", "--json")[1])["settings"]}
    assert told["HTTP_PORT"]["value"] == "http"
    assert told["JWT_SECRET"]["from"] == "missing"
    assert told["DB_IMAGE"]["from"] == "default"
