"""The questions of `init`: each answer is checked at once, and asked for again with the reason if it is not usable."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click
from msgspec import Struct
from msgspec.structs import replace

from graasp_local.cli.speaking import say
from graasp_local.errors import EngineUnreachable
from graasp_local.settings.rules import recaptcha_key_error
from graasp_local.site.answers import (
    NO_PARTS,
    TLS_MODES,
    WHAT_RECAPTCHA_IS_FOR,
    RecaptchaKeys,
    SiteAnswers,
    TlsMode,
    host_error,
    mail_address,
    mail_host_error,
    parts_error,
    parts_of,
    port_error,
    usual_parts,
    usual_port,
    usual_way,
    ways_for,
)


class CertificateFiles(Struct, frozen=True):
    """Absolute paths of a certificate with its chain, and of its key."""

    certificate: str
    key: str


class InitOptions(Struct, frozen=True):
    """The options that were given; None, or no parts, for those that were not."""

    url: str | None
    port: int | None
    bind: str | None
    mail: str | None
    parts: tuple[str, ...]
    acme: bool = False
    """Whether nginx terminates TLS itself, with certificates from an authority; only if `url` says https."""
    files: CertificateFiles | None = None
    """What nginx terminates TLS with; only if `url` says https."""
    recaptcha: RecaptchaKeys | None = None


def without_asking(given: InitOptions, known_parts: Collection[str]) -> SiteAnswers:
    """The options, and the defaults for the rest."""
    host, way = _from_url(given) if given.url else ("localhost", TlsMode.HTTP)
    port = given.port or usual_port(way)
    parts = _parts_given(given, known_parts)
    chosen = SiteAnswers(host, way, port, given.mail or "", parts, given.bind or "", recaptcha=given.recaptcha)
    return _answers(chosen, given.files)


def ask(given: InitOptions, known_parts: Collection[str]) -> SiteAnswers:
    """The options, and a person's answers for the rest. Raises click.Abort on Ctrl-C."""
    if given.url:
        host, way = _from_url(given)
    else:
        host = _ask("Domain name of the site", "localhost", host_error)
        way = _ask_way(host)
    files = given.files or (_ask_files() if way is TlsMode.FILES else None)
    port = given.port or int(_ask("Port that nginx listens on", str(usual_port(way)), _port_error))
    mail = given.mail if given.mail is not None else _ask_mail()
    recaptcha = given.recaptcha or _ask_recaptcha()
    parts = _parts_given(given, known_parts) if given.parts else _ask_parts(known_parts)
    return _answers(SiteAnswers(host, way, port, mail, parts, given.bind or "", recaptcha=recaptcha), files)


def _answers(answers: SiteAnswers, files: CertificateFiles | None) -> SiteAnswers:
    return replace(answers, certificate=files.certificate, key=files.key) if files else answers


def _from_url(given: InitOptions) -> tuple[str, TlsMode]:
    url = given.url or ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or host_error(host) or parts.scheme not in ("http", "https"):
        raise click.BadParameter(f"{url!r} is not a URL such as https://graasp.school.example.", param_hint="--url")
    if given.acme:
        return host, TlsMode.ACME
    if given.files:
        return host, TlsMode.FILES
    return host, TlsMode.PROXY if parts.scheme == "https" else TlsMode.HTTP


def port_of(url: str | None) -> int | None:
    """The port in an http URL: it is nginx's own, since nothing else is in front of it."""
    try:
        parts = urlsplit(url or "")
        return parts.port if parts.scheme == "http" else None
    except ValueError:
        return None  # an invalid URL is reported where it is read


def _parts_given(given: InitOptions, known: Collection[str]) -> tuple[str, ...]:
    if not given.parts:
        return usual_parts(known)
    text = ",".join(given.parts)
    wrong = parts_error(text, known)
    if wrong:
        raise click.BadParameter(f"it {wrong}.", param_hint="--with")
    return parts_of(text)


def _ask_way(host: str) -> TlsMode:
    for line in ways_for(host):
        say(line, err=True)
    usual = usual_way(host)
    return TlsMode(_ask("How visitors reach the site", usual.value, _way_error))


def _way_error(text: str) -> str | None:
    return None if text in list(TLS_MODES) else f"should be one of {', '.join(TLS_MODES)}"


def _ask_files() -> CertificateFiles:
    return CertificateFiles(
        _ask("Path of the certificate with its chain (PEM)", None, _file_error),
        _ask("Path of its private key (PEM)", None, _file_error),
    )


def _file_error(text: str) -> str | None:
    if not Path(text).is_absolute():
        return "should be an absolute path"
    return None if Path(text).is_file() else "does not exist on this machine"


def _ask_mail() -> str:
    server = _ask(
        "Mail server (host:port, or none for now)",
        NO_PARTS,
        lambda text: None if text == NO_PARTS else mail_host_error(text),
    )
    if server == NO_PARTS:
        return ""
    user = click.prompt("User name on the mail server (empty for none)", default="", show_default=False, err=True)
    password = click.prompt("Password on the mail server", hide_input=True, err=True) if user else ""
    return mail_address(server, user, password)


def _ask_recaptcha() -> RecaptchaKeys | None:
    say(f"  {WHAT_RECAPTCHA_IS_FOR}", err=True)
    site_key = _ask(
        "reCAPTCHA site key, or none",
        NO_PARTS,
        lambda text: None if text == NO_PARTS else recaptcha_key_error(text),
    )
    if site_key == NO_PARTS:
        return None
    return RecaptchaKeys(site_key, _ask("reCAPTCHA secret key", None, recaptcha_key_error, hidden=True))


def _ask_parts(known: Collection[str]) -> tuple[str, ...]:
    if not known:
        return ()
    say(f"  Optional parts: {', '.join(sorted(known))}", err=True)
    usual = ", ".join(usual_parts(known)) or NO_PARTS
    answer = _ask("Parts to switch on, or none", usual, lambda text: parts_error(text, known))
    return parts_of(answer)


def _ask(question: str, default: str | None, error: Callable[[str], str | None], *, hidden: bool = False) -> str:
    def usable(text: str) -> str:
        wrong = error(text.strip())
        if wrong:
            raise click.UsageError(f"That {wrong}.")
        return text.strip()

    answer: str = click.prompt(question, default=default, value_proc=usable, err=True, hide_input=hidden)
    return answer


def _port_error(text: str) -> str | None:
    from graasp_local.engine.reach.addresses import is_on_this_machine

    wrong = port_error(text)
    if wrong:
        return wrong
    with suppress(EngineUnreachable):  # whether there is an engine does not matter here
        if not is_on_this_machine():
            return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(text)))
        except OSError as error:
            # If this user may not bind the port, the engine may.
            return "port is in use" if error.errno == errno.EADDRINUSE else None
    return None
