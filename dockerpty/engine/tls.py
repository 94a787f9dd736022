"""TLS over a socket of our own, by memory BIOs: the one way to end our sending and to go on reading.

`ssl.SSLSocket` can do that only while the engine happens to be silent: with data in flight its `unwrap` fails and all
output is gone, and `shutdown` takes the decryption with it.
"""

from __future__ import annotations

import errno
import os
import select
import ssl
import time
import weakref

from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import EngineUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from dockerpty.engine.endpoint import TLS, Endpoint

# Plaintext taken at a time while earlier bytes are on their way: what waits encrypted in our process.
_TAKE = 64 * 1024
_READ = 64 * 1024

_FILES = "look at the files in DOCKER_CERT_PATH, or of --tlscacert, --tlscert and --tlskey"
_AUTHORITY = "is ca.pem in DOCKER_CERT_PATH that of this engine?"
_NAME_OURS = "name one with DOCKER_CERT_PATH, or --tlscert and --tlskey"
_OURS = "are cert.pem and key.pem in DOCKER_CERT_PATH made for this engine, by its authority?"
_ANOTHER_NAME = (
    "its certificate is for another name",
    "use a name that is in it, or have one made for this name",
)
_NOT_TRUSTED = ("its certificate is signed by nobody that is trusted here", _AUTHORITY)
# By OpenSSL's numbers (X509_V_ERR_...), which `ssl` has no names for.
_DISTRUST = {
    9: ("its certificate is not valid yet", "are the clocks right, here and there?"),
    10: ("its certificate has expired", "renew it over there, or is the clock wrong here?"),
    18: _NOT_TRUSTED,
    19: _NOT_TRUSTED,
    20: _NOT_TRUSTED,
    21: _NOT_TRUSTED,
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
# What versions of OpenSSL say of an answer that is no TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


_contexts: weakref.WeakValueDictionary[tuple[object, ...], ssl.SSLContext] = weakref.WeakValueDictionary()


class TLSTransport(SocketTransport):
    """A TLS connection after its handshake."""

    __slots__ = ("_alert", "_end", "_incoming", "_notify", "_object", "_out", "_outgoing")

    def __init__(self, sock: socket.socket, name: str, context: ssl.SSLContext, host: str) -> None:
        """Take over a connected socket; `shake` until it returns `True` before anything else."""
        super().__init__(sock, name)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._out = b""
        self._end = False
        self._alert = ""

    def shake(self) -> bool:
        """Do what of the handshake goes without waiting; say whether it is complete."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                try:
                    self._more()
                except BlockingIOError:
                    return False
                continue
            except ssl.SSLError:
                # What is wrong is told to the engine as well, as far as it goes.
                self.flush()
                raise
            self.flush()
            return True

    def pending(self) -> bool:
        """Count also what is decrypted, or has come and is not decrypted yet."""
        return bool(self._ahead or self._incoming.pending or self._object.pending())

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive and decrypt."""
        if self._ahead:
            return self._take_ahead(buffer)
        while not self._end:
            try:
                count = self._object.read(len(buffer), buffer)
            except ssl.SSLWantReadError:
                # Reading may have made an answer to a change of keys.
                self._flush_quietly()
                self._more()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # With or without close_notify: many servers just close.
                self._end = True
            except ssl.SSLError as error:
                # Since TLS 1.3 an engine says only after the handshake that it does not take our certificate.
                self._alert = error.reason or ""
                raise ConnectionResetError(error.errno, f"TLS failed: {error.reason}") from error
            else:
                return int(count)
        return 0

    def last_words(self) -> str:
        """Say why the engine does not want us, if it said so."""
        return _refusal(self._alert)[0]

    def never_arrived(self) -> str:
        """Tell by the alert: a client that is not let in is not listened to."""
        return _refusal(self._alert)[1]

    def _more(self) -> None:
        """Move what has come to the TLS object; BlockingIOError if nothing has."""
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, ConnectionError):
            raise
        except OSError as error:  # as in SocketTransport
            raise ConnectionResetError(error.errno, error.strerror) from error
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send; takes more only when what it took before is on the wire."""
        self.flush()
        if self.unsent():
            raise BlockingIOError
        try:
            taken = self._object.write(memoryview(data)[:_TAKE])
        except ssl.SSLWantReadError as error:
            raise BlockingIOError from error
        except ssl.SSLError as error:
            raise BrokenPipeError(error.errno, f"TLS failed: {error.reason}") from error
        self._flush_quietly()
        return taken

    def unsent(self) -> bool:
        """Say whether something encrypted waits for room in the socket."""
        return bool(self._out or self._outgoing.pending)

    def flush(self) -> None:
        """Send what is encrypted, as far as that goes."""
        while self.unsent():
            self._out = self._out or self._outgoing.read()
            try:
                sent = super().send(self._out)
            except BlockingIOError:
                return  # the rest stays in `_out`
            self._out = self._out[sent:]

    def _flush_quietly(self) -> None:
        try:
            self.flush()
        except OSError:
            pass  # a broken connection is for the next `send` or `flush` to tell: what was taken was taken

    def half_close(self) -> None:
        """Send close_notify behind what was sent; what comes can still be read."""
        # `unwrap` fails on data that came before the engine's own close_notify: with everything decrypted it finds
        # nothing to read, and has written ours. That it wants to read more is how both say that they are done.
        try:
            while True:
                data = self._object.read(_READ)
                if not data:
                    break
                self._ahead += data
        except ssl.SSLWantReadError:
            pass  # the rest of a record is on its way
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end = True
        try:
            self._object.unwrap()
        except ssl.SSLWantReadError:
            pass  # their farewell is not waited for
        except ssl.SSLError as error:
            if not self._end:
                raise BrokenPipeError(error.errno, f"TLS failed: {error.reason}") from error
        self._flush_quietly()


def handshake(sock: socket.socket, endpoint: Endpoint, deadline: float) -> TLSTransport:
    """Make a connected socket a TLS connection, until `deadline` by `time.monotonic`.

    Raises:
        EngineUnreachable: a certificate, or the other side, is not what it should be.
    """
    try:
        context = shared_context(endpoint.tls)
    except OSError as error:
        sock.close()
        raise _unreachable(endpoint, _reason(error), _FILES) from error
    transport = TLSTransport(sock, endpoint.name, context, endpoint.host)
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    try:
        while not transport.shake():
            poll.modify(sock.fileno(), select.POLLIN | (select.POLLOUT if transport.unsent() else 0))
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(int(left * 1000) + 1):
                raise _unreachable(endpoint, "the TLS handshake took too long", "does that port speak TLS?")
    except OSError as error:
        transport.close()
        if isinstance(error, EngineUnreachable):
            raise
        raise _failed(endpoint, error) from error
    except BaseException:
        transport.close()
        raise
    return transport


def shared_context(tls: TLS | None) -> ssl.SSLContext:
    """Give the settings that other connections have which are open, unless the files have changed since.

    They take 25 KiB, and a MiB with the system's authorities: many connections have them once. Raises as `context_of`.
    """
    files = [os.stat(file) for file in ((tls.ca, tls.cert, tls.key) if tls else ()) if file]
    key = (tls, *((file.st_ino, file.st_mtime_ns, file.st_size) for file in files))
    context = _contexts.get(key)
    if context is None:
        context = _contexts[key] = context_of(tls)
    return context


def context_of(tls: TLS | None) -> ssl.SSLContext:
    """Make the settings of a client; OSError, which names it, where a file cannot be read or is no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls is None:
        return context
    for file in (tls.ca, tls.cert, tls.key):
        # ssl's own error does not say which one.
        if file and not os.path.isdir(file):
            open(file, "rb").close()
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not tls.ca:
        context.load_default_certs()
    elif os.path.isdir(tls.ca):
        context.load_verify_locations(capath=tls.ca)
    else:
        try:
            context.load_verify_locations(cafile=tls.ca)
        except ssl.SSLError as error:
            raise OSError(errno.EINVAL, "there is no certificate in it", tls.ca) from error
    if tls.cert:
        try:
            context.load_cert_chain(tls.cert, tls.key or None)
        except ssl.SSLError as error:
            another = error.reason == "KEY_VALUES_MISMATCH"
            words = "its key is another one" if another else "it, or its key, is not what it should be"
            raise OSError(errno.EINVAL, words, tls.cert) from error
    return context


def _failed(endpoint: Endpoint, error: OSError) -> EngineUnreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason, hint = _DISTRUST.get(error.verify_code, ("its certificate is not good", _AUTHORITY))
        words = error.verify_message.rstrip(".")
        return _unreachable(endpoint, reason if words in reason else f"{reason}: {words}", hint)
    said = getattr(error, "reason", None) or ""
    if any(words in said for words in _NO_TLS):
        return _unreachable(endpoint, "it does not speak TLS", "is the port right, or is TLS off there?")
    reason, hint = _refusal(said)
    return _unreachable(
        endpoint,
        reason or f"the TLS handshake failed: {_reason(error)}",
        hint or "does it accept the certificate in DOCKER_CERT_PATH?",
    )


def _refusal(alert: str) -> tuple[str, str]:
    """Give what an engine's alert means and what to do, two empty texts for one that is not about our certificate."""
    if "HANDSHAKE_FAILURE" in alert:
        return "it refused the TLS handshake", f"if it wants a certificate of ours: {_NAME_OURS}"
    if "CERTIFICATE_REQUIRED" in alert:
        return "it wants a certificate of ours", _NAME_OURS
    if "CERTIFICATE_EXPIRED" in alert:
        return "our certificate has expired", "renew cert.pem in DOCKER_CERT_PATH"
    if any(words in alert for words in ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")):
        return "it does not accept our certificate, or wants one", _OURS
    return "", ""


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else str(reason)


def _unreachable(endpoint: Endpoint, reason: str, hint: str) -> EngineUnreachable:
    return EngineUnreachable("reach", f"the engine at {endpoint.name}", reason, hint)
