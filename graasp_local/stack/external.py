"""What the stack is told about an external database: how services reach it, and which certificates they trust for it.

Decides the password of the role that migrates. Reads the file of certificates, and refuses one that cannot be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from graasp_local.errors import ConfigurationError
from graasp_local.files import text_if_there, write_atomically
from graasp_local.settings.parse import ExternalServer

CA_FILE = "database-ca"
"""The copy of the certificates in `.graasp-local/secrets/`, which is also the name of the Compose secret."""

_LONGEST_CA = 4 * 1024**2


def external_variables(server: ExternalServer | None, graasp_password: str) -> Mapping[str, str]:
    """The variables that Compose is given in addition to `.env`; none for the stack's own database."""
    if server is None:
        return {}
    mode = server.ssl_mode
    checked = f"&sslrootcert=/run/secrets/{CA_FILE}" if server.ca else ""
    return {
        "GRAASP_DATABASE_TLS": f"?sslmode={mode}{checked}",
        "GRAASP_DATABASE_SSL": mode,
        "GRAASP_DATABASE_CA": hashlib.sha256(_readable(server).encode()).hexdigest()[:16],
        "GRAASP_MIGRATION_PASSWORD": migration_password(graasp_password),
    }


def migration_password(graasp_password: str) -> str:
    """The password of the role that migrates: known to whoever knows graasp's, but not the same. Pure."""
    return hashlib.sha256(f"graasp-local migration {graasp_password}".encode()).hexdigest()[:48]


def write_ca(directory: Path, server: ExternalServer | None) -> None:
    """Copy the certificates into `directory`, for containers; an empty file if none are checked.

    Writes only what differs, and nothing for the stack's own database. Raises ConfigurationError for a file that has no
    certificates in it.
    """
    if server is None:
        return
    text = certificates_of(server)
    file = directory / CA_FILE
    if not file.exists() or text_if_there(file) != text:
        write_atomically(file, text, mode=0o444)


def certificates_of(server: ExternalServer) -> str:
    """The text of the file that the server's certificate is checked with. Raises ConfigurationError."""
    if not server.ca:
        return ""
    try:
        with Path(server.ca).open("rb") as file:
            content = file.read(_LONGEST_CA + 1)
        text = content.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise ConfigurationError(
            f"DATABASE_CA: {server.ca} cannot be read: {error.strerror}.",
            "The database's certificate could not be checked. Nothing was changed.",
            "Set it to the certificate file from the server's provider, in PEM format.",
        ) from error
    if len(text) > _LONGEST_CA or not _has_certificates(content):
        raise ConfigurationError(
            f"DATABASE_CA: {server.ca} contains no readable certificate.",
            "The database's certificate could not be checked. Nothing was changed.",
            "Set it to the certificate file from the server's provider, in PEM format.",
        )
    return text


def _has_certificates(content: bytes) -> bool:
    from cryptography import x509

    try:
        return bool(x509.load_pem_x509_certificates(content))
    except ValueError:
        return False


def _readable(server: ExternalServer) -> str:
    """The certificates if they can be read: a command that only reads a site does not fail because of them."""
    return text_if_there(Path(server.ca)) if server.ca else ""
