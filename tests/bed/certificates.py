"""A certificate authority, a server and a client certificate, made on the fly for one run of the tests."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Certificates:
    """Files with docker's names in one directory: ca.pem, cert.pem and key.pem of the client.

    Args:
        directory: what `DOCKER_CERT_PATH` may name afterwards.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.cert = directory / "cert.pem"
        self.key = directory / "key.pem"
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = self._sign("bed authority", self._authority_key, None)
        self.ca.write_bytes(_pem(self._authority))
        self._write("client", self.cert, self.key)
        self._server_cert, self._server_key = directory / "server-cert.pem", directory / "server-key.pem"
        self._write("localhost", self._server_cert, self._server_key)

    def server_context(self, host: str = "", days: int = 2) -> ssl.SSLContext:
        """For the listening side: wants a client certificate of the same authority, as dockerd --tlsverify.

        Args:
            host: with a certificate for this name, and not for localhost.
            days: that is good for so many days from now; below 0 it was until then.
        """
        cert, key = self._server_cert, self._server_key
        if host or days != 2:
            cert, key = self.directory / "odd-cert.pem", self.directory / "odd-key.pem"
            self._write(host or "localhost", cert, key, host, days)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        context.load_cert_chain(cert, key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a connecting side that shows the client's certificate and knows the authority."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
        context.load_cert_chain(self.cert, self.key)
        return context

    def _write(self, name: str, cert: Path, key: Path, host: str = "", days: int = 2) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        cert.write_bytes(_pem(self._sign(name, private, self._authority, host, days)))
        key.touch(mode=0o600)
        key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Certificate | None,
        host: str = "",
        days: int = 2,
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        names = [x509.DNSName(host)] if host else here
        ends = now + datetime.timedelta(days=days)
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        public = self._authority_key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, ends) - datetime.timedelta(hours=1))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if issuer is None:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        return builder.sign(self._authority_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
