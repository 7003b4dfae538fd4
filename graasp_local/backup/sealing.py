"""`.env` under a passphrase, in the format of age: it can be opened without graasp-local too (`age --decrypt`)."""

from __future__ import annotations

from graasp_local.errors import Refused, UsageError

SHORTEST_PASSPHRASE = 12


def seal(content: bytes, passphrase: str) -> bytes:
    """Encrypt. Takes about a second, on purpose. Raises UsageError for a passphrase that is too short."""
    from pyrage import passphrase as age

    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"The passphrase is too short: at least {SHORTEST_PASSPHRASE} characters are needed.",
            "No backup was made.",
            "Use a longer one; it protects every password of the site.",
        )
    return bytes(age.encrypt(content, passphrase))


def unseal(content: bytes, passphrase: str) -> bytes:
    """Decrypt. Raises Refused for another passphrase, or content that was changed."""
    import pyrage

    try:
        return bytes(pyrage.passphrase.decrypt(content, passphrase))
    except pyrage.DecryptError as error:
        raise Refused(
            "The settings in this backup cannot be opened with this passphrase.",
            "Nothing was touched.",
            "Check the passphrase, or `graasp-local backup verify` the backup.",
        ) from error
