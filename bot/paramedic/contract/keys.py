"""Secrets of a service, all derived from the platform's one master key, so that none need be stored.

    master --HMAC(service)--> service secret --HMAC("bearer")--> what the bot shows to connect
                                             --HMAC("command")--> what signs and checks its commands

A bot holds only its own service's secret: it can neither sign for another bot nor read the master key.
Whoever overhears a bearer token cannot sign with it.

To change the master key without a gap: give the bots both tokens, the new one first (``PARAMEDIC_TOKEN=new,old``),
then the platform its new key, then the bots the new token alone.
"""

import hashlib
import hmac
import secrets

PREFIX = "pmb"  # paramedic bot


def new_master() -> str:
    return secrets.token_hex(32)


def service_secret(master: str, service: str) -> str:
    return _mac(master.encode(), f"service/{service}")


def bot_token(master: str, service: str) -> str:
    """What goes into PARAMEDIC_TOKEN of that service's bots."""
    return f"{PREFIX}.{service}.{service_secret(master, service)}"


def secret_of(token: str, service: str) -> str:
    """The service's secret inside a bot token.

    Raises:
        ValueError: Not a bot token, or one of another service.
    """
    parts = token.split(".")
    if len(parts) < 3 or parts[0] != PREFIX:
        raise ValueError("PARAMEDIC_TOKEN is not a bot token; `paramedic token SERVICE` prints one")
    named, secret = ".".join(parts[1:-1]), parts[-1]
    if named != service:
        raise ValueError(f"PARAMEDIC_TOKEN is for service {named!r}, this bot is {service!r}")
    return secret


def bearer(secret: str) -> str:
    return _mac(secret.encode(), "bearer")


def command_key(secret: str) -> bytes:
    return _mac(secret.encode(), "command").encode()


def operator_token(master: str) -> str:
    """The first person's token, with the scopes read and operate; printed by the first `paramedic up`."""
    return f"pmo.{_mac(master.encode(), 'operator')}"


def ingest_token(master: str) -> str:
    """For systems that send alerts and changes in: scope ingest alone; `paramedic token --ingest` prints it."""
    return f"pmi.{_mac(master.encode(), 'ingest')}"


def key_id(key: bytes) -> str:
    """Names a command key without revealing it."""
    return hashlib.sha256(key).hexdigest()[:8]


def sign(key: bytes, text: str) -> str:
    return _mac(key, text)


def signature_is_right(key: bytes, text: str, signature: str) -> bool:
    """Compares in constant time; whatever stands in a text or a signature, it answers and does not raise."""
    return hmac.compare_digest(_mac(key, text).encode(), signature.encode("utf-8", "surrogatepass"))


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
