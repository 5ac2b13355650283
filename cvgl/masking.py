"""Secrets in text: passwords and signatures in addresses become ``***`` wherever an address is shown or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"

# scheme://user:password@host. A password may hold an @, or slashes as the keys of stores do; a port is none.
_USERINFO = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.\-]*://)(?P<user>[^\s/?#@:'\"]*):"
    r"(?P<password>[^\s/'\"]+|(?!\d{1,5}/)[^\s/@'\"][^\s@'\"]*)@"
)
# Query parameters, and pairs of connection strings, that are signatures, tokens or keys.
_SENSITIVE_PAIR = (
    r"(?:x-amz-(?:signature|security-token|credential)|x-goog-(?:signature|credential)|signature|sig|awsaccesskeyid|"
    r"(?:access_?|secret_?|account_?|shared_?access_?|api_?|private_?)?key(?:_?id)?|accountkey|sharedaccesssignature|"
    r"(?:access_?|refresh_?|session_?|sas_?|auth_?|security_?)?token|password|passwd|pwd|secret|client_?secret|credential)"
)
_QUERY = re.compile(rf"(?P<name>[?&;]{_SENSITIVE_PAIR}=)(?P<value>[^&;#\s'\"<>)]+)", re.IGNORECASE)
_HEADER = re.compile(
    r"(?P<name>\bauthorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer)\s+)(?P<value>[\w+/=.~\-]+)", re.IGNORECASE
)

# Names of options whose values are secrets, whatever the file system calls them.
_SENSITIVE_NAME = re.compile(
    r"(?:^|_|-)(?:key|keys|secret|secrets|token|tokens|password|passwd|passphrase|pwd|pass|credential|credentials|sas|auth|"
    r"authorization|cookie|signature|connection_string|connectionstring|pkey|private_key)(?:$|_id$|-id$)"
    r"|secret|passw|^(?:client_?key|access_?key|account_?key|aws_access_key_id|apikey|x-api-key)$",
    re.IGNORECASE,
)
# Values of such options that choose a way to authenticate and give nothing away.
_MODES = frozenset({"", "anon", "cloud", "browser", "cache", "google_default", "default", "none", MASK})
_REFERENCES = ("env:", "secret:")


def masked(text: str) -> str:
    """Text in which the passwords, signatures and tokens of addresses are ``***``; the same where there are none."""
    if "://" in text:
        text = _USERINFO.sub(rf"\g<scheme>\g<user>:{MASK}@", text)
    if "=" in text:
        text = _QUERY.sub(rf"\g<name>{MASK}", text)
    return _HEADER.sub(rf"\g<name>{MASK}", text)


def without_secrets(address: str) -> str:
    """An address that names the same place whatever the password or signature is; the same where it holds none."""
    if masked(address) == address:
        return address
    plain = _USERINFO.sub(r"\g<scheme>\g<user>@", address).replace("://@", "://")
    base, mark, query = plain.partition("?")
    if not mark:
        return plain
    query, hash_mark, fragment = query.partition("#")
    pairs = [pair for pair in query.split("&") if masked(f"?{pair}") == f"?{pair}"]
    return base + ("?" + "&".join(pairs) if pairs else "") + hash_mark + fragment


def holds_secret(address: str) -> bool:
    """Whether an address holds a password, a signature or a token that is not masked already."""
    return masked(address) != address


def is_reference(value: object) -> bool:
    """Whether an option's value only says where the secret is: ``env:NAME``, ``secret:BLOCK`` or ``{"secret": "BLOCK"}``."""
    if isinstance(value, Mapping):
        return set(value) == {"secret"} and isinstance(value["secret"], str)
    return isinstance(value, str) and value.startswith(_REFERENCES)


def masked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a file system as they may be stored and shown: plain secrets are ``***``, references stay."""
    return {name: _masked_option(name, value) for name, value in options.items()}


def secret_values(options: Mapping[str, Any]) -> list[str]:
    """The plain secrets in options, longest first, to be taken out of other people's messages."""
    return sorted(set(_secrets(options)), key=len, reverse=True)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Text in which neither an address's secrets nor any of `secrets` is left."""
    for secret in secrets:
        if len(secret) >= 4:  # shorter ones are everywhere, and no secrets
            text = text.replace(secret, MASK)
    return masked(text)


def _masked_option(name: str, value: Any) -> Any:
    if is_reference(value):
        return value
    if isinstance(value, Mapping):
        if _SENSITIVE_NAME.search(name):
            return {inner: MASK if _is_secret(name, entry) else entry for inner, entry in value.items()}
        return masked_options(value)
    if isinstance(value, list | tuple):
        return [_masked_option(name, entry) for entry in value]
    if _is_secret(name, value):
        return MASK
    return masked(value) if isinstance(value, str) else value


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(_SENSITIVE_NAME.search(name)) and value.lower() not in _MODES


def _secrets(options: Mapping[str, Any]) -> Iterable[str]:
    for name, value in options.items():
        if is_reference(value):
            continue
        if isinstance(value, Mapping):
            sensitive = bool(_SENSITIVE_NAME.search(name))
            yield from (entry for entry in value.values() if _is_secret(name, entry)) if sensitive else _secrets(value)
        elif isinstance(value, list | tuple):
            yield from (entry for entry in value if _is_secret(name, entry))
        elif _is_secret(name, value):
            yield value
        elif isinstance(value, str) and (match := _USERINFO.search(value)):
            yield match["password"]
