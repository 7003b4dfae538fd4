"""How the site is reached, and what it reaches: ports, names, certificate, clock, mail. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.doctor.facts import (
    AcmeRenewal,
    Certificate,
    Fact,
    HostName,
    Known,
    MailServer,
    OwnFiles,
    PortUse,
    Unknown,
)
from graasp_local.doctor.findings import Finding, Verdict, not_known, ok
from graasp_local.wording import listed

CLOCK_TOLERANCE_SECONDS = 30.0
CERTIFICATE_TOLERANCE_DAYS = 14
TIMER_TOLERANCE_DAYS = 3.0
"""A daily timer may miss a day or two: the machine is off, or a deployment holds the lock."""
_RENEWAL = "`graasp-local certificate renew`, or renew it on the TLS proxy in front of nginx."


def ports(ports: Fact[tuple[PortUse, ...]]) -> Iterator[Finding]:
    if isinstance(ports, Unknown):
        yield not_known("ports", "nginx's ports", ports)
        return
    for use in ports.value:
        if use.port < use.lowest:
            said = f"Port {use.port} is below {use.lowest}, so a rootless engine cannot publish it."
            fix = f"`sysctl net.ipv4.ip_unprivileged_port_start={use.port}`, or set another port in .env."
            yield Finding("ports", Verdict.FAILS, said, fix)
        elif use.problem:
            said = f"Port {use.port}, which nginx needs, {use.problem}."
            yield Finding("ports", Verdict.FAILS, said, "Free it, or change the port or HTTP_BIND in .env.")
        else:
            yield ok("ports", f"Port {use.port} is free, or used by nginx.")


def names(names: Fact[tuple[HostName, ...]]) -> Iterator[Finding]:
    if isinstance(names, Unknown):
        yield not_known("names", "The host names", names)
        return
    for name in names.value:
        if name.silent:
            one = len(name.silent) == 1
            said = (
                f"{name.name} resolves to {listed(name.silent)}, which {'does' if one else 'do'} not answer: visitors "
                f"with IPv6 and certificate authorities try {'that address' if one else 'those addresses'} first."
            )
            records = "that AAAA record" if one else "those AAAA records"
            fix = f"Remove {records}, or set HTTP_BIND=:: and let IPv6 through to the server."
            yield Finding("names", Verdict.WARNING, said, fix)
        elif name.addresses:
            yield ok("names", f"{name.name} resolves to {listed(name.addresses)}.")
        else:
            said = f"{name.name} does not resolve: this machine's DNS servers do not know it."
            fix = f"Create an A record for {name.name} with the server's public address."
            yield Finding("names", Verdict.WARNING, said, fix)


def certificate(certificate: Fact[Certificate | None]) -> Iterator[Finding]:
    match certificate:
        case Unknown() as unknown:
            yield not_known("certificate", "The certificate", unknown)
        case Known(None):
            yield ok("certificate", "No certificate is needed: PUBLIC_URL is http.")
        case Known(Certificate(host, _, problem)) if problem:
            said = f"Browsers reject the certificate of {host}: {problem}."
            yield Finding("certificate", Verdict.WARNING, said, _RENEWAL)
        case Known(Certificate(host, int(days))) if days < CERTIFICATE_TOLERANCE_DAYS:
            left = "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"
            said = f"The certificate of {host} expires in {left}."
            yield Finding("certificate", Verdict.WARNING, said, _RENEWAL)
        case Known(Certificate(host, days)):
            yield ok("certificate", f"The certificate of {host} is valid for another {days} days.")


def renewal(renewal: Fact[AcmeRenewal | OwnFiles | None]) -> Iterator[Finding]:
    match renewal:
        case Unknown() as unknown:
            yield not_known("renewal", "Renewal of the certificate", unknown)
        case Known(None):
            yield ok("renewal", "There is nothing to renew: TLS is off.")
        case Known(OwnFiles.CHANGED):
            said = "The files of TLS_CERTIFICATE and TLS_KEY have changed, but nginx still uses the old ones."
            fix = "Run `graasp-local certificate renew`, and have your renewal hook run it too."
            yield Finding("renewal", Verdict.WARNING, said, fix)
        case Known(OwnFiles.TAKEN_OVER):
            yield ok("renewal", "nginx uses the current TLS_CERTIFICATE.")
        case Known(AcmeRenewal() as acme):
            if acme.problem:
                said = f"The last attempt to renew the certificate failed: {acme.problem}"
                yield Finding("renewal", Verdict.WARNING, said, "Fix that, then run `graasp-local certificate renew`.")
            elif acme.due is not None:
                said = f"The certificate is due for renewal: {acme.due}."
                yield Finding("renewal", Verdict.WARNING, said, "`graasp-local certificate renew`")
            yield _timer(acme)


def _timer(acme: AcmeRenewal) -> Finding:
    days = acme.timer_days_ago
    if days is None:
        said = "The certificate is not renewed automatically: no timer has ever run `graasp-local certificate renew`."
        fix = (
            'Set up the timer: step 6 under "From a fresh server to HTTPS" in docs/install.md. Then run it once with '
            "`systemctl start graasp-certificate.service`."
        )
        return Finding("renewal", Verdict.WARNING, said, fix)
    if days > TIMER_TOLERANCE_DAYS:
        said = f"No timer has run `graasp-local certificate renew` for {days:.0f} days; it should run every day."
        fix = "`systemctl enable --now graasp-certificate.timer`, or find out why cron no longer runs it."
        return Finding("renewal", Verdict.WARNING, said, fix)
    return ok("renewal", f"A timer checks the certificate; it last ran {_ago(days)}.")


def _ago(days: float) -> str:
    hours = round(days * 24)
    return f"{hours} hours ago" if hours > 1 else "less than two hours ago"


def clock(ahead: Fact[float]) -> Iterator[Finding]:
    match ahead:
        case Unknown() as unknown:
            yield not_known("clock", "The clock", unknown)
        case Known(seconds) if abs(seconds) > CLOCK_TOLERANCE_SECONDS:
            way = "ahead" if seconds > 0 else "behind"
            said = (
                f"The clock of this machine is {abs(seconds):.0f} s {way}: links and certificates expire at the "
                "wrong time."
            )
            yield Finding("clock", Verdict.WARNING, said, "`timedatectl set-ntp true`")
        case Known(seconds):
            yield ok("clock", f"The clock is right to within {max(1.0, abs(seconds)):.0f} s.")


def mail(mail: Fact[MailServer]) -> Iterator[Finding]:
    match mail:
        case Unknown() as unknown:
            yield not_known("mail", "The mail server", unknown)
        case Known(MailServer(host, port, problem)) if problem:
            said = f"The mail server {host}:{port} {problem}: users cannot register or log in by mail."
            yield Finding(
                "mail", Verdict.WARNING, said, "Correct MAILER_CONNECTION in .env, or open the port in the firewall."
            )
        case Known(MailServer(host, port)):
            yield ok("mail", f"The mail server {host}:{port} answers.")
