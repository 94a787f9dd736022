"""Many sessions at once: `many.py ours|raw|docker N LINES CONTAINER`, each `exec -i CONTAINER cat`.

Every session has answered once before the window opens. In it each gets LINES lines, one after the other, and answers
each. Printed: CPU seconds of the client in the window, its resident set in KiB with all sessions open, its threads. For
`docker` the client is N processes, and the figures are their sums.
"""

import os
import select
import socket
import subprocess
import sys
import time

LINE = b"x" * 63 + b"\n"


def resident(pid="self"):
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmRSS"].split()[0]), int(fields["Threads"])


def cpu_of(pid):
    # Another process's CPU clock (clock_getcpuclockid(3)): /proc tells no more than hundredths of a second.
    return time.clock_gettime((~pid << 3) | 2)


def report(cpu, rss, threads):
    print(cpu, rss, threads, flush=True)


def ours(n, lines, container):
    import asyncio

    from dockerpty.engine.client import from_environment
    from dockerpty.process import exec_

    async def main():
        engine = from_environment()
        sessions = []
        for _ in range(n):
            sessions.append(await exec_(engine, container, ["cat"], stdin=True))

        async def once(session):
            session.stdin.write(LINE)
            assert await session.stdout.readexactly(len(LINE)) == LINE

        await asyncio.gather(*map(once, sessions))
        rss, threads = resident()
        began = time.process_time()
        for _ in range(lines):
            for session in sessions:
                session.stdin.write(LINE)
            for session in sessions:
                assert await session.stdout.readexactly(len(LINE)) == LINE
        report(time.process_time() - began, rss, threads)
        for session in sessions:
            session.stdin.write_eof()
        assert [await session.wait() for session in sessions] == [0] * n

    asyncio.run(main())


def raw(n, lines, container):
    from dockerpty.engine import calls
    from dockerpty.engine.client import from_environment

    engine = from_environment()
    body = {"Cmd": ["cat"], "Tty": False, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    sockets = []
    for _ in range(n):
        exec_id = engine.send(calls.create_exec(container, body)).json()["Id"]
        transport = engine.hijack(calls.start_exec(exec_id, tty=False))
        sockets.append(socket.socket(fileno=os.dup(transport.fileno())))
        sockets[-1].setblocking(True)
    poll = select.poll()
    for each in sockets:
        poll.register(each.fileno(), select.POLLIN)
    by_fd = {each.fileno(): each for each in sockets}
    buffer = bytearray(65536)

    def once():
        for each in sockets:
            each.sendall(LINE)
        left = n * (len(LINE) + 8)
        while left:
            for fd, _ in poll.poll():
                left -= by_fd[fd].recv_into(buffer)

    once()
    rss, threads = resident()
    began = time.process_time()
    for _ in range(lines):
        once()
    report(time.process_time() - began, rss, threads)
    for each in sockets:
        each.shutdown(socket.SHUT_WR)


def docker(n, lines, container):
    command = ["docker", "exec", "-i", container, "cat"]
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(n)]

    def once():
        for client in clients:
            os.write(client.stdin.fileno(), LINE)
        for client in clients:
            assert os.read(client.stdout.fileno(), 1000) == LINE

    once()
    sizes = [resident(client.pid) for client in clients]
    before = sum(cpu_of(client.pid) for client in clients)
    for _ in range(lines):
        once()
    cpu = sum(cpu_of(client.pid) for client in clients) - before
    report(cpu, sum(rss for rss, _ in sizes), sum(threads for _, threads in sizes))
    for client in clients:
        client.stdin.close()
    assert [client.wait() for client in clients] == [0] * n


{"ours": ours, "raw": raw, "docker": docker}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
