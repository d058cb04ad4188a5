"""Where a key comes from, and where it may go. A key is never in argv, a file of ours or a log."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .errors import UsageError

READABLE_BY_OTHERS = 0o077


def find_key(provider: str, key_file: str | None, environ: Mapping[str, str]) -> str:
    """The key for a provider; empty when there is none.

    Order: the key file → `$CREDENTIALS_DIRECTORY/<provider>_api_key` (systemd) → the variable
    `<PROVIDER>_API_KEY`. Raises `UsageError` for a file that others can read or a broken key.
    """
    name = provider.replace("-", "_").replace(":", "_")
    if key_file:
        return checked(read_key(Path(key_file)), f"the key file {key_file}")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (path := Path(folder) / f"{name}_api_key").is_file():
        return checked(path.read_text("utf-8", "replace"), f"the credential {path.name}")
    variable = f"{name.upper()}_API_KEY"
    return checked(environ.get(variable, ""), f"${variable}")


def read_key(path: Path) -> str:
    """The text of a key file that nobody else can read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65_536)
    except OSError as error:
        raise UsageError(f"cannot read the key file {path}: {error.strerror}") from error
    if mode & READABLE_BY_OTHERS:
        raise UsageError(f"others can read the key file {path}: chmod 600 {path}")
    if not text.strip():
        raise UsageError(f"the key file {path} is empty")
    return text


def checked(key: str, place: str) -> str:
    """The key without its trailing newline; raises `UsageError` for one that no header carries."""
    key = key.rstrip("\r\n")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{place} holds more than a key: one line of printable text is expected")
    return key


def check_address(base_url: str, *, has_key: bool) -> None:
    """Raise `UsageError` for a base URL that cannot be used, or not with a key."""
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"--base-url {base_url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--base-url {base_url!r} must look like http://127.0.0.1:8000")
    if parts.username or parts.password:
        raise UsageError("--base-url must hold no user or password: use --key-file")
    if parts.query or parts.fragment:
        raise UsageError(f"--base-url {base_url!r} must hold no query")
    if has_key and parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"the key would go to {host} over plain http: use https")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
