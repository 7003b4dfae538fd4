"""`graasp-local init [DIRECTORY]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from msgspec.structs import replace

from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import can_ask, say

if TYPE_CHECKING:
    from graasp_local.cli.asking import CertificateFiles
    from graasp_local.site.answers import RecaptchaKeys

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True)


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--url", help="The address of the site, such as https://graasp.school.example.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port for nginx. Default: that of an http URL, otherwise 80; 8080 behind a TLS proxy and with --demo.",
)
@click.option("--acme", is_flag=True, help="nginx serves HTTPS itself, with certificates from Let's Encrypt.")
@click.option("--certificate", type=_FILE, help="nginx serves HTTPS itself, with this certificate and its chain (PEM).")
@click.option("--certificate-key", type=_FILE, help="The key of --certificate (PEM).")
@click.option(
    "--bind",
    help=(
        "Address that nginx listens on. Default: 0.0.0.0; 127.0.0.1 behind a TLS proxy, for localhost and with --demo."
    ),
)
@click.option(
    "--mail",
    envvar="MAILER_CONNECTION",
    metavar="SMTP-URL",
    help="The mail server, smtp://host:port. Set $MAILER_CONNECTION instead if it has a password.",
)
@click.option(
    "--recaptcha-site-key",
    envvar="RECAPTCHA_SITE_KEY",
    metavar="KEY",
    help="For Graasp before 2.13.9. The secret that goes with it is read from $RECAPTCHA_SECRET_ACCESS_KEY only.",
)
@click.option(
    "--with",
    "parts",
    metavar="PART",
    multiple=True,
    help="Switch on an optional part, such as etherpad or nudenet; `none` for no parts. Can be repeated.",
)
@click.option("--project", help="The Compose project's name. Default: the directory's name.")
@click.option("--demo", is_flag=True, help="Use the demo images (scripts/build-demo-images), on this machine only.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; use the defaults for everything that is not set.")
@click.pass_context
@pass_context
def command(
    context: Context,
    click_context: click.Context,
    directory: Path | None,
    url: str | None,
    port: int | None,
    certificate: Path | None,
    certificate_key: Path | None,
    bind: str | None,
    mail: str | None,
    recaptcha_site_key: str | None,
    parts: tuple[str, ...],
    project: str | None,
    *,
    acme: bool,
    demo: bool,
    yes: bool,
) -> None:
    """Create a site in DIRECTORY (default: --site, or the current directory). An existing site is never overwritten.

    On a terminal it asks for what the options leave open. Nothing is written before the last answer.
    """
    from graasp_local.cli.asking import InitOptions, ask, port_of, without_asking
    from graasp_local.site.answers import NO_PARTS, has_password, next_steps, settings_of
    from graasp_local.site.create import default_project_name, init_site, refuse_existing
    from graasp_local.site.prepare import refuse_unusable_name
    from graasp_local.site.site import Site
    from graasp_local.stack.services import stack_directory
    from graasp_local.stack.variables import profiles_defined

    where = directory or context.named_site or Path.cwd()
    refuse_existing(Site(where.resolve()))
    refuse_unusable_name(where.resolve())
    from_command_line = click_context.get_parameter_source("mail") is click.core.ParameterSource.COMMANDLINE
    if mail and from_command_line and has_password(mail):
        raise click.BadParameter(
            "every user of this machine can see a password on a command line; set MAILER_CONNECTION instead.",
            param_hint="--mail",
        )
    known = profiles_defined([stack_directory() / "compose" / "compose.yaml"])
    files = _certificate_files(certificate, certificate_key)
    if (acme or files) and not (url or "").startswith("https://"):
        raise click.BadParameter("it needs --url https://HOST.", param_hint="--acme" if acme else "--certificate")
    if acme and files:
        raise click.BadParameter("it gets its own certificates: remove --certificate.", param_hint="--acme")
    if demo and (acme or files):
        raise click.BadParameter(
            "a demo site uses plain HTTP: remove it, or remove --demo.",
            param_hint="--acme" if acme else "--certificate",
        )
    port = port or port_of(url)
    recaptcha = _recaptcha_keys(recaptcha_site_key)
    given = InitOptions(url, port, bind, mail, parts, acme, files, recaptcha)
    if demo:
        port = port or 8080
        url_here, parts_here = url or f"http://localhost:{port}", parts or (NO_PARTS,)
        given = replace(given, url=url_here, port=port, bind=bind or "127.0.0.1", parts=parts_here)
    may_ask = not (yes or demo) and can_ask()
    answers = ask(given, known) if may_ask else without_asking(given, known)
    chosen = {"COMPOSE_PROJECT_NAME": project or default_project_name(where.resolve())}
    chosen |= settings_of(answers)
    if url:
        chosen["PUBLIC_URL"] = url.rstrip("/")
    if url and (acme or files) and (https_port := urlsplit(url).port):
        chosen["HTTPS_PORT"] = str(https_port)
    site = init_site(where, chosen, demo)
    say(f"Created a site in {site.directory}.", err=True)
    say("Its settings and secrets are in .env; keep a copy of that file elsewhere.", err=True)
    at = "" if site.directory == Path.cwd() else f" --site {site.directory}"
    for step in next_steps(answers, f"graasp-local{at}"):
        say(f"Next: {step}", err=True)


def _recaptcha_keys(site_key: str | None) -> RecaptchaKeys | None:
    import os

    from graasp_local.settings.rules import recaptcha_key_error
    from graasp_local.site.answers import RecaptchaKeys

    secret = os.environ.get("RECAPTCHA_SECRET_ACCESS_KEY", "")
    if not site_key and not secret:
        return None
    for hint, key in (("--recaptcha-site-key", site_key or ""), ("$RECAPTCHA_SECRET_ACCESS_KEY", secret)):
        wrong = recaptcha_key_error(key) if key else "is missing: both a site key and its secret are needed"
        if wrong:
            raise click.BadParameter(f"it {wrong}.", param_hint=hint)
    return RecaptchaKeys(site_key or "", secret)


def _certificate_files(certificate: Path | None, key: Path | None) -> CertificateFiles | None:
    from graasp_local.cli.asking import CertificateFiles

    if (certificate is None) != (key is None):
        raise click.BadParameter("the certificate and its key are both needed.", param_hint="--certificate")
    return CertificateFiles(str(certificate), str(key)) if certificate else None
