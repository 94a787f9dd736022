"""Many short commands in one process, with one client that is kept: `kept.py ours|docker-py N CONTAINER COMMAND...`."""

import io
import sys


def ours(n, container, command):
    import dockerpty
    from dockerpty.engine.client import from_environment

    engine = from_environment()
    for _ in range(n):
        code = dockerpty.exec_command(
            engine, container, command, False, stdin=None, stdout=io.BytesIO(), stderr=io.BytesIO()
        )
        if code:
            return code
    return 0


def docker_py(n, container, command):
    import docker

    client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
    for _ in range(n):
        made = client.exec_create(container, command)
        client.exec_start(made)
        if code := client.exec_inspect(made)["ExitCode"]:
            return code
    return 0


sys.exit((ours if sys.argv[1] == "ours" else docker_py)(int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
