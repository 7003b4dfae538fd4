"""The site's certificate: one file with certificate, chain and private key, which nginx reads.

Decides whether a certificate is usable and when it is due. When TLS is first enabled, the site makes a placeholder that
browsers do not trust, so that nginx can start and an authority can reach it. Refuses to install a file that nginx could
not use.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.errors import ConfigurationError, Refused
from graasp_local.files import write_atomically
from graasp_local.settings import Settings, Tls

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

PLACEHOLDER = "graasp-local placeholder"
"""The issuer of a placeholder certificate, which no browser trusts."""

_DUE_AT = 1 / 3
"""The share of a certificate's lifetime that is left when it is renewed: 30 days of 90."""


class TlsPaths(Struct, frozen=True):
    """The paths of a site's certificate, its ACME account key, and the directory for ACME challenges."""

    certificate_file: Path
    account_file: Path
    challenge_directory: Path


class Certificate(Struct, frozen=True):
    """The content of a certificate; times are in UTC."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime

    @property
    def is_placeholder(self) -> bool:
        return self.issuer == PLACEHOLDER

    def due(self, now: datetime, names: Sequence[str]) -> str | None:
        """Why it has to be renewed, as the end of a sentence; None if it is not due."""
        if self.is_placeholder:
            return "browsers do not trust the current one"
        if missing := [name for name in names if not self.covers(name)]:
            return f"the current one does not cover {' and '.join(missing)}"
        if self.ends - now < (self.ends - self.begins) * _DUE_AT:
            return f"the current one expires at {self.ends:%Y-%m-%d %H:%M} UTC"
        return None

    def covers(self, name: str) -> bool:
        """Whether it is for this name, literally or by `*.` in place of the first label."""
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names


def have_certificate(settings: Settings, file: Path) -> None:
    """Make sure that nginx finds a certificate. Raises ConfigurationError if the configured files are unusable."""
    if file.exists() or settings.tls is Tls.OFF:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = own_files(settings) if settings.tls is Tls.FILES else _placeholder(settings.certificate_names)
    write_atomically(file, pem, mode=0o600)


def own_files(settings: Settings) -> str:
    """TLS_CERTIFICATE and TLS_KEY as one text. Raises ConfigurationError if they are unusable."""
    certificate, key = (Path(settings.values[name]) for name in ("TLS_CERTIFICATE", "TLS_KEY"))
    try:
        pem = certificate.read_text() + "\n" + key.read_text()
        # Also fails if the key does not belong to the certificate, or has a passphrase.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"TLS_CERTIFICATE ({certificate}) and TLS_KEY ({key}) cannot be used: {_reason(error)}.",
            "Nothing was changed: nginx keeps its current certificate, if it has one.",
            "Fix the files, then run the command again.",
        ) from error
    return pem


def read_certificate(pem: str) -> Certificate:
    """The first certificate of a PEM text. Raises Refused if there is none."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    except ValueError as error:
        raise Refused("There is no readable PEM certificate.", "Nothing was changed.") from error
    by_name = found.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = str(by_name[0].value) if by_name else found.issuer.rfc4514_string()
    return Certificate(names, issuer, found.not_valid_before_utc, found.not_valid_after_utc)


def new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def names_extension(names: Sequence[str]) -> x509.SubjectAlternativeName:
    from cryptography import x509

    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


def _placeholder(names: Sequence[str]) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key, now = new_key(), datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PLACEHOLDER)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(names_extension(names), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode() + key_text(key)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        said = (error.reason or "").replace("_", " ").lower()
        return {"key values mismatch": "the key does not belong to the certificate"}.get(said, said or "not in PEM")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return "not in PEM"
