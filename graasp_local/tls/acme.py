"""Obtains a certificate from an ACME authority (RFC 8555) with certbot's own library, `acme`.

The authority requests a text under `http://NAME/.well-known/acme-challenge/` for every name; nginx serves it from a
directory. Does not decide when: see certificate.py. Respects REQUESTS_CA_BUNDLE, for a private authority.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.errors import Refused
from graasp_local.files import write_atomically
from graasp_local.tls.certificate import key_text, names_extension, new_key

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.errors import ValidationError
    from josepy.jwk import JWKRSA

_DEADLINE_SECONDS = 120
_AGAIN = "run `graasp-local certificate renew`"
_LATER = f"Wait a few minutes, then {_AGAIN}."


class Authority(Struct, frozen=True):
    """Where certificates come from: the URL of its directory, the contact address, and the key of the account there."""

    directory: str
    email: str
    account_key_file: Path


def obtain(authority: Authority, names: Sequence[str], challenges: Path, say: Callable[[str], None]) -> str:
    """A new certificate with its chain and a new private key, as one PEM text. Takes seconds; raises Refused."""
    import requests
    from acme import errors, messages

    try:
        key = _account_key(authority.account_key_file)
        client = _client(authority, key)
        private_key = new_key()
        say(f"asking {authority.directory} for a certificate for {', '.join(names)}")
        order = client.new_order(_signing_request(private_key, names))
        for authorization in order.authorizations:
            if authorization.body.status != messages.STATUS_VALID:
                _answer(client, key, authorization, challenges)
        deadline = datetime.now() + timedelta(seconds=_DEADLINE_SECONDS)
        done = client.poll_and_finalize(order, deadline)
    except errors.ValidationError as error:
        raise _refused(
            _what_failed(error),
            f"Make every name resolve to this machine, and open port 80. Then {_AGAIN}.",
        ) from error
    except errors.TimeoutError as error:
        raise _refused(f"The authority did not issue the certificate within {_DEADLINE_SECONDS} s.", _LATER) from error
    except (messages.Error, errors.Error, ValueError) as error:
        raise _refused(
            f"The authority refused: {getattr(error, 'detail', None) or error}.",
            f"Fix the reason that it gives, then {_AGAIN}.",
        ) from error
    except requests.RequestException as error:
        raise _refused(
            f"The authority at {authority.directory} could not be reached ({type(error).__name__}).", _LATER
        ) from error
    finally:
        for left in challenges.glob("*"):
            left.unlink()
    return f"{done.fullchain_pem.strip()}\n{key_text(private_key)}"


def _client(authority: Authority, key: JWKRSA) -> ClientV2:
    from acme import errors
    from acme.client import ClientNetwork, ClientV2
    from acme.messages import NewRegistration, RegistrationResource

    network = ClientNetwork(key, user_agent="graasp-local")
    client = ClientV2(ClientV2.get_directory(authority.directory, network), network)
    wanted = NewRegistration.from_data(email=authority.email or None, terms_of_service_agreed=True)
    try:
        client.new_account(wanted)
    except errors.ConflictError as known:
        network.account = RegistrationResource(uri=known.location, body=wanted)
    return client


def _answer(client: ClientV2, key: JWKRSA, authorization: object, directory: Path) -> None:
    from acme.challenges import HTTP01
    from acme.messages import AuthorizationResource

    assert isinstance(authorization, AuthorizationResource)  # noqa: S101 - for the type checker: the import is lazy
    for challenge in authorization.body.challenges:
        if isinstance(challenge.chall, HTTP01):
            response, validation = challenge.response_and_validation(key)
            # Readable by nginx's workers, which run as another user.
            write_atomically(directory / challenge.chall.encode("token"), validation, mode=0o644)
            client.answer_challenge(challenge, response)


def _signing_request(key: object, names: Sequence[str]) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101 - for the type checker: the import is lazy
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(names_extension(names), critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM)


def _account_key(file: Path) -> JWKRSA:
    """The key of the account, created the first time and kept, because the authority's limits are per account."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
    from josepy.jwk import JWKRSA

    if not file.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        write_atomically(file, text, mode=0o600)
    return JWKRSA(key=load_pem_private_key(file.read_bytes(), password=None))


def _what_failed(error: ValidationError) -> str:
    reasons = [
        f"{authorization.body.identifier.value}: {challenge.error.detail}"
        for authorization in error.failed_authzrs
        for challenge in authorization.body.challenges
        if challenge.error is not None
    ]
    return f"The authority could not reach the site by its name. {' '.join(reasons)}"


def _refused(what: str, next_step: str) -> Refused:
    return Refused(what, "nginx keeps its current certificate.", next_step)
