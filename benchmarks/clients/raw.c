/* What is physically there: the client of raw.py in C. With --splice the bytes do not pass through this process.
 *
 * Knows `exec [-i] [-t] CONTAINER COMMAND...` and `run --rm --network none IMAGE COMMAND...` of a local engine, and none of what makes
 * a client safe to use. Any failure ends it with code 99.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define SIZE 65536
#define SPLICE_FROM 16384 /* smaller frames cost more calls than their copy */

static int splices;

static void die(const char *what) {
    perror(what);
    exit(99);
}

struct connection {
    int fd;
    char data[SIZE + 1];
    size_t n; /* received and not taken */
};

static void open_connection(struct connection *c) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *host = getenv("DOCKER_HOST");
    strncpy(address.sun_path, host && *host ? host + strlen("unix://") : "/var/run/docker.sock",
            sizeof address.sun_path - 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    c->n = 0;
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
}

static void write_all(int fd, const char *data, size_t n) {
    while (n) {
        ssize_t sent = write(fd, data, n);
        if (sent < 0) die("write");
        data += sent;
        n -= sent;
    }
}

static void ask(struct connection *c, const char *method, const char *path, const char *body, int upgrade) {
    static char request[2 * SIZE];
    int n = snprintf(request, sizeof request,
                     "%s /v1.41%s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n%s"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, upgrade ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "", strlen(body), body);
    write_all(c->fd, request, n);
}

static void receive(struct connection *c) {
    ssize_t n = read(c->fd, c->data + c->n, SIZE - c->n);
    if (n <= 0) die("read");
    c->n += n;
    c->data[c->n] = 0;
}

static void take(struct connection *c, size_t n) {
    memmove(c->data, c->data + n, c->n - n + 1);
    c->n -= n;
}

/* Take the head of an answer; say how long its body is, -1 for a chunked one. */
static long head(struct connection *c) {
    char *end;
    c->data[c->n] = 0;
    while (!(end = strstr(c->data, "\r\n\r\n"))) receive(c);
    *end = 0;
    char *length = strcasestr(c->data, "content-length:");
    long n = strcasestr(c->data, "chunked") ? -1 : length ? atol(length + 15) : 0;
    take(c, end + 4 - c->data);
    return n;
}

/* Take a body; what we ask for is short and comes in one chunk. */
static char *body(struct connection *c, long n) {
    if (n < 0) {
        char *end;
        while (!(end = strstr(c->data, "\r\n"))) receive(c);
        n = strtol(c->data, NULL, 16);
        take(c, end + 2 - c->data);
    }
    while (c->n < (size_t)n) receive(c);
    char *copy = strndup(c->data, n);
    take(c, n);
    return copy;
}

static char *call(struct connection *c, const char *method, const char *path, const char *text) {
    ask(c, method, path, text, 0);
    return body(c, head(c));
}

static const char *field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (!at) die(text);
    at += strlen(name);
    return *at == '"' ? at + 1 : at;
}

static char *quoted(char **words) {
    char *text = malloc(SIZE), *at = text;
    *at++ = '[';
    for (char **word = words; *word; word++) {
        if (word != words) *at++ = ',';
        *at++ = '"';
        for (char *c = *word; *c; c++) {
            if (*c == '"' || *c == '\\') *at++ = '\\';
            *at++ = *c;
        }
        *at++ = '"';
    }
    strcpy(at, "]");
    return text;
}

/* Move n bytes from the socket to an output without touching them; n is 0 for all there are. */
static void move(int from, int to, size_t n) {
    static int pipes[2] = {-1, -1};
    struct stat status;
    int is_pipe = fstat(to, &status) == 0 && S_ISFIFO(status.st_mode), all = n == 0;
    if (!is_pipe && pipes[0] < 0 && pipe(pipes)) die("pipe");
    while (all || n) {
        ssize_t got = splice(from, NULL, is_pipe ? to : pipes[1], NULL, all ? SIZE : n, SPLICE_F_MOVE);
        if (got < 0) die("splice");
        if (got == 0) return;
        n -= all ? 0 : got;
        for (ssize_t left = is_pipe ? 0 : got; left;) {
            ssize_t sent = splice(pipes[0], NULL, to, NULL, left, SPLICE_F_MOVE);
            if (sent <= 0) die("splice out");
            left -= sent;
        }
    }
}

static size_t left; /* of the frame's payload, to come */

static void deliver(struct connection *c, int framed) {
    static unsigned char frame[8];
    static size_t got;
    static int target = 1;
    size_t at = 0;
    if (!framed) {
        write_all(1, c->data, c->n);
        return;
    }
    while (at < c->n) {
        if (!left) {
            frame[got++] = c->data[at++];
            if (got == 8) {
                target = frame[0];
                left = (size_t)frame[4] << 24 | frame[5] << 16 | frame[6] << 8 | frame[7];
                got = 0;
            }
            continue;
        }
        size_t n = c->n - at < left ? c->n - at : left;
        write_all(target, c->data + at, n);
        at += n;
        left -= n;
    }
    if (splices && left >= SPLICE_FROM) {
        move(c->fd, target, left);
        left = 0;
    }
}

static void pump(struct connection *c, int framed, int reads_input) {
    static char input[SIZE];
    struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (c->n) {
        deliver(c, framed);
        c->n = 0;
    }
    if (splices && !framed && !reads_input) {
        move(c->fd, 1, 0);
        return;
    }
    for (;;) {
        if (reads_input) {
            if (poll(fds, 2, -1) < 0) die("poll");
            if (fds[1].revents) {
                ssize_t n = read(0, input, SIZE);
                if (n > 0) {
                    write_all(c->fd, input, n);
                } else {
                    reads_input = 0;
                    shutdown(c->fd, SHUT_WR);
                }
            }
            if (!fds[0].revents) continue;
        }
        /* Only the header of a frame that may be spliced; else as much as there is. */
        size_t most = !splices || !framed ? SIZE : left ? left : 8;
        ssize_t n = read(c->fd, c->data, most < SIZE ? most : SIZE);
        if (n < 0) die("read");
        if (n == 0) return;
        c->n = n;
        deliver(c, framed);
        c->n = 0;
    }
}

static int exec_(char **words) {
    static struct connection control, stream;
    static char path[SIZE], text[2 * SIZE];
    int in = 0, tty = 0;
    for (; **words == '-'; words++) {
        in |= strchr(*words, 'i') != NULL;
        tty |= strchr(*words, 't') != NULL;
    }
    open_connection(&control);
    open_connection(&stream);
    snprintf(path, sizeof path, "/containers/%s/exec", words[0]);
    snprintf(text, sizeof text,
             "{\"AttachStdin\":%s,\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":%s,\"Cmd\":%s}",
             in ? "true" : "false", tty ? "true" : "false", quoted(words + 1));
    const char *id = field(call(&control, "POST", path, text), "\"Id\":");
    snprintf(path, sizeof path, "/exec/%.64s/start", id);
    ask(&stream, "POST", path, tty ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false,\"Tty\":false}", 1);
    head(&stream);
    struct termios mode;
    if (tty && tcgetattr(0, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(0, TCSANOW, &mode);
    }
    pump(&stream, !tty, in);
    snprintf(path, sizeof path, "/exec/%.64s/json", id);
    return atoi(field(call(&control, "GET", path, ""), "\"ExitCode\":"));
}

static int run(char **words) {
    static struct connection control, wait, stream;
    static char path[SIZE], text[2 * SIZE];
    for (; **words == '-'; words++) words += strcmp(*words, "--network") == 0;
    open_connection(&control);
    open_connection(&wait);
    open_connection(&stream);
    snprintf(text, sizeof text,
             "{\"Image\":\"%s\",\"Cmd\":%s,\"HostConfig\":{\"AutoRemove\":true,\"NetworkMode\":\"none\"}}", words[0],
             quoted(words + 1));
    const char *id = field(call(&control, "POST", "/containers/create", text), "\"Id\":");
    snprintf(path, sizeof path, "/containers/%.64s/attach?stream=1&stdout=1&stderr=1", id);
    ask(&stream, "POST", path, "", 1);
    head(&stream);
    snprintf(path, sizeof path, "/containers/%.64s/wait?condition=next-exit", id);
    ask(&wait, "POST", path, "", 0);
    long length = head(&wait);
    snprintf(path, sizeof path, "/containers/%.64s/start", id);
    call(&control, "POST", path, "");
    pump(&stream, 1, 0);
    return atoi(field(body(&wait, length), "\"StatusCode\":"));
}

int main(int argc, char **argv) {
    argv++;
    if (argc > 1 && strcmp(*argv, "--splice") == 0) splices = 1, argv++;
    return strcmp(*argv, "exec") == 0 ? exec_(argv + 1) : run(argv + 1);
}
