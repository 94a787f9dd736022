"""The loop that docker-py's users write: `exec CONTAINER COMMAND...`, `exec -i -t ...` on its own sockets."""

import os
import select
import sys
import tty

import docker
from docker.utils.socket import read


def main(words):
    flags = [word for word in words[1:3] if word in ("-it", "-t")]
    words, tty_ = words[1 + len(flags) :], bool(flags)
    client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
    made = client.exec_create(words[0], words[1:], stdin=tty_, tty=tty_)
    if not tty_:
        for out, error in client.exec_start(made, stream=True, demux=True):
            os.write(1, out) if out else os.write(2, error)
    else:
        both_ways(client.exec_start(made, tty=True, socket=True))
    return client.exec_inspect(made)["ExitCode"]


def both_ways(sock):
    if os.isatty(0):
        tty.setraw(0)
    own = getattr(sock, "_sock", sock)
    inputs = [own, 0]
    while True:
        for ready in select.select(inputs, [], [])[0]:
            if ready is own:
                data = read(sock)
                if not data:
                    return
                os.write(1, data)
            elif data := os.read(0, 4096):
                own.sendall(data)
            else:
                inputs.remove(0)


sys.exit(main(sys.argv[1:]))
