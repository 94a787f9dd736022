"""A script as written for dockerpty 0.4.1, on whichever library is installed: `exec [-it] CONTAINER COMMAND...`."""

import sys

import docker

import dockerpty

flags = [word for word in sys.argv[2:4] if word in ("-it", "-t")]
words = sys.argv[2 + len(flags) :]
terminal = bool(flags)
client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
made = client.exec_create(words[0], words[1:], stdin=terminal, tty=terminal)
dockerpty.start_exec(client, made["Id"], interactive=terminal)
sys.exit(client.exec_inspect(made["Id"])["ExitCode"])
