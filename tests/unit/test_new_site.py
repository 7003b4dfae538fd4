"""`init`: what it asks, what it makes of the answers, and that nothing is left of one that was not finished."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.errors import ConfigurationError
from graasp_local.settings import parse_settings
from graasp_local.settings.rules import errors, read
from graasp_local.settings.warnings import Surroundings, warnings
from graasp_local.site import prepare
from graasp_local.site.answers import (
    SiteAnswers,
    TlsMode,
    host_error,
    mail_address,
    mail_host_error,
    next_steps,
    parts_error,
    parts_of,
    settings_of,
    usual_way,
)
from graasp_local.site.create import environment_text, init_site
from graasp_local.site.site import Site
from graasp_local.stack.services import stack_directory
from graasp_local.stack.variables import profiles_defined
from tests.integration.authority import self_signed
from tests.terminal import at_a_terminal
from tests.unit.test_console_blocks import from_page

INIT = from_page("README.md", "graasp-local init")
RUN = [sys.executable, "-m", "graasp_local.cli.main"]


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("graasp.school.example", None),
        ("localhost", None),
        ("192.0.2.7", None),
        ("https://graasp.school.example", "without http://"),
        ("graasp.school.example/here", "without a path"),
        ("graasp school", "is not a host name"),
        ("a..b", "is not a host name"),
        ("", "is not a host name"),
    ],
)
def test_a_host_is_judged(host: str, error: str | None) -> None:
    found = host_error(host)
    assert (found is None) == (error is None)
    assert (error or "") in (found or "")


@pytest.mark.parametrize(
    ("server", "usable"), [("mail.a.example:587", True), ("mail.a.example", False), (":25", False)]
)
def test_a_mail_server_is_judged(server: str, *, usable: bool) -> None:
    assert (mail_host_error(server) is None) == usable


def test_a_mail_password_with_signs_of_its_own_is_one_address_and_port_465_is_tls() -> None:
    assert mail_address("mail.a.example:465", "me@a.example", "p:/@ß") == (
        "smtps://me%40a.example:p%3A%2F%40%C3%9F@mail.a.example:465"
    )
    assert mail_address("mail.a.example:587", "", "") == "smtp://mail.a.example:587"


def test_parts_are_judged_with_the_nearest_one() -> None:
    assert parts_of("client, files") == ("client", "files")
    assert parts_of("none") == ()
    assert parts_error("none", {"client"}) is None
    assert "did you mean client" in str(parts_error("cleint", {"client"}))


@pytest.mark.parametrize(
    ("host", "way"),
    [("localhost", TlsMode.HTTP), ("192.0.2.7", TlsMode.HTTP), ("graasp.school.example", TlsMode.PROXY)],
)
def test_https_is_usual_for_whatever_has_a_name(host: str, way: TlsMode) -> None:
    assert usual_way(host) is way


@pytest.mark.parametrize(
    "answers",
    [
        SiteAnswers("localhost", TlsMode.HTTP, 80),
        SiteAnswers("192.0.2.7", TlsMode.HTTP, 8080),
        SiteAnswers("graasp.school.example", TlsMode.PROXY, 8080, "smtp://mail.school.example:587"),
        SiteAnswers("graasp.school.example", TlsMode.ACME, 80),
        SiteAnswers(
            "graasp.school.example", TlsMode.FILES, 80, certificate="/etc/tls/site.pem", key="/etc/tls/site.key"
        ),
    ],
)
def test_what_follows_from_answers_is_used_without_an_error(answers: SiteAnswers) -> None:
    settings = parse_settings(environment_text(settings_of(answers)), ".env")
    assert settings.port == answers.port


def test_a_site_behind_a_proxy_has_nothing_that_config_check_would_say() -> None:
    answers = SiteAnswers("graasp.school.example", TlsMode.PROXY, 8080, "smtp://mail.school.example:587", ("nudenet",))
    reading = read(environment_text(settings_of(answers)))
    assert list(warnings(reading, Surroundings(frozenset(), frozenset({"nudenet"})))) == []


def test_what_to_do_next_is_printed_for_what_is_still_missing() -> None:
    proxied = SiteAnswers("graasp.school.example", TlsMode.PROXY, 8080)
    told = " ".join(next_steps(proxied, "graasp-local", "https://graasp.school.example:8443"))
    assert "forward https://graasp.school.example:8443 to http://127.0.0.1:8080" in told
    assert "MAILER_CONNECTION" in told
    assert "deploy --version X" in told
    by_address = " ".join(next_steps(SiteAnswers("192.0.2.7", TlsMode.HTTP, 80), "graasp-local", "http://192.0.2.7"))
    assert "stay logged in on http://192.0.2.7" in by_address


def test_an_ipv6_address_is_in_brackets_wherever_it_is_part_of_a_url() -> None:
    chosen = settings_of(SiteAnswers("2001:db8::1", TlsMode.HTTP, 8080))
    assert chosen["PUBLIC_URL"] == "http://[2001:db8::1]:8080"
    assert chosen["HTTP_BIND"] == "::"
    assert parse_settings(environment_text(chosen), ".env").public_url == chosen["PUBLIC_URL"]
    assert list(errors(read(environment_text(chosen)))) == []


def test_no_parts_is_an_answer_and_mailpit_catches_the_mails() -> None:
    assert settings_of(SiteAnswers("localhost", TlsMode.HTTP, 80))["COMPOSE_PROFILES"] == ""
    caught = settings_of(SiteAnswers("localhost", TlsMode.HTTP, 80, parts=("mailpit",)))
    assert caught["MAILER_CONNECTION"] == "smtp://user:password@mailpit:1025"


SITE_KEY = "6LdTestOfTheFormOnly_0123456789-abcdefgh"
RECAPTCHA_SECRET = "6LdSecretOfTheFormOnly_012345678-abcdefg"


def call(*words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    result = CliRunner(env=env).invoke(cli, ["init", *words])
    return result.exit_code, result.output


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    code, _ = call(str(tmp_path / "s"), "--url", "https://graasp.school.example")
    values = Site(tmp_path / "s").settings.values
    assert code == 0
    assert values["PUBLIC_URL"] == "https://graasp.school.example"
    assert (values["HTTP_BIND"], values["HTTP_PORT"]) == ("127.0.0.1", "8080")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A certificate's file and its key's."""
    made = self_signed(tmp_path / "mine", "graasp.school.example")
    return str(made.certificate), str(made.key)


def test_certificate_files_are_given_both_and_for_https(tmp_path: Path, files: tuple[str, str]) -> None:
    certificate, key = files
    site, url = str(tmp_path / "s"), ("--url", "https://graasp.school.example")
    assert call(site, *url, "--certificate", certificate)[0] == 2
    assert call(site, *url, "--certificate", certificate, "--certificate-key", key, "--acme")[0] == 2
    assert call(site, "--certificate", certificate, "--certificate-key", key)[0] == 2
    assert call(site, *url, "--certificate", certificate, "--certificate-key", "/no/such.key")[0] == 2
    assert not (tmp_path / "s").exists()
    assert call(site, *url, "--certificate", key, "--certificate-key", key)[0] != 0, "two keys are no certificate"
    assert not (tmp_path / "s").exists()
    code, said = call(site, *url, "--certificate", certificate, "--certificate-key", key)
    assert code == 0
    assert "Whenever you renew the certificate files" in said
    values = Site(tmp_path / "s").settings.values
    assert (values["TLS"], values["TLS_CERTIFICATE"], values["TLS_KEY"]) == ("files", certificate, key)
    assert (values["HTTP_BIND"], values["HTTP_PORT"]) == ("0.0.0.0", "80")


def test_a_person_is_asked_for_certificate_files(tmp_path: Path, files: tuple[str, str]) -> None:
    certificate, key = files
    with at_a_terminal(
        *RUN, "init", str(tmp_path / "s"), "--mail", "smtp://mail.school.example:587", "--with", "none"
    ) as asked:
        asked.answer("Domain name of the", "graasp.school.example")
        asked.answer("[proxy]", "files")
        asked.answer("with its chain", "fullchain.pem")
        asked.wait_for("should be an absolute path")
        asked.answer("with its chain", certificate)
        asked.answer("Path of its private key", "/no/such.key")
        asked.wait_for("does not exist on this machine")
        asked.answer("Path of its private key", key)
        asked.answer("Port that nginx listens on", "18080")
        asked.answer("reCAPTCHA site key", "")
        assert asked.end() == 0, asked.said
    values = Site(tmp_path / "s").settings.values
    assert (values["TLS"], values["TLS_CERTIFICATE"], values["TLS_KEY"]) == ("files", certificate, key)


def test_a_port_that_is_in_use_is_asked_for_again_unless_the_engine_is_elsewhere(tmp_path: Path) -> None:
    words = (*RUN, "init", str(tmp_path / "s"), "--mail", "smtp://mail.school.example:587", "--with", "none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with at_a_terminal(*words) as asked:
            asked.answer("Domain name of the", "localhost")
            asked.answer("[http]", "")
            asked.answer("Port that nginx listens on", port)
            asked.wait_for("That port is in use.")
        with at_a_terminal(*words, environment={**os.environ, "DOCKER_HOST": "tcp://192.0.2.1:2376"}) as asked:
            asked.answer("Domain name of the", "localhost")
            asked.answer("[http]", "")
            asked.answer("Port that nginx listens on", port)
            asked.answer("reCAPTCHA site key", "")
            assert asked.end() == 0, asked.said


def test_a_mail_password_comes_by_the_environment_only(tmp_path: Path) -> None:
    address = "smtp://me:secret-word@mail.school.example:587"
    code, said = call(str(tmp_path / "s"), "--mail", address)
    assert code == 2
    assert "every user of this machine can see" in said
    assert "secret-word" not in said
    assert not (tmp_path / "s").exists()
    assert call(str(tmp_path / "s"), env={"MAILER_CONNECTION": address})[0] == 0
    assert Site(tmp_path / "s").settings.values["MAILER_CONNECTION"] == address


def test_recaptcha_keys_are_checked_and_what_happens_without_is_reported(tmp_path: Path) -> None:
    code, said = call(str(tmp_path / "s"), "--recaptcha-site-key", SITE_KEY)
    assert (code, "the site key and the secret key are needed together" in said) == (2, True)
    for site_key, secret in ((SITE_KEY, "a-secret-of-another-kind"), ("6Lc", RECAPTCHA_SECRET)):
        env = {"RECAPTCHA_SITE_KEY": site_key, "RECAPTCHA_SECRET_ACCESS_KEY": secret}
        code, said = call(str(tmp_path / "s"), env=env)
        assert (code, "is not a reCAPTCHA key" in said) == (2, True)
    assert not (tmp_path / "s").exists()
    without = call(str(tmp_path / "without"))[1]
    assert "users cannot log in or register without keys" in without
    env = {"RECAPTCHA_SITE_KEY": SITE_KEY, "RECAPTCHA_SECRET_ACCESS_KEY": RECAPTCHA_SECRET}
    code, said = call(str(tmp_path / "s"), env=env)
    assert (code, "RECAPTCHA" in said) == (0, False)
    assert Site(tmp_path / "s").settings.values["RECAPTCHA_SITE_KEY"] == SITE_KEY
    assert call(str(tmp_path / "demo"), "--demo", env=env)[0] == 0
    assert Site(tmp_path / "demo").settings.values["RECAPTCHA_SITE_KEY"] == SITE_KEY


@pytest.mark.parametrize(
    "words", [["--with", "cleint"], ["--url", "nonsense"], ["--url", "http://[::1"], ["--bind", "everywhere"]]
)
def test_a_mistake_in_an_option_makes_nothing(tmp_path: Path, words: list[str]) -> None:
    code, _ = call(str(tmp_path / "deep" / "s"), *words)
    assert code != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there_already", [False, True])
def test_an_end_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there_already: bool
) -> None:
    directory = tmp_path / "deep" / "site"
    if there_already:
        directory.mkdir(parents=True)
        (directory / "notes").write_text("mine")

    def ctrl_c(site: Site) -> None:
        site.own_directory.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        init_site(directory, {}, demo=True)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == (["deep", "deep/site", "deep/site/notes"] if there_already else [])


def test_a_person_is_asked_and_a_wrong_answer_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    (typed,) = INIT
    words = shlex.split(typed.replace("/srv/graasp", str(tmp_path / "s")))
    with at_a_terminal(*RUN, *words[1:]) as terminal:
        terminal.answer("Domain name of the", "https://graasp.school.example")
        terminal.wait_for("should be the host name alone")
        terminal.answer("Domain name of the", "graasp.school.example")
        terminal.answer("[proxy]", "carrier pigeon")
        terminal.wait_for("should be one of http, proxy")
        terminal.answer("[proxy]", "")
        terminal.answer("[8080]", "99999")
        terminal.wait_for("between 1 and 65535")
        terminal.answer("[8080]", "18080")
        terminal.answer("[none]", "mail.school.example:587")
        terminal.answer("User name on the mail server", "graasp")
        terminal.answer("Password on the mail server", "s3cret-of-mail")
        terminal.wait_for("users cannot log in or register without keys")
        terminal.answer("reCAPTCHA site key", "6Lc-too-short")
        terminal.wait_for("is not a reCAPTCHA key")
        terminal.answer("reCAPTCHA site key", SITE_KEY)
        terminal.answer("reCAPTCHA secret key", RECAPTCHA_SECRET)
        if profiles_defined([stack_directory() / "compose" / "compose.yaml"]):
            terminal.answer("Parts to switch on", "none")
        assert terminal.end() == 0, terminal.said
    values = Site(tmp_path / "s").settings.values
    assert values["MAILER_CONNECTION"] == "smtp://graasp:s3cret-of-mail@mail.school.example:587"
    assert values["PUBLIC_URL"] == "https://graasp.school.example"
    assert (values["RECAPTCHA_SITE_KEY"], values["RECAPTCHA_SECRET_ACCESS_KEY"]) == (SITE_KEY, RECAPTCHA_SECRET)
    assert "s3cret-of-mail" not in terminal.said
    assert RECAPTCHA_SECRET not in terminal.said
    assert re.search(r"Next: .*doctor", terminal.said)


def test_ctrl_c_at_a_question_leaves_nothing_behind(tmp_path: Path) -> None:
    with at_a_terminal(*RUN, "init", str(tmp_path / "deep" / "s")) as terminal:
        terminal.answer("Domain name of the", "localhost")
        terminal.wait_for("[http]")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    assert "nothing was changed" in terminal.said
    assert list(tmp_path.iterdir()) == []


def test_yes_asks_nothing_at_a_terminal_either(tmp_path: Path) -> None:
    with at_a_terminal(*RUN, "init", str(tmp_path / "s"), "--yes") as terminal:
        assert terminal.end() == 0, terminal.said
    assert (tmp_path / "s" / ".env").is_file()


def test_a_site_that_is_there_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine\n")
    with at_a_terminal(*RUN, "init", str(tmp_path)) as terminal:
        assert terminal.end() == 2
    assert "exists already" in terminal.said
    assert "Domain name of the" not in terminal.said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--url", "http://192.0.2.10:18108"], {"HTTP_PORT": "18108", "PUBLIC_URL": "http://192.0.2.10:18108"}),
        (["--url", "http://192.0.2.10"], {"HTTP_PORT": "80"}),
        (["--url", "http://graasp.example:8080", "--port", "9090"], {"HTTP_PORT": "9090"}),
        (["--url", "https://graasp.example:8443"], {"HTTP_PORT": "8080", "PUBLIC_URL": "https://graasp.example:8443"}),
        (["--url", "https://graasp.example:8443", "--acme"], {"HTTP_PORT": "80", "HTTPS_PORT": "8443"}),
        (["--demo", "--url", "http://127.0.0.1:18108"], {"HTTP_PORT": "18108", "HTTP_BIND": "127.0.0.1"}),
        (["--demo"], {"HTTP_PORT": "8080"}),
    ],
)
def test_the_port_of_the_url_is_the_one_that_is_listened_on(
    tmp_path: Path, words: list[str], expected: dict[str, str]
) -> None:
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "-y", *words])
    assert result.exit_code == 0, result.output
    values = Site(tmp_path / "site").settings.values
    assert {key: values[key] for key in expected} == expected


@pytest.mark.parametrize("words", [["--acme"], ["--certificate", "x.pem", "--certificate-key", "x.key"]])
def test_what_a_demo_site_would_ignore_is_refused(tmp_path: Path, words: list[str]) -> None:
    for name in ("x.pem", "x.key"):
        (tmp_path / name).touch()
    words = [str(tmp_path / word) if word.startswith("x.") else word for word in words]
    url = ["--url", "https://graasp.example"]
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--demo", *url, *words])
    assert result.exit_code == 2
    assert "a demo site uses plain HTTP" in result.output
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a #b", "# after a space"),
        ("a\t#b", "# after a space"),
        ("$HOME", "contains $"),
        ("a${X}b", "contains $"),
        ("a:b", "contains :"),
        ("a\nb", "a line break"),
        ("a\rb", "a line break, a tab or a control character"),
        ("a\x1b[2Jb", "a control character"),
        ("a\u2028b", "a line break"),
        ("a\udcffb", "bytes that are not UTF-8"),
    ],
)
def test_a_name_that_compose_would_misread_is_refused_and_nothing_is_made(tmp_path: Path, name: str, said: str) -> None:
    result = CliRunner().invoke(cli, ["init", str(tmp_path / name / "site"), "--demo"])
    assert isinstance(result.exception, ConfigurationError)
    assert said in result.exception.what
    assert result.exception.what.isprintable()
    assert list(tmp_path.iterdir()) == []
    # A site that was moved there says the same instead of working somewhere else.
    init_site(tmp_path / "site", {"COMPOSE_PROJECT_NAME": "moved"}, demo=True)
    moved = (tmp_path / "site").rename(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be a site"):
        prepare.prepare(Site(moved))


@pytest.mark.parametrize(
    "name", ["a b", "a'b", 'a"b', "a\\b", "a`b", "a#b", "#a", "a;b", "a,b", "a%b", "é", "a*b", "(a)"]
)
def test_other_names_are_left_alone(tmp_path: Path, name: str) -> None:
    site = init_site(tmp_path / name, {"COMPOSE_PROJECT_NAME": "named"}, demo=True)
    assert f"GRAASP_STACK={site.stack_copy}" in site.version_file.read_text().splitlines()


def test_the_next_commands_can_be_typed_whatever_the_directory_is_called(tmp_path: Path) -> None:
    directory = tmp_path / "it's a school"
    told = CliRunner().invoke(cli, ["init", str(directory), "--demo"]).stderr
    typed = [command for command in re.findall(r"`(graasp-local[^`]*)`", told) if "--site" in command]
    assert len(typed) == 3
    assert all(shlex.split(command)[:3] == ["graasp-local", "--site", str(directory)] for command in typed)


@pytest.mark.parametrize(
    ("options", "key", "next_step"),
    [
        (["--url", "https://graasp.example/here"], "PUBLIC_URL", "Pass another --url."),
        (["--demo", "--project", "My School"], "COMPOSE_PROJECT_NAME", "Pass another --project."),
        (["--demo", "--bind", "300.1.1.1"], "HTTP_BIND", "Pass another --bind."),
        (["--demo", "--mail", "smtp://a b:25"], "MAILER_CONNECTION", "Pass another --mail or $MAILER_CONNECTION."),
    ],
)
def test_an_option_with_a_value_that_cannot_be_used_is_named_instead_of_a_file_that_is_not_there(
    tmp_path: Path, options: list[str], key: str, next_step: str
) -> None:
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--yes", *options])
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.what.startswith(key)
    assert result.exception.next_step == next_step
    assert ".env" not in f"{result.exception.what} {result.exception.meaning}"
    assert list(tmp_path.iterdir()) == []
