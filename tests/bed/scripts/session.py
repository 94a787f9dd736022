"""One call of dockerpty's public functions, as a user's script makes it; the program under most engine tests.

Usage: session.py VERB OPTIONS: the verb is the name of a function (`start`, `exec_command`, `start_exec`); the
options are JSON: positional arguments as `args`, keywords as `kwargs`; `client` is `docker` (default) or `api`;
`in_thread` calls from a thread that is not the main one; `python_handlers` names
signals that get a Python handler first, `raising` those whose handler raises.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

import dockerpty
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report


class Interrupted(Exception):
    """Raised by a handler of the script's own, as docker-compose's ShutdownException."""


def main(verb: str, options: dict[str, Any]) -> None:
    """Do the call and report how it went; what it raises goes on to the interpreter."""
    for name in options.get("python_handlers", ()):
        signal.signal(getattr(signal, name), lambda number, frame: report("handled", number=number))
    for name in options.get("raising", ()):
        signal.signal(getattr(signal, name), _raise)
    kind = options.get("client", "docker")
    client: Any = from_env()
    report("calling", pid=os.getpid())
    if options.get("in_thread"):
        thread = threading.Thread(target=call, args=(client, kind, verb, options))
        thread.start()
        thread.join()
    else:
        call(client, kind, verb, options)
    if options.get("then_read"):
        report("read", line=sys.stdin.readline())


def call(client: Any, kind: str, verb: str, options: dict[str, Any]) -> None:
    """Call the function; report what it returned or raised."""
    try:
        value = getattr(dockerpty, verb)(
            client.api if kind == "api" else client, *options["args"], **options["kwargs"]
        )
    except BaseException as error:
        result = getattr(error, "result", None)
        report(
            "raised",
            kind=[each.__name__ for each in type(error).__mro__],
            text=str(error),
            reason=getattr(result, "reason", None),
            code=getattr(result, "exit_code", None),
            trace=traceback.format_exc() if options.get("trace") else "",
        )
        raise
    report("returned", value=value)


def _raise(number: int, frame: object) -> None:
    raise Interrupted(f"signal {number}")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
