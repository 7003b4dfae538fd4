"""`graasp-local init [DIRECTORY]`."""

from __future__ import annotations

import shlex
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
@click.option("--url", help="URL of the site, such as https://graasp.school.example.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port that nginx listens on. Default: the port in an http URL, otherwise 80; 8080 behind a TLS proxy and with "
    "--demo.",
)
@click.option("--acme", is_flag=True, help="Let nginx serve HTTPS, with certificates from Let's Encrypt.")
@click.option("--certificate", type=_FILE, help="Let nginx serve HTTPS, with this certificate and its chain (PEM).")
@click.option("--certificate-key", type=_FILE, help="Private key of --certificate (PEM).")
@click.option(
    "--bind",
    help=(
        "Address that nginx listens on. Default: 0.0.0.0 (:: for an IPv6 URL); 127.0.0.1 behind a TLS proxy, for "
        "localhost and with --demo."
    ),
)
@click.option(
    "--mail",
    envvar="MAILER_CONNECTION",
    metavar="SMTP-URL",
    help="The mail server, smtp://host:port. If it needs a password, set $MAILER_CONNECTION instead.",
)
@click.option(
    "--recaptcha-site-key",
    envvar="RECAPTCHA_SITE_KEY",
    metavar="KEY",
    help="reCAPTCHA site key, for Graasp before 2.13.9. Its secret key is read from $RECAPTCHA_SECRET_ACCESS_KEY only.",
)
@click.option(
    "--with",
    "parts",
    metavar="PART",
    multiple=True,
    help="Switch on an optional part, such as etherpad or nudenet; `none` for no parts. Can be repeated.",
)
@click.option("--project", help="Name of the Compose project. Default: the name of the directory.")
@click.option(
    "--demo", is_flag=True, help="Use the demo images (scripts/build-demo-images); only this machine can open the site."
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; use the default for every option that is not given.")
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

    On a terminal, you are asked for everything that no option sets. Nothing is written before the last answer.
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
            "every user of this machine can see a password on the command line; set $MAILER_CONNECTION instead.",
            param_hint="--mail",
        )
    known = profiles_defined([stack_directory() / "compose" / "compose.yaml"])
    files = _certificate_files(certificate, certificate_key)
    if (acme or files) and not (url or "").startswith("https://"):
        raise click.BadParameter(
            "this option needs --url https://HOST.", param_hint="--acme" if acme else "--certificate"
        )
    if acme and files:
        raise click.BadParameter("nginx then gets its own certificates, so remove --certificate.", param_hint="--acme")
    if demo and (acme or files):
        raise click.BadParameter(
            "a demo site uses plain HTTP: remove this option, or remove --demo.",
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
    at = "" if site.directory == Path.cwd() else f" --site {shlex.quote(str(site.directory))}"
    for step in next_steps(answers, f"graasp-local{at}", chosen["PUBLIC_URL"]):
        say(f"Next: {step}", err=True)


def _recaptcha_keys(site_key: str | None) -> RecaptchaKeys | None:
    import os

    from graasp_local.settings.rules import recaptcha_key_error
    from graasp_local.site.answers import RecaptchaKeys

    secret = os.environ.get("RECAPTCHA_SECRET_ACCESS_KEY", "")
    if not site_key and not secret:
        return None
    for hint, key in (("--recaptcha-site-key", site_key or ""), ("$RECAPTCHA_SECRET_ACCESS_KEY", secret)):
        wrong = recaptcha_key_error(key) if key else "is missing: the site key and the secret key are needed together"
        if wrong:
            raise click.BadParameter(f"it {wrong}.", param_hint=hint)
    return RecaptchaKeys(site_key or "", secret)


def _certificate_files(certificate: Path | None, key: Path | None) -> CertificateFiles | None:
    from graasp_local.cli.asking import CertificateFiles

    if (certificate is None) != (key is None):
        raise click.BadParameter("pass both --certificate and --certificate-key.", param_hint="--certificate")
    return CertificateFiles(str(certificate), str(key)) if certificate else None
