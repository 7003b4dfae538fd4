"""The questions about a new site, which answers are usable, and the settings that follow from them. Pure.

Refuses an answer with a reason that completes the sentence "… is not possible: it". How TLS is terminated is a
`TlsMode`; to add one, add a member and a row in TLS_MODES.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote, urlsplit

from msgspec import Struct

from graasp_local.settings.rules import is_address, keeps_logins, value_error

USUAL_PARTS = ("etherpad", "files", "iframely")
"""The optional parts that make a complete Graasp; without the client, because it has to be built first."""

MAIL_CATCHER = "mailpit"
MAIL_CATCHER_ADDRESS = "smtp://user:password@mailpit:1025"
"""A mail server that shows mails instead of delivering them."""

NO_PARTS = "none"


class TlsMode(StrEnum):
    """How visitors reach nginx, and what terminates TLS."""

    HTTP = "http"
    PROXY = "proxy"
    ACME = "acme"
    FILES = "files"


TLS_MODES = {
    TlsMode.HTTP: "plain HTTP, for this machine only: over HTTP, users stay logged in only on localhost",
    TlsMode.PROXY: "HTTPS through your own TLS proxy in front of nginx",
    TlsMode.ACME: "HTTPS by nginx itself, with certificates from Let's Encrypt: open ports 80 and 443 to the internet",
    TlsMode.FILES: "HTTPS by nginx itself, with your own certificate files",
}


class RecaptchaKeys(Struct, frozen=True):
    """The pair of keys that Google's reCAPTCHA issues for a site: one for browsers, one secret, for core."""

    site_key: str
    secret: str

    def __repr__(self) -> str:
        return f"RecaptchaKeys(site_key={self.site_key!r})"


class SiteAnswers(Struct, frozen=True):
    """What was chosen. `mail` is an smtp:// address, empty for none yet; an empty `bind` means what suits `way`.

    `certificate` and `key` are absolute paths, if TLS uses files.
    """

    host: str
    way: TlsMode
    port: int
    mail: str = ""
    parts: tuple[str, ...] = ()
    bind: str = ""
    certificate: str = ""
    key: str = ""
    recaptcha: RecaptchaKeys | None = None


WHAT_RECAPTCHA_IS_FOR = (
    "Before Graasp 2.13.9, users cannot log in or register without keys of Google's reCAPTCHA; "
    "newer versions need none."
)


def usual_way(host: str) -> TlsMode:
    """Plain HTTP for this machine and for bare addresses; otherwise HTTPS."""
    return TlsMode.HTTP if _is_local(host) or is_address(host) else TlsMode.PROXY


def ways_for(host: str) -> tuple[str, ...]:
    """The choices for this host, a line each."""
    lines = {way.value: meaning for way, meaning in TLS_MODES.items()}
    if not keeps_logins(host):
        lines[TlsMode.HTTP.value] = (
            f"plain HTTP: users cannot stay logged in on http://{in_url(host)}, so use it only to try Graasp out"
        )
    return tuple(f"  {way:<6} {meaning}" for way, meaning in lines.items())


def usual_port(way: TlsMode) -> int:
    return 8080 if way is TlsMode.PROXY else 80


def usual_parts(known: Collection[str]) -> tuple[str, ...]:
    return tuple(part for part in USUAL_PARTS if part in known)


def host_error(text: str) -> str | None:
    if "://" in text or "/" in text:
        return "should be the host name alone, without http:// and without a path"
    if not is_address(text) and not re.fullmatch(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", text):
        return "is not a host name"
    host = in_url(text)
    return value_error("COOKIE_DOMAIN", host) or value_error("PUBLIC_URL", f"http://{host}")


def in_url(host: str) -> str:
    """The host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def port_error(text: str) -> str | None:
    return value_error("HTTP_PORT", text)


def mail_host_error(text: str) -> str | None:
    """What is wrong with `host:port`; None if nothing."""
    host, _, port = text.rpartition(":")
    if not host:
        return "should be host:port, such as mail.school.example:587"
    return port_error(port) or (
        None
        if re.fullmatch(r"[A-Za-z0-9.-]+", host)
        else "needs a host name before the colon, such as mail.school.example:587"
    )


def parts_error(text: str, known: Collection[str]) -> str | None:
    for part in parts_of(text):
        if part not in known:
            near = difflib.get_close_matches(part, known, n=1)
            return f"has {part!r}, which is not an optional part" + (f" (did you mean {near[0]}?)" if near else "")
    return None


def parts_of(text: str) -> tuple[str, ...]:
    """`client, files` → both; `none` and an empty text → no parts."""
    parts = tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text.strip().lower()) if part))
    return () if parts == (NO_PARTS,) else parts


def mail_address(server: str, user: str, password: str) -> str:
    """The setting for a server `host:port`; port 465 uses TLS from the start."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"{'smtps' if server.endswith(':465') else 'smtp'}://{login}{server}"


def has_password(mail: str) -> bool:
    return bool(urlsplit(mail).password)


def settings_of(answers: SiteAnswers) -> dict[str, str]:
    """The settings that follow from the answers; all others keep their default."""
    url_port = "" if answers.port == 80 else f":{answers.port}"
    host = in_url(answers.host)
    everywhere = "::" if ":" in answers.host else "0.0.0.0"  # noqa: S104 - a web site is for everyone
    local = _is_local(answers.host) or answers.way is TlsMode.PROXY
    chosen = {
        "PUBLIC_URL": f"http://{host}{url_port}" if answers.way is TlsMode.HTTP else f"https://{host}",
        "COOKIE_DOMAIN": host,
        "UMAMI_HOST": "umami.localhost" if is_address(answers.host) else f"umami.{answers.host}",
        "HTTP_PORT": str(answers.port),
        "HTTP_BIND": answers.bind or ("127.0.0.1" if local else everywhere),
    }
    match answers.way:
        case TlsMode.HTTP:
            pass
        case TlsMode.PROXY:
            # If nginx only listens on this machine, every client is the proxy.
            if chosen["HTTP_BIND"] == "127.0.0.1":
                chosen["TRUSTED_PROXIES"] = "host"
        case TlsMode.ACME:
            chosen["TLS"] = "acme"
        case TlsMode.FILES:
            chosen |= {"TLS": "files", "TLS_CERTIFICATE": answers.certificate, "TLS_KEY": answers.key}
        case _:
            assert_never(answers.way)
    mail = answers.mail or (MAIL_CATCHER_ADDRESS if MAIL_CATCHER in answers.parts else "")
    if mail:
        chosen["MAILER_CONNECTION"] = mail
    if answers.recaptcha is not None:
        chosen["RECAPTCHA_SITE_KEY"] = answers.recaptcha.site_key
        chosen["RECAPTCHA_SECRET_ACCESS_KEY"] = answers.recaptcha.secret
    # Even if empty: choosing no parts is an answer.
    chosen["COMPOSE_PROFILES"] = ",".join(answers.parts)
    return chosen


def next_steps(answers: SiteAnswers, command: str, url: str) -> tuple[str, ...]:
    """What to do after `init`, a sentence each; `command` is how graasp-local is called for the site at `url`."""
    steps = []
    if answers.way is TlsMode.PROXY:
        bind = in_url(settings_of(answers)["HTTP_BIND"])
        steps.append(
            f"Make your TLS proxy forward {url} to http://{bind}:{answers.port}, with the "
            "original Host header and X-Forwarded-Proto: https."
        )
    if answers.way is TlsMode.HTTP and not keeps_logins(answers.host):
        steps.append(
            f"Users cannot stay logged in on {url}: browsers keep Graasp's session cookie only "
            "over HTTPS or on localhost. Set up HTTPS before you open the site to users."
        )
    if "nudenet" not in answers.parts:
        steps.append(
            "Items with an image cannot be published without a service that checks images: add nudenet to "
            "COMPOSE_PROFILES (it uses up to 2 GB of memory), or set IMAGE_CLASSIFIER_API."
        )
    if MAIL_CATCHER in answers.parts and not answers.mail:
        steps.append(
            "Mailpit catches all mail and delivers none: set MAILER_CONNECTION in .env before you open the site "
            "to users."
        )
    elif not answers.mail:
        steps.append("Set MAILER_CONNECTION in .env: without a mail server, users cannot register or log in by mail.")
    if answers.recaptcha is None:
        steps.append(
            f"{WHAT_RECAPTCHA_IS_FOR} For such a version set RECAPTCHA_SITE_KEY and RECAPTCHA_SECRET_ACCESS_KEY in "
            f".env before `{command} build`, which puts the site key into the client."
        )
    steps.append(f"`{command} doctor --version X` checks whether everything that version X needs is there.")
    steps.append(f"`{command} deploy --version X` deploys it; `--dry-run` shows the plan first.")
    if answers.way is TlsMode.ACME:
        steps.append(f"`{command} certificate renew` then gets the certificate; have a timer run it once a day.")
    if answers.way is TlsMode.FILES:
        steps.append(f"Whenever you renew the certificate files, run `{command} certificate renew`.")
    return tuple(steps)


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or host.startswith("127.")
