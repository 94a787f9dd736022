"""Who we are to a registry: what docker's client configuration keeps for it, or a program that it names.

docker-py reads it. That is loaded only where the configuration keeps anything of the kind, and an image is pulled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerpty.engine.configuration import Configuration


def registry_auth(configuration: Configuration, repository: str, notice: Callable[[str], None]) -> str:
    """Give the value of `X-Registry-Auth` (Engine API 1.24) for the registry of an image, "" for nobody.

    What cannot be read is told of and left alone: most images are for everybody, and the engine says it of the others.
    May run the program that keeps the password, and waits for it: it may ask the user for something.

    Args:
        configuration: docker's, with `auths`, `credsStore` and `credHelpers`.
        repository: the image's name, without tag or digest.
        notice: is told in one line why it goes without.
    """
    entries, helpers = configuration.group("auths"), configuration.group("credHelpers")
    store = configuration.text("credsStore")
    if not (entries or helpers or store):
        return ""
    import warnings

    with warnings.catch_warnings():
        # Of what requests finds beside it, and of a program that is not there: the error says the same.
        warnings.simplefilter("ignore")
        from docker import auth
        from docker.errors import DockerException

        try:
            registry, _ = auth.resolve_repository_name(repository)
            # Only its own: one that is broken is no reason to go to another registry as nobody.
            own = {key: value for key, value in entries.items() if auth.resolve_index_name(key) == registry}
            parsed = auth.parse_auth(own, raise_on_error=True)
            kept = {"auths": parsed, "credsStore": store or None, "credHelpers": helpers}
            found = auth.resolve_authconfig(kept, registry)
            return auth.encode_header(found).decode("ascii") if found else ""
        except DockerException as error:
            # That of a program is wrapped, and then its own words are in the cause.
            reason = " ".join(str(error.__cause__ or error).split())
        except (ValueError, TypeError, KeyError, AttributeError):
            # Not their words: these may have a part of the password in them.
            reason = "what is kept there makes no sense"
    path = configuration.path
    notice(f"cannot use the credentials for {repository} in {path}: {reason}; it is pulled without any")
    return ""
