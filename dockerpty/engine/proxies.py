"""The proxies of docker's client configuration, as variables of a new container. Pure.

The rules are those of docker's command (docker/cli, `ParseProxyConfig`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_NAMES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def with_proxies(variables: Sequence[str], proxies: Mapping[str, Any], engine: str) -> list[str]:
    """Add the proxies to a process's variables, each in capitals and in small letters, unless that one is given.

    Args:
        variables: `NAME=VALUE`, or `NAME`, which counts as given.
        proxies: the group `proxies` of the configuration: for engines by address, and for all others as `default`.
        engine: its address.
    """
    chosen = proxies[engine] if engine in proxies else proxies.get("default")
    if not isinstance(chosen, dict):
        return list(variables)
    given = {entry.partition("=")[0] for entry in variables}
    added = [
        f"{spelled}={value}"
        for key, name in _NAMES.items()
        if isinstance(value := chosen.get(key), str) and value
        for spelled in (name, name.lower())
        if spelled not in given
    ]
    return [*variables, *added]
