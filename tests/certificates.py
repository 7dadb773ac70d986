"""Certificates as the TLS inspection of a company makes them: without keyUsage and key identifiers."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_NAMES = x509.SubjectAlternativeName(
    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
)


class Certificate:
    """A certificate and its key; `chain` has the certificates up to the root."""

    def __init__(self, name: str, issuer: Self | None, extension: x509.ExtensionType) -> None:
        now = dt.datetime.now(dt.UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(
            issuer_name=issuer.name if issuer else self.name,
            subject_name=self.name,
            public_key=self.key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=1),
            not_valid_after=now + dt.timedelta(days=1),
        )
        signed = builder.add_extension(extension, critical=False).sign((issuer or self).key, SHA256())
        self.pem = signed.public_bytes(Encoding.PEM).decode()
        self.chain: str = self.pem + (issuer.chain if issuer else "")

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Company:
    """A root, an intermediate, and a server of this machine, whose TLS sends all of them."""

    def __init__(self, folder: Path) -> None:
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.root = Certificate("Root", None, ca)
        self.intermediate = Certificate("Intermediate", self.root, ca)
        self.server = Certificate("Server", self.intermediate, _NAMES)
        file = folder / "server.pem"
        file.write_text(self.server.chain + self.server.key_pem)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(file)
