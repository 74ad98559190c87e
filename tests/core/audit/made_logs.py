"""Signed logs for tests, and what stands around them: a device, a witness, a time-stamping authority."""

import datetime
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from surgical_ml.audit import AuditWriter
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.witness import Witness
from surgical_ml.audit.witness_server import witness_server

BOOT = "0123456789abcdef"


def write_log(folder: Path, keyring: Keyring, bodies: list[dict[str, object]], **options: object) -> Path:
    """Write entries into a log, each third one urgent, and close it; a log that is there is continued."""
    with AuditWriter(folder, keyring=keyring, boot=BOOT, **options) as writer:
        tickets = [writer.append("decision", body, case="case-1", urgent=k % 3 == 0) for k, body in enumerate(bodies)]
        assert all(ticket.wait(60) for ticket in tickets)
    return folder


def some_bodies(count: int, begin: int = 0) -> list[dict[str, object]]:
    return [{"n": k, "text": "x" * (k * 37 % 90)} for k in range(begin, begin + count)]


@contextmanager
def running_witness(folder: Path, device: Keyring) -> Iterator[tuple[Witness, str]]:
    """A witness that answers on a free port, and its address."""
    witness = Witness(folder, "witness.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))), [device.first])
    with witness_server(witness, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield witness, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class LocalAuthority:
    """A time-stamping authority of `openssl ts`, with a root certificate of its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name, own = _name(f"{name} root"), _name(name)
        self.root = _certificate(root_name, root_name, root_key, root_key, ca=True)
        certificate = _certificate(own, root_name, key, root_key, ca=False)
        (folder / "root.pem").write_bytes(self.root.public_bytes(Encoding.PEM))
        (folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(secret)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(
            # OpenSSL writes several certificates in no order, which is no DER: the signer's own has to do.
            "[tsa]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\nsigner_digest = sha256\n"
            "default_policy = 1.2.3.4.1\ndigests = sha256, sha512\nordering = no\ness_cert_id_alg = sha256\n"
        )

    def ask(self, request: bytes) -> bytes:
        """Answer a request, as an authority does."""
        (self._folder / "query.tsq").write_bytes(request)
        command = [
            "openssl",
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-section",
            "tsa",
            "-queryfile",
            "query.tsq",
            "-out",
            "reply.tsr",
        ]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)
        return (self._folder / "reply.tsr").read_bytes()


Ask = Callable[[bytes], bytes]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=365 * 60))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        built = built.add_extension(usage, critical=True)
    else:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return built.sign(by, hashes.SHA256())
