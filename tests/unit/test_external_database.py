"""A database outside the stack: what `.env` may say, what the stack is told, what is planned, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, NeedsYou, Refused, UsageError
from graasp_local.journal.events import Outcome
from graasp_local.operations import upgrades
from graasp_local.operations.deployments import apply_plan, deployment_plan, refusals
from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan import render
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import OnFailure, UpgradeDatabase
from graasp_local.planning.safety_copy import SafetyCopy, copy_on_another_server
from graasp_local.planning.states import (
    Absent,
    InfraState,
    InState,
    ObservedState,
    ServiceGroup,
    classify,
)
from graasp_local.planning.steps import StartServices, StopServices
from graasp_local.ports.database import Obstacle
from graasp_local.postgres.external import obstacles_of_server
from graasp_local.postgres.external_server import explained, is_away, leads_back
from graasp_local.settings.parse import ExternalServer, parse_settings
from graasp_local.settings.rotation import chosen, rotatable, with_options
from graasp_local.settings.rules import Severity, errors, read
from graasp_local.site import prepare, proven
from graasp_local.site.check import check_configuration
from graasp_local.site.create import environment_text
from graasp_local.site.site import Site
from graasp_local.stack.external import external_variables, migration_password
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy
from tests.unit.sites import new_site, site_in

V = Version(1, 1, 0)
SERVER = ExternalServer("pg.school.example", 5432, "managed", "it's secret", "/etc/ssl/provider.pem")
SETTINGS = {
    "DATABASE": "external",
    "DATABASE_HOST": "pg.school.example",
    "DATABASE_ADMIN_USER": "managed",
    "DATABASE_ADMIN_PASSWORD": "'it is secret'",
    "DATABASE_SSL": "off",
}
CHECKED = {**SETTINGS, "DATABASE_SSL": "verify-full", "DATABASE_CA": "/etc/ssl/provider.pem"}


def without_db(observed: ObservedState) -> ObservedState:
    return replace(observed, services=tuple(s for s in observed.services if s.group is not ServiceGroup.DATABASE))


def external(fake: FakeWorld, **settings: str) -> FakeWorld:
    """The same site with its database elsewhere; whatever it has selected counts as deployed there."""
    site = Site(fake.directory)
    chosen = {**SETTINGS, **settings}
    site.env_file.write_text(with_options(site.env_file.read_text(), chosen))
    site = Site(fake.directory)
    selected = site.selected_version
    if selected is not None:
        prepare.select(site, selected)
    fake.engine.site = site
    fake.world = replace(fake.world, site=site)
    return fake


@pytest.fixture
def elsewhere(running: FakeWorld) -> FakeWorld:
    """A site that is running with version 1.0.0, and its database on another server."""
    running.state.observed = without_db(running.state.observed)
    return external(running)


def problems(**changed: str) -> set[tuple[str, str]]:
    values = {key: value for key, value in {**CHECKED, **changed}.items() if value}
    text = environment_text(values)
    return {(problem.key, problem.said) for problem in errors(read(text))}


def test_an_address_and_a_role_are_enough() -> None:
    assert problems() == set()
    assert problems(DATABASE_CA="", DATABASE_SSL="off") == set()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"DATABASE_HOST": ""}, ("DATABASE_HOST", "is missing, but DATABASE is external")),
        ({"DATABASE_ADMIN_USER": ""}, ("DATABASE_ADMIN_USER", "is missing, but DATABASE is external")),
        ({"DATABASE_ADMIN_PASSWORD": ""}, ("DATABASE_ADMIN_PASSWORD", "is missing, but DATABASE is external")),
        ({"DATABASE_CA": ""}, ("DATABASE_CA", "is missing, but DATABASE_SSL is verify-full")),
        ({"DATABASE_SSL": "prefer"}, ("DATABASE_SSL", "should be verify-full or off")),
        ({"DATABASE": "managed"}, ("DATABASE", "should be stack or external")),
        ({"DATABASE_PORT": "70000"}, ("DATABASE_PORT", "should be between 1 and 65535")),
        ({"DATABASE_HOST": "postgres://db"}, ("DATABASE_HOST", "should be a host name")),
        (
            {"DATABASE_HOST": "10.0.0.7"},
            ("DATABASE_HOST", "is an IP address; it has to be the host name in the server's certificate"),
        ),
        (
            {"COMPOSE_PROFILES": "admin"},
            ("COMPOSE_PROFILES", "contains admin, which cannot check the certificate of an external database"),
        ),
        (
            {"COMPOSE_PROFILES": "stack-database"},
            ("COMPOSE_PROFILES", "contains stack-database, but DATABASE is external: db stays off"),
        ),
    ],
)
def test_what_cannot_work_is_reported_with_its_key(changed: dict[str, str], said: tuple[str, str]) -> None:
    assert said in problems(**changed)


def test_without_it_nothing_of_a_site_is_different(fake: FakeWorld) -> None:
    site = fake.world.site
    prepare.prepare(site)
    assert site.settings.external_database is None
    assert [file.name for file in site.compose_files] == ["compose.yaml"]
    assert not any("DATABASE" in key or "MIGRATION" in key for key in site.told_to_stack)
    assert "DATABASE" not in site.version_file.read_text()
    assert not (site.secrets_directory / "database-ca").exists()
    assert "db" in {service.name for service in site.services}


def test_db_is_not_a_service_then_and_umami_names_its_database(fake: FakeWorld) -> None:
    site = external(fake).world.site
    services = {service.name: service for service in site.services}
    assert "db" not in services
    assert services["umami"].database == "umami"
    assert [file.name for file in site.stack_files] == ["compose.yaml", "external.yaml"]
    assert {name for name, service in services.items() if "DATABASE_HOST" in service.variables} == {
        "core",
        "workers",
        "umami",
        "migrate",
        "etherpad",
    } & {*services}


def test_no_service_waits_for_db_or_connects_to_it(fake: FakeWorld) -> None:
    """Every service that does in compose.yaml has to be told otherwise."""
    from graasp_local.stack.services import services_in

    stack, variant = (services_in(file) for file in external(fake).world.site.stack_files)
    waiting = {name for name, definition in stack.items() if "db" in (definition.get("depends_on") or {})}
    assert waiting
    for name in waiting:
        assert variant[name]["depends_on"]["db"]["required"] is False, name
    for name, definition in stack.items():
        for key, value in (definition.get("environment") or {}).items():
            if name != "db" and ("@db" in str(value) or value == "db"):
                assert "${DATABASE_HOST" in str(variant[name]["environment"][key]), f"{name}: {key}"


def test_a_change_of_the_address_or_the_certificates_is_noticed(fake: FakeWorld, tmp_path: Path) -> None:
    before = external(fake).world.site.settings_digests
    (tmp_path / "ca.pem").write_text("one")
    site = external(fake, DATABASE_PORT="6432").world.site
    assert {name for name in before if before[name] != site.settings_digests.get(name)} >= {"core", "workers", "umami"}
    one = external_variables(replace(SERVER, ca=str(tmp_path / "ca.pem")), "x")
    (tmp_path / "ca.pem").write_text("two")
    two = external_variables(replace(SERVER, ca=str(tmp_path / "ca.pem")), "x")
    assert one["GRAASP_DATABASE_CA"] != two["GRAASP_DATABASE_CA"]
    assert one["GRAASP_DATABASE_TLS"] == "?sslmode=verify-full&sslrootcert=/run/secrets/database-ca"


def test_the_role_that_migrates_has_a_password_of_its_own() -> None:
    assert migration_password("a" * 48) != migration_password("b" * 48)
    assert "a" * 8 not in migration_password("a" * 48)


@pytest.mark.parametrize(
    "content", [None, "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\xff"]
)
def test_a_file_without_certificates_is_refused(fake: FakeWorld, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    site = external(fake, DATABASE_SSL="verify-full", DATABASE_CA=str(file)).world.site
    with pytest.raises(ConfigurationError, match="DATABASE_CA"):
        prepare.prepare(site)
    assert "DATABASE_CA" in {found.key for found in check_configuration(site) if found.severity is Severity.ERROR}


def test_the_password_is_in_no_repr() -> None:
    settings = parse_settings(environment_text(CHECKED), ".env")
    assert settings.external_database is not None
    assert settings.external_database.password == "it is secret"
    assert "secret" not in f"{settings!r} {settings.external_database!r} {(settings.external_database,)!r}"


@pytest.mark.parametrize("state", InfraState)
def test_the_four_states_are_recognized_without_db(state: InfraState) -> None:
    observed = without_db(site_in(state))
    assert classify(observed) == InState(state)
    assert isinstance(classify(without_db(new_site())), Absent)


@pytest.mark.parametrize("before", InfraState)
@pytest.mark.parametrize("target", InfraState)
def test_no_change_of_state_changes_the_database(before: InfraState, target: InfraState) -> None:
    plan = plan_transition(without_db(site_in(before)), target, Version(1, 0, 0))
    touched = {step.group for step in plan.steps if isinstance(step, StartServices | StopServices)}
    assert ServiceGroup.DATABASE not in touched
    assert bool(plan.steps) == (before is not target)


def test_a_first_deployment_makes_the_databases_before_anything_reads_them() -> None:
    request = DeployRequest(V, is_external=True, missing_databases=("graasp", "umami"))
    plan = plan_deploy(without_db(new_site()), request, Pending(("0000_init",)))
    names = [step.name for step in plan.steps]
    assert names.index("close-gate") < names.index("make-databases") < names.index("read-migrations")
    assert names.index("make-databases") < names.index("snapshot") < names.index("start-administration")
    assert "Create the databases graasp and umami on the external server" in render(plan)


def test_a_deployment_keeps_others_out_and_says_so() -> None:
    observed = without_db(site_in(InfraState.RUNNING))
    plan = plan_deploy(observed, DeployRequest(V, is_external=True), Pending(("0002_item_lang",)))
    assert "no one may write to it while it changes, from here or from elsewhere" in render(plan)
    assert [step.name for step in plan.steps] == [
        step.name
        for step in plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), Pending(("0002_item_lang",))).steps
    ]


def test_a_copy_by_dump_is_in_the_plan() -> None:
    observed = without_db(site_in(InfraState.RUNNING))
    request = DeployRequest(V, is_external=True)
    plan = render(plan_deploy(observed, request, Pending(("0002_item_lang",)), SafetyCopy.CHOSEN_FILE))
    assert "because DATABASE_COPY is dump, and it must be possible to undo a failed migration" in plan


@pytest.mark.parametrize(
    ("free", "by_dump", "copy"),
    [
        (None, False, SafetyCopy.SNAPSHOT),
        (None, True, SafetyCopy.CHOSEN_FILE),
        (100, False, SafetyCopy.SNAPSHOT),
        (99, False, None),
        (100, True, None),
        (140, True, SafetyCopy.CHOSEN_FILE),
    ],
)
def test_only_what_is_on_this_machine_needs_room_here(free: int | None, by_dump: bool, copy: SafetyCopy | None) -> None:
    assert copy_on_another_server(free, 100, 20, by_dump=by_dump) is copy


def test_graasp_can_connect_again_after_a_deployment(elsewhere: FakeWorld) -> None:
    assert deploy(elsewhere).outcome == Outcome.DONE
    assert "end-sessions" in elsewhere.state.calls
    assert not elsewhere.database.is_shut


def test_graasp_can_connect_again_after_a_migration_failed(elsewhere: FakeWorld) -> None:
    elsewhere.engine.migration_code = 1
    ended = deploy(elsewhere, on_failure=OnFailure.ROLLBACK)
    assert (ended.outcome, ended.state) == (Outcome.ROLLED_BACK, "running")
    assert "swap-back" in elsewhere.state.calls
    assert not elsewhere.database.is_shut


def test_a_new_site_is_given_its_databases(fake: FakeWorld) -> None:
    fake.state.observed = without_db(fake.state.observed)
    external(fake).database.missing = ["graasp", "umami"]
    assert deploy(fake, "1.0.0").outcome == Outcome.DONE
    assert fake.database.missing == []
    assert Site(fake.directory).selection.database == "external"


def test_what_is_in_the_way_is_reported_before_anything_is_changed(elsewhere: FakeWorld) -> None:
    elsewhere.database.in_the_way = (Obstacle("The role managed lacks CREATEDB.", "ALTER ROLE managed CREATEDB;"),)
    with pytest.raises(Refused, match="lacks CREATEDB") as refused:
        deployment_plan(elsewhere.world, elsewhere.world.observe(), DeployRequest(V))
    assert refused.value.next_step == "ALTER ROLE managed CREATEDB;"
    with pytest.raises(Refused, match="lacks CREATEDB"):
        apply_plan(elsewhere.world, without_db(site_in(InfraState.DB_ONLY)), InfraState.RUNNING)
    assert elsewhere.state.calls == []


def test_doctor_asks_what_a_deployment_would_be_refused_for(
    elsewhere: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejected() -> int:
        raise NeedsYou("The database rejects the password of managed.", "", "Set DATABASE_ADMIN_PASSWORD.")

    for question in ("size_bytes", "missing_databases"):
        monkeypatch.setattr(elsewhere.database, question, rejected)
    found = refusals(elsewhere.world, V)
    assert [(problem.check, problem.said) for problem in found] == [
        ("postgres", "The database rejects the password of managed.")
    ]
    elsewhere.database.in_the_way = (Obstacle(found[0].said, found[0].fix),)
    assert refusals(elsewhere.world, V) == found  # said once


def test_an_unreachable_server_does_not_prevent_a_stop(elsewhere: FakeWorld) -> None:
    elsewhere.database.in_the_way = (Obstacle("Nothing answers.", "Check it."),)
    assert apply_plan(elsewhere.world, elsewhere.world.observe(), InfraState.STOPPED).steps


def test_older_tools_than_the_server_are_refused(elsewhere: FakeWorld) -> None:
    external(elsewhere, DB_IMAGE="postgres:14.9")
    with pytest.raises(Refused, match=r"is Postgres 15, but the tools in postgres:14\.9 are those of Postgres 14"):
        deployment_plan(elsewhere.world, elsewhere.world.observe(), DeployRequest(V))


def test_an_upgrade_is_refused_with_its_reason(elsewhere: FakeWorld) -> None:
    with pytest.raises(Refused, match=r"The database is external: its server at pg.school.example:5432"):
        upgrades.upgrade_plan(elsewhere.world, elsewhere.world.observe(), UpgradeDatabase(17))
    assert upgrades.old_volumes(elsewhere.world) == {}
    with pytest.raises(Refused, match="The database is external"):
        upgrades.old_volumes(elsewhere.world, "graasp_db-data")


def moved(running: FakeWorld) -> Iterator[FakeWorld]:
    """A site whose `.env` names another database than the one it was deployed to, in both directions."""
    text = running.world.site.env_file.read_text()
    for was, now in (("stack", "external"), ("external", "stack")):
        for kind in (was, now):
            running.world.site.env_file.write_text(with_options(text, {**SETTINGS, "DATABASE": kind}))
            site = Site(running.directory)
            if kind == was:
                prepare.select(site, Version(1, 0, 0))
        running.world = replace(running.world, site=site)
        yield running


def test_a_site_does_not_come_up_without_its_data(running: FakeWorld) -> None:
    for fake in moved(running):
        observed = fake.world.observe()
        with pytest.raises(Refused, match="The site's data is in"):
            deployment_plan(fake.world, observed, DeployRequest(V))
        with pytest.raises(Refused, match="The site's data is in"):
            apply_plan(fake.world, site_in(InfraState.DB_ONLY), InfraState.RUNNING)
        assert apply_plan(fake.world, observed, InfraState.STOPPED).steps


def test_a_site_that_was_deployed_is_not_given_an_empty_database(elsewhere: FakeWorld) -> None:
    elsewhere.database.missing = ["graasp"]
    with pytest.raises(Refused, match=r"There is no database graasp at pg\.school\.example:5432"):
        deployment_plan(elsewhere.world, elsewhere.world.observe(), DeployRequest(V))


def test_nor_is_it_started_without_its_data(elsewhere: FakeWorld) -> None:
    elsewhere.database.missing = ["graasp"]
    closed = without_db(site_in(InfraState.DB_ONLY))
    with pytest.raises(Refused, match="There is no database graasp"):
        apply_plan(elsewhere.world, closed, InfraState.RUNNING)
    assert apply_plan(elsewhere.world, closed, InfraState.STOPPED).steps


def test_a_new_address_is_used_before_a_deployment(elsewhere: FakeWorld) -> None:
    """A rollback would look for the copy of the database where it was before."""
    proven.keep(elsewhere.world.site, proven.own_files(elsewhere.world.site), lambda _: 0.0)
    external(elsewhere, DATABASE_HOST="promoted.school.example")
    observed = elsewhere.world.observe()
    with pytest.raises(Refused, match=r"was at pg\.school\.example:5432 .* says promoted\.school\.example:5432 now"):
        deployment_plan(elsewhere.world, observed, DeployRequest(V))
    assert apply_plan(elsewhere.world, observed, InfraState.RESTRICTED).steps
    external(elsewhere, DATABASE_HOST="pg.school.example", LOG_LEVEL="debug")
    assert deployment_plan(elsewhere.world, observed, DeployRequest(V)).steps


class FakeConnection:
    """A server of this version that says this of our role."""

    def __init__(self, version: int, *told: bool) -> None:
        self.info, self._told = self, told
        self.server_version = version

    def execute(self, *_: object) -> FakeConnection:
        return self

    def fetchone(self) -> tuple[bool, ...]:
        return self._told


@pytest.mark.parametrize(
    ("version", "told", "said"),
    [
        (150008, (True, True, True, False), []),
        (140011, (True, True, True, False), ["is Postgres 14, but 15 or newer is needed"]),
        (170002, (True, True, True, True), ["is a standby"]),
        (170002, (False, True, True, False), ["lacks CREATEDB"]),
        (170002, (False, False, False, False), ["lacks CREATEDB and CREATEROLE and INHERIT"]),
    ],
)
def test_what_a_server_and_a_role_have_to_be(version: int, told: tuple[bool, ...], said: list[str]) -> None:
    found = [*obstacles_of_server(FakeConnection(version, *told), "managed")]  # type: ignore[arg-type]
    assert len(found) == len(said)
    assert all(words in obstacle.said for words, obstacle in zip(said, found, strict=True))


def test_a_backup_can_be_taken_and_counts_as_on(elsewhere: FakeWorld) -> None:
    from graasp_local.backup.take import database_is_on

    assert database_is_on(elsewhere.world)


def test_the_superusers_password_is_not_this_sites_to_change() -> None:
    assert "POSTGRES_PASSWORD" in {setting.key for setting in rotatable()}
    assert "POSTGRES_PASSWORD" not in {setting.key for setting in rotatable(external=True)}
    with pytest.raises(UsageError, match="the database is external"):
        chosen(["POSTGRES_PASSWORD"], external=True)
    with pytest.raises(UsageError, match="belongs to whoever runs"):
        chosen(["DATABASE_ADMIN_PASSWORD"])
    assert [setting.key for setting in chosen(["GRAASP_DB_PASSWORD"], external=True)] == ["GRAASP_DB_PASSWORD"]


_TO = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (
            _TO + "Connection refused\n\tIs the server running on that host?",
            "Nothing answers at {}: connection refused.",
        ),
        ("connection timeout expired", "No Postgres server answered at {} within 5 s."),
        (_TO + "received invalid response to SSL negotiation: J", "What answers at {} is not Postgres: it speaks"),
        (_TO + 'FATAL:  password authentication failed for user "managed"', "rejects the password of managed."),
        (
            _TO + "SSL error: certificate verify failed",
            "has expired, or does not come from an authority in DATABASE_CA.",
        ),
        (
            _TO + 'server certificate for "db.other.example" does not match host name "pg.school.example"',
            'is for another name: "db.other.example".',
        ),
        (
            _TO + "server does not support SSL, but SSL was required",
            "does not offer TLS, but DATABASE_SSL is verify-full.",
        ),
        (_TO + 'FATAL:  no pg_hba.conf entry for host "10.0.0.9"', "does not let managed connect from this machine."),
        (_TO + 'FATAL:  role "managed" does not exist', "The database server at {} has no role managed."),
        (_TO + 'FATAL:  database "postgres" does not exist', "The database server at {} has no database postgres."),
        (_TO + "FATAL:  unsupported startup parameter in options: role", "is a connection pooler"),
        ("[Errno -2] Name or service not known", "DATABASE_HOST: the name pg.school.example is not known."),
        ("something new", "The database at {} cannot be used: something new."),
    ],
)
def test_what_is_wrong_with_an_address_is_reported_in_plain_words(said: str, what: str) -> None:
    told, fix = explained(said, SERVER, "managed")
    assert what.format(SERVER.where) in told
    assert fix.endswith(".")
    assert SERVER.password not in told + fix


def test_which_servers_may_be_back_in_a_moment() -> None:
    assert is_away("FATAL:  the database system is starting up")
    assert not is_away('FATAL:  password authentication failed for user "managed"')
    assert [leads_back(each) for each in ("127.0.0.1", "::1", "10.0.0.7", "")] == [True, True, False, False]


def test_migrating_comes_after_keeping_others_out() -> None:
    plan = plan_deploy(
        without_db(site_in(InfraState.RUNNING)), DeployRequest(V, is_external=True), Pending(("0002_item_lang",))
    )
    names = [step.name for step in plan.steps]
    assert names.index("end-sessions") < names.index("snapshot") < names.index("migrate")
