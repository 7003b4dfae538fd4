"""Rotating secrets: what may be, what the file looks like after it, and what a crash at any moment leaves."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, NeedsYou, UsageError
from graasp_local.planning.states import InfraState
from graasp_local.settings.rotation import Rotation, breaks, chosen, new_rotation, rotatable, with_values
from graasp_local.site import rotate
from graasp_local.site.affected import outdated, services_to_recreate
from graasp_local.site.create import init_site
from graasp_local.site.site import Site
from tests.unit.fakes import FakeClock
from tests.unit.sites import site_in

NEW = "kT5zq0Wm3bV8xR1nY6cL"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return init_site(tmp_path / "site", {}, demo=False)


def reread(site: Site) -> Site:
    return Site(site.directory)


class Crash(Exception):
    """The process is gone."""


@dataclass
class FakeRoles:
    """A server whose roles have these passwords; `crash` is where the process dies."""

    passwords: dict[str, str] = field(default_factory=dict)
    answers: bool = True
    crash: str = ""

    def check(self) -> None:
        if not self.answers:
            raise NeedsYou("The database does not answer.")

    def set_passwords(self, rotation: Rotation) -> None:
        self.check()
        if self.crash == "before":
            raise Crash
        self.passwords.update(rotation.passwords)
        if self.crash == "after":
            raise Crash


def test_every_secret_says_what_a_new_one_breaks() -> None:
    assert all(breaks(setting).endswith(".") for setting in rotatable())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("JWT_SECRT", "Did you mean JWT_SECRET"),
        ("jwt_secret", "Did you mean JWT_SECRET"),
        ("MAILER_CONNECTION", "change it there"),
        ("APPS_PUBLISHER_ID", "what can be rotated"),
    ],
)
def test_what_cannot_be_rotated_says_why(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        chosen([name])
    assert said in refused.value.next_step


def test_a_new_value_changes_one_value_and_nothing_else() -> None:
    text = "# why\nA=1\nexport JWT_SECRET='old one' # a comment\n\n#JWT_SECRET=x\nB=\"2\"\n"
    assert with_values(text, {"JWT_SECRET": NEW}) == text.replace("'old one'", NEW)


def test_a_key_that_the_file_has_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        with_values("#JWT_SECRET=x\n", {"JWT_SECRET": NEW})


@pytest.mark.parametrize("setting", rotatable(), ids=lambda setting: setting.key)
def test_rotating_gives_a_usable_new_value_and_keeps_comments_order_and_the_old_file(site: Site, setting) -> None:  # type: ignore[no-untyped-def]
    before = site.env_file.read_text()
    kept = rotate.rotate(site, new_rotation([setting]), FakeRoles(), FakeClock())
    after = site.env_file.read_text()
    assert kept.read_text() == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in (kept, site.env_file)} == {0o600}
    assert reread(site).settings.values[setting.key] != site.settings.values[setting.key]
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert [a.partition("=")[0] for a, _ in changed] == [setting.key]
    assert not site.rotation_file.exists()


def test_the_database_gets_the_very_passwords_that_are_in_the_file(site: Site) -> None:
    roles = FakeRoles()
    rotate.rotate(site, new_rotation(rotatable()), roles, FakeClock())
    values = reread(site).settings.values
    assert roles.passwords == {
        "postgres": values["POSTGRES_PASSWORD"],
        "graasp": values["GRAASP_DB_PASSWORD"],
        "umami": values["UMAMI_DB_PASSWORD"],
        "etherpad": values["ETHERPAD_DB_PASSWORD"],
    }


def test_nothing_is_changed_while_the_database_does_not_answer(site: Site) -> None:
    before = site.env_file.read_text()
    with pytest.raises(NeedsYou):
        rotate.rotate(site, new_rotation(chosen(["GRAASP_DB_PASSWORD"])), FakeRoles(answers=False), FakeClock())
    assert site.env_file.read_text() == before
    assert not site.rotation_file.exists()


def test_a_secret_that_is_not_a_password_needs_no_database(site: Site) -> None:
    rotate.rotate(site, new_rotation(chosen(["JWT_SECRET"])), FakeRoles(answers=False), FakeClock())
    assert reread(site).settings.values["JWT_SECRET"] != site.settings.values["JWT_SECRET"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_crash_on_either_side_of_the_database_file_and_database_agree_again(site: Site, moment: str) -> None:
    old = site.settings.values["GRAASP_DB_PASSWORD"]
    roles = FakeRoles({"graasp": old}, crash=moment)
    with pytest.raises(Crash):
        rotate.rotate(site, new_rotation(chosen(["GRAASP_DB_PASSWORD"])), roles, FakeClock())
    assert stat.S_IMODE(site.rotation_file.stat().st_mode) == 0o600
    roles.crash = ""
    assert rotate.finish(site, roles, FakeClock()) == site.old_env_file
    assert roles.passwords["graasp"] == reread(site).settings.values["GRAASP_DB_PASSWORD"] != old
    assert f"GRAASP_DB_PASSWORD={old}" in site.old_env_file.read_text()
    assert rotate.finish(site, roles, FakeClock()) is None


def test_after_a_crash_before_the_note_is_removed_the_old_file_is_still_the_old_one(site: Site) -> None:
    rotation = new_rotation(chosen(["JWT_SECRET"]))
    old = site.env_file.read_text()
    rotate.rotate(site, rotation, FakeRoles(), FakeClock())
    site.rotation_file.write_text(f"JWT_SECRET={rotation.values['JWT_SECRET']}\n")
    rotate.finish(site, FakeRoles(), FakeClock())
    assert site.old_env_file.read_text() == old


def test_what_was_edited_since_the_crash_is_kept(site: Site) -> None:
    site.rotation_file.write_text(f"JWT_SECRET={NEW}\n")
    site.env_file.write_text(site.env_file.read_text().replace("HTTP_PORT=80", "HTTP_PORT=81"))
    rotate.finish(site, FakeRoles(), FakeClock())
    assert reread(site).settings.port == 81
    assert reread(site).settings.values["JWT_SECRET"] == NEW


def test_a_damaged_note_is_reported_not_guessed_over(site: Site) -> None:
    site.rotation_file.write_text("JWT_SEC")
    with pytest.raises(ConfigurationError, match=re.escape(str(site.rotation_file))):
        rotate.finish(site, FakeRoles(), FakeClock())


def test_when_a_secret_was_rotated_is_remembered(site: Site) -> None:
    assert rotate.ages(site) == {}
    rotate.rotate(site, new_rotation(chosen(["JWT_SECRET"])), FakeRoles(), FakeClock())
    assert rotate.ages(site) == {"JWT_SECRET": "1970-01-12T13:46:40+00:00"}


@pytest.mark.parametrize(
    "damage", ['{"at": "1970', "[]", "\xff\0\n", '{"at": 7, "keys": ["JWT_SECRET"]}', '{"keys": null}']
)
def test_a_damaged_record_of_a_rotation_hides_no_other(site: Site, damage: str) -> None:
    site.rotations_file.write_bytes(damage.encode("latin-1"))
    assert rotate.ages(site) == {}
    rotate.rotate(site, new_rotation(chosen(["JWT_SECRET"])), FakeRoles(), FakeClock())
    assert rotate.ages(site) == {"JWT_SECRET": "1970-01-12T13:46:40+00:00"}


def test_new_values_are_not_in_what_is_printed_of_a_rotation() -> None:
    rotation = new_rotation(chosen(["JWT_SECRET"]))
    assert rotation.values["JWT_SECRET"] not in repr(rotation)


@pytest.mark.parametrize(
    ("key", "services"),
    [
        ("UMAMI_APP_SECRET", ("umami",)),
        ("UMAMI_DB_PASSWORD", ("umami",)),
        ("POSTGRES_PASSWORD", ()),
        ("MAINTENANCE_HEADER_SECRET", ("nginx",)),
        ("MEILISEARCH_MASTER_KEY", ("core", "meilisearch", "workers")),
        ("ETHERPAD_API_KEY", ("core", "etherpad", "workers")),
        ("JWT_SECRET", ("core", "workers")),
    ],
)
def test_a_new_secret_recreates_only_the_services_that_use_it(site: Site, key: str, services: tuple[str, ...]) -> None:
    assert services_to_recreate(site, [key]) == services
    before = site.settings_digests
    rotate.rotate(site, new_rotation(chosen([key])), FakeRoles(), FakeClock())
    changed = {name for name, digest in reread(site).settings_digests.items() if before[name] != digest}
    # Both are never made again for it: what they carry is looked at by no one.
    assert changed - {"db", "migrate"} == {*services} & before.keys()


@pytest.mark.parametrize(
    ("key", "value", "services"),
    [
        ("PUBLIC_URL", "http://www.localhost", {"core", "workers", "nginx"}),
        ("HSTS_SECONDS", "3600", {"nginx"}),
        ("TRUSTED_PROXIES", "host", {"nginx"}),
        ("NGINX_IMAGE", "nginx:1.29", {"nginx"}),
        ("DB_IMAGE", "postgres:16.12", set()),  # the database is compared by its image
        ("STOPPED_PAGE", "on", set()),
    ],
)
def test_a_changed_setting_concerns_only_those_that_use_it(
    site: Site, key: str, value: str, services: set[str]
) -> None:
    before = site.settings_digests
    kept = [line for line in site.env_file.read_text().splitlines() if not line.startswith(f"{key}=")]
    site.env_file.write_text("\n".join([*kept, f"{key}={value}", ""]))
    changed = {name for name, digest in reread(site).settings_digests.items() if before[name] != digest}
    assert changed - {"migrate"} == services


@pytest.mark.parametrize("service", ["db", "umami", "core"])
def test_what_an_override_says_of_a_service_concerns_it(site: Site, service: str) -> None:
    before = site.settings_digests
    site.override_file.write_text(f"services: {{{service}: {{mem_limit: 700m}}}}\n")
    changed = {name for name, digest in reread(site).settings_digests.items() if before[name] != digest}
    assert changed == {service}


@pytest.mark.parametrize("service", ["db", "umami"])
def test_a_new_graasp_local_restarts_neither_the_database_nor_umami(
    site: Site, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    before = site.settings_digests
    newer = tuple(replace(each, digest="another") for each in site.services)
    monkeypatch.setattr(Site, "services", property(lambda _: newer))
    assert reread(site).settings_digests[service] == before[service]
    assert reread(site).settings_digests["core"] != before["core"]


def test_only_what_runs_is_recreated() -> None:
    seen = outdated(site_in(InfraState.DB_ONLY), ["core", "umami"])
    assert [service.name for service in seen.services if service.outdated] == ["umami"]
