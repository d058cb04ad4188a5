"""Where a key comes from, and where it may go. A key is never in argv, a file of ours or a log."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .errors import UsageError

READABLE_BY_OTHERS = 0o077

AUTHORITY = re.compile(r"(\[[\w:.%-]+\]|[^\[\]@%\\]+?)(:\d+)?")
"""Host and port as all readers of addresses read them: some take `[::1].example.com` for `::1`."""


def find_key(provider: str, key_file: str | None, environ: Mapping[str, str]) -> str:
    """The key for a provider; empty when there is none.

    Order: the key file → `$CREDENTIALS_DIRECTORY/<provider>_api_key` (systemd) → the variable
    `<PROVIDER>_API_KEY`. Raises `UsageError` for a file that others can read or a broken key.
    """
    if key_file:
        path = expanded(key_file)
        return checked(read_key(path, private=True), f"the key file {path}")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (path := Path(folder) / key_name(provider)).exists():
        return checked(read_key(path, private=False), f"the credential {path}")
    variable = key_variable(provider)
    return checked(environ.get(variable, ""), f"${variable}")


def key_name(provider: str) -> str:
    """What a credential of systemd that holds a provider's key is called."""
    return f"{provider.replace('-', '_').replace(':', '_')}_api_key"


def key_variable(provider: str) -> str:
    """The environment variable that may hold a provider's key."""
    return key_name(provider).upper()


def expanded(key_file: str) -> Path:
    """The path of a key file; `~` is what it is to a shell, because configuration has none."""
    try:
        return Path(key_file).expanduser()
    except RuntimeError:
        return Path(key_file)


def read_key(path: Path, *, private: bool) -> str:
    """The text of a key file; a `private` one must be closed to everybody else.

    Raises `UsageError`.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65_536)
    except OSError as error:
        raise UsageError(f"cannot read the key file {path}: {error.strerror}") from error
    if private and mode & READABLE_BY_OTHERS:
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
    if parts.username or parts.password:
        raise UsageError("--base-url must hold no user or password: use --key-file")
    printable = base_url.isprintable() and " " not in base_url
    plain = host and printable and AUTHORITY.fullmatch(parts.netloc)
    if parts.scheme not in ("http", "https") or not plain:
        raise UsageError(f"--base-url {base_url!r} must look like http://127.0.0.1:8000")
    if parts.query or parts.fragment:
        raise UsageError(f"--base-url {base_url!r} must hold no query")
    if has_key and parts.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"the key would go to {host} over plain http, for everybody to read: "
            "use https, or leave the key out"
        )


def check_proxy(proxy: str | None, base_url: str, *, has_key: bool) -> None:
    """Raise `UsageError` for a proxy that cannot be used, or that would read the key."""
    if proxy is None:
        return
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("--proxy must look like http://127.0.0.1:3128")
    if has_key and base_url.startswith("http://") and not is_loopback(parts.hostname):
        raise UsageError(f"the key would go through the proxy {parts.hostname} over plain http")


def is_local(base_url: str) -> bool:
    """Whether an address is one of this machine."""
    return is_loopback(urlsplit(base_url).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":  # names below it are looked up like others, and may lead elsewhere
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
