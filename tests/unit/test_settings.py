"""`.env`: what `init` writes can be used, and what cannot be used is named by line and key."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.errors import ConfigurationError
from graasp_local.settings import OPTIONS, SETTINGS, parse_settings
from graasp_local.settings.bindings import parsed_bindings, plain_bindings
from graasp_local.settings.rules import errors, read
from graasp_local.settings.strength import weakness
from graasp_local.settings.table import DatabasePassword, Generated
from graasp_local.settings.warnings import Surroundings, warnings
from graasp_local.site.create import add_missing, default_project_name, environment_text, init_site
from graasp_local.site.site import Site

GOOD = environment_text({})


def changed(key: str, value: str | None) -> str:
    """A good .env with one key changed, or left out."""
    if value is None:
        return re.sub(rf"^{key}=.*\n", "", GOOD, flags=re.MULTILINE)
    return re.sub(rf"^{key}=.*$", lambda _: f"{key}={value}", GOOD, flags=re.MULTILINE)


def line_of(key: str) -> int:
    return next(number for number, line in enumerate(GOOD.splitlines(), 1) if line.startswith(f"{key}="))


def test_a_new_env_has_every_setting_with_a_comment_and_can_be_used() -> None:
    settings = parse_settings(GOOD, ".env")
    for setting in SETTINGS:
        assert settings.values[setting.key]
        assert f"# {setting.comment}\n{setting.key}=" in GOOD


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[A-Z][A-Z0-9_]{0,8}=[A-Za-z0-9_./:@%+,-]{0,12}", fullmatch=True),
            st.from_regex(r"#[ -~]{0,12}", fullmatch=True),
            st.just(""),
        )
    )
)
def test_plain_lines_mean_what_the_library_says_they_mean(lines: list[str]) -> None:
    text = "\n".join(lines)
    plain = [(number, key, value) for number, _, key, value in plain_bindings(text) or ()]
    assert plain == [(number, key, value) for number, _, key, value in parsed_bindings(text)]


def test_secrets_are_recreated_each_time() -> None:
    first, second = parse_settings(GOOD, ".env"), parse_settings(environment_text({}), ".env")
    for key in ("MAINTENANCE_HEADER_SECRET", "POSTGRES_PASSWORD", "JWT_SECRET", "SECURE_SESSION_SECRET_KEY"):
        assert first.values[key] != second.values[key]


def test_settings_do_not_show_their_secrets() -> None:
    settings = parse_settings(GOOD, ".env")
    assert settings.header_secret not in repr(settings)


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.required], ids=lambda s: s.key)
def test_a_required_key_that_is_missing_or_empty_is_named(setting) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=f"{setting.key} is missing"):
        parse_settings(changed(setting.key, None), ".env")
    with pytest.raises(ConfigurationError, match=rf"line {line_of(setting.key)}: {setting.key} is empty"):
        parse_settings(changed(setting.key, ""), ".env")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("MAINTENANCE_HEADER_NAME", "X_Graasp", "letters, digits and -"),
        ("MAINTENANCE_HEADER_NAME", "'X Graasp'", "letters, digits and -"),
        ("MAINTENANCE_HEADER_NAME", "X" * 65, "up to 64 letters"),
        ("MAINTENANCE_HEADER_NAME", "9-Graasp", "beginning with a letter"),
        ("MAINTENANCE_HEADER_NAME", "Cookie", "use already"),
        ("MAINTENANCE_RETRY_AFTER", "100000", "at most 99999"),
        ("BACKUP_KEEP_DAYS", "10000", "at most 9999"),
        ("MAINTENANCE_HEADER_NAME", "HOST", "use already"),
        ("MAINTENANCE_HEADER_SECRET", "short", "16 to 256"),
        ("MAINTENANCE_HEADER_SECRET", "'with \"quotes\" and $dollars'", "16 to 256"),
        ("MAINTENANCE_HEADER_SECRET", "a" * 32, "too easy to guess"),
        ("HTTP_PORT", "99999", "between 1 and 65535"),
        ("HTTP_PORT", "http", "a port number"),
        ("HTTP_BIND", "1.2.3.400", "not an IP address"),
        ("PUBLIC_URL", "localhost", "http://"),
        ("HTTP_BIND", "1::2::3", "not an IP address"),
        ("PUBLIC_URL", "http://umami.localhost", "UMAMI_HOST"),
        ("PUBLIC_URL", "'https://x.example\";'", "without a path"),
        ("PUBLIC_URL", "https://x.example?y", "without a path"),
        ("UMAMI_HOST", "localhost", "UMAMI_HOST is the host of PUBLIC_URL"),
        ("UMAMI_HOST", "127.0.0.1", "it has to be a host name"),
        ("UMAMI_HOST", "*.localhost", "a host name"),
        ("COMPOSE_PROJECT_NAME", "Big Name", "lower-case"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(changed(key, value), ".env")
    assert why in refused.value.what
    assert re.search(r"line \d+", refused.value.what)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("TRUSTED_PROXIES=0.0.0.0/0", "most of the internet"),
        ("TRUSTED_PROXIES=host,::/0", "most of the internet"),
        ("TRUSTED_PROXIES=0.0.0.0/1,128.0.0.0/1", "most of the internet"),
        ("ADMIN_HOST=localhost", "ADMIN_HOST is the host of PUBLIC_URL"),
        ("ADMIN_HOST=umami.localhost", "ADMIN_HOST is the same as UMAMI_HOST"),
        ("ADMIN_HOST=192.0.2.7", "it has to be a host name"),
        ("FRAME_ANCESTORS='https://a.example \"x\"'", "separated by spaces"),
        ("FRAME_ANCESTORS='https://a.example; default-src *'", "separated by spaces"),
        ("FRAME_ANCESTORS=https://a.example,https://b.example", "separated by spaces"),
        ("FRAME_ANCESTORS='{$host}'", "separated by spaces"),
        ("FRAME_ANCESTORS=\"'none'\"", "separated by spaces"),
    ],
)
def test_what_would_change_the_meaning_of_nginxs_configuration_is_refused(line: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(f"{GOOD}\n{line}\n", ".env")
    assert why in refused.value.what
    assert line.partition("=")[0] in refused.value.what


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("REDIS_IMAGE", option.default) for option in OPTIONS if option.key.endswith("_IMAGE") and option.default),
        ("REDIS_IMAGE", "redis"),
        ("REDIS_IMAGE", f"redis:7@sha256:{'a1' * 32}"),
        ("REDIS_IMAGE", f"sha256:{'a1' * 32}"),
        ("REDIS_IMAGE", "Registry:5000/my__own/redis-7.4:v1_X"),
        ("REDIS_IMAGE", "[2001:db8::1]:5000/redis"),
        ("GRAASP_REPOSITORY", "localhost:5000/graasp"),
        ("GRAASP_REPOSITORY", "public.ecr.aws/graasp/graasp"),
    ],
)
def test_whatever_docker_takes_for_an_image_is_taken(key: str, value: str) -> None:
    assert parse_settings(f"{GOOD}{key}={value}\n", ".env").values[key] == value


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("MEILISEARCH_IMAGE", "registry.example/Upper:1", "the name of an image"),
        ("REDIS_IMAGE", "http://registry.example/redis:7", "the name of an image"),
        ("REDIS_IMAGE", "redis:", "the name of an image"),
        ("CORE_IMAGE", "graasp@sha256:12", "the name of an image"),
        ("GRAASP_REPOSITORY", "registry.example/graasp:latest", "without a tag"),
        ("GRAASP_REPOSITORY", "registry.example/Graasp", "without a tag"),
    ],
)
def test_what_docker_refuses_as_an_image_is_named_by_its_key(key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{key} should be .*{why}"):
        parse_settings(f"{GOOD}{key}={value}\n", ".env")


def test_a_name_that_is_left_out_is_the_one_that_the_stack_has() -> None:
    for key, value in (("PUBLIC_URL", "http://ADMIN.localhost:8080"), ("UMAMI_HOST", "Admin.LOCALHOST")):
        with pytest.raises(ConfigurationError, match="ADMIN_HOST is"):
            parse_settings(changed(key, value), ".env")


@pytest.mark.parametrize(
    "line",
    [
        "TRUSTED_PROXIES=host,10.0.0.0/8,192.0.2.7,fd00::/16",
        "ADMIN_HOST=admin.school.example",
        "FRAME_ANCESTORS='https://moodle.school.example *.school.example:8443 http://[::1]:8080'",
    ],
)
def test_what_was_obviously_intended_is_used(line: str) -> None:
    parse_settings(f"{GOOD}\n{line}\n", ".env")


@pytest.mark.parametrize(
    ("bind", "published"),
    [("0.0.0.0", "0.0.0.0"), ("127.0.0.1", "127.0.0.1"), ("::", ""), ("2001:db8::7", "[2001:db8::7]")],
)
def test_an_address_is_published_in_the_words_of_a_compose_file(bind: str, published: str) -> None:
    assert parse_settings(changed("HTTP_BIND", bind), ".env").published_on == published


def test_letting_every_site_show_this_one_in_a_frame_is_a_warning() -> None:
    for sites in ("*", "https:", "https://*"):
        said = [
            found.said
            for found in warnings(read(f"{GOOD}\nFRAME_ANCESTORS={sites}\n"), Surroundings(frozenset(), frozenset()))
        ]
        assert any("lets any site" in text for text in said), sites


def test_a_line_that_is_not_a_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match="line 3: this line is not KEY=value"):
        parse_settings("# one\n\nthis is not a setting\n" + GOOD, ".env")


def test_a_quote_that_is_never_closed_is_named() -> None:
    with pytest.raises(ConfigurationError, match="this line is not KEY=value"):
        parse_settings('A="never closed\n' + GOOD, ".env")


def test_a_key_that_is_set_twice_is_named_with_both_lines() -> None:
    text = GOOD + "\nHTTP_PORT=81\n"
    with pytest.raises(ConfigurationError, match=rf"HTTP_PORT is set twice; line {line_of('HTTP_PORT')}"):
        parse_settings(text, ".env")


def test_init_writes_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {"HTTP_PORT": "8080"}, demo=False)
    assert stat.S_IMODE(site.env_file.stat().st_mode) == 0o600
    assert site.settings.port == 8080


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine\n")
    with pytest.raises(ConfigurationError, match="exists already"):
        init_site(tmp_path, {}, demo=False)
    assert (tmp_path / ".env").read_text() == "mine\n"


def test_init_with_a_value_that_cannot_be_used_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PUBLIC_URL"):
        init_site(tmp_path / "site", {"PUBLIC_URL": "nonsense"}, demo=False)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(("name", "project"), [("graasp", "graasp"), ("My School!", "my-school"), ("---", "graasp")])
def test_the_project_is_named_after_the_directory(name: str, project: str) -> None:
    assert default_project_name(Path("/srv") / name) == project


@pytest.mark.parametrize(
    "value",
    ["changeme-changeme", "password12345678", "GraaspSecret2024", "0123456789abcdef", "a" * 40, "abcdabcdabcdabcdabcd"],
)
def test_a_secret_that_could_be_guessed_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"JWT_SECRET is (too easy to guess|a placeholder)"):
        parse_settings(changed("JWT_SECRET", value), ".env")


def test_what_is_generated_is_never_taken_for_weak() -> None:
    made = [setting.default() for setting in SETTINGS if isinstance(setting.secret, Generated | DatabasePassword)]
    assert made
    assert [weakness(value) for value in made] == [None] * len(made)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("COOKIE_DOMAIN", "elsewhere.example", "does not cover localhost"),
        ("COOKIE_DOMAIN", "host", "does not cover localhost"),
        ("HTTP_PORT", "5432\nDB_PORT=5432", "DB_PORT is the same as HTTP_PORT"),
        ("HTTP_PORT", "80\nDB_PORT=5432\nMAILPIT_PORT=5432", "MAILPIT_PORT is the same as DB_PORT"),
        ("HTTP_PORT", "80\nMAILPIT_PORT=80", "MAILPIT_PORT is the same as HTTP_PORT"),
    ],
)
def test_values_that_contradict_each_other_are_named(key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_settings(changed(key, value), ".env")


def test_a_cookie_domain_above_the_site_is_fine() -> None:
    text = environment_text({"PUBLIC_URL": "http://graasp.school.example", "COOKIE_DOMAIN": "school.example"})
    assert parse_settings(text, ".env").public_url == "http://graasp.school.example"


def test_the_first_error_says_how_many_more_there_are() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(GOOD.replace("HTTP_PORT=80", "HTTP_PORT=http\nPLAIN"), ".env")
    assert "1 more" in refused.value.next_step


def test_what_a_newer_program_needs_is_added_and_nothing_else_is_changed(tmp_path: Path) -> None:
    site = init_site(tmp_path, {}, demo=False)
    before = changed("JWT_SECRET", None).replace("PUBLIC_URL=http://localhost\n", "")
    site.env_file.write_text(before)
    assert add_missing(site) == ("JWT_SECRET",)
    after = site.env_file.read_text()
    assert after.startswith(before.rstrip())
    assert stat.S_IMODE(site.env_file.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="PUBLIC_URL is missing"):
        _ = Site(site.directory).settings
    assert add_missing(site) == ()


@pytest.mark.parametrize("value", [None, "short", "changeme-changeme"])
def test_a_secret_that_is_missing_or_weak_names_the_command_that_makes_one(value: str | None) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(changed("JWT_SECRET", value), ".env")
    assert "config add-missing" in refused.value.next_step


def test_a_weak_password_of_the_database_is_not_recreated_behind_its_back() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(changed("POSTGRES_PASSWORD", "short"), ".env")
    assert "add-missing" not in refused.value.next_step


S3 = {"FILE_STORAGE_TYPE": "s3", "S3_FILE_ITEM_REGION": "zh", "S3_FILE_ITEM_BUCKET": "graasp"}


def test_s3_that_is_half_set_is_named_by_what_is_missing() -> None:
    keys = "\n".join(f"{key}={value}" for key, value in S3.items())
    found = [(problem.key, problem.said) for problem in errors(read(f"{GOOD}\n{keys}\n"))]
    assert found == [
        ("S3_FILE_ITEM_ACCESS_KEY_ID", "is missing, but FILE_STORAGE_TYPE is s3"),
        ("S3_FILE_ITEM_SECRET_ACCESS_KEY", "is missing, but FILE_STORAGE_TYPE is s3"),
    ]


def test_s3_that_is_set_and_not_chosen_is_a_warning() -> None:
    surroundings = Surroundings(frozenset({"S3_FILE_ITEM_BUCKET"}), frozenset())
    said = [problem.said for problem in warnings(read(f"{GOOD}\nS3_FILE_ITEM_BUCKET=graasp\n"), surroundings)]
    assert "is set, but FILE_STORAGE_TYPE is not s3" in said
