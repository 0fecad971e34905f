"""A time-stamp authority as a process of its own: `python -m tests.signatures.tsa FOLDER` answers on a free port of this
machine, writes its certificate to FOLDER/tsa.pem and its port to FOLDER/port, and counts its requests in FOLDER/asked."""

import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from asn1crypto import keys, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.timestamps import DummyTimeStamper


def credentials() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)  # pyHanko's stamper for tests speaks RSA alone
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Time stamps for tests")])
    now = datetime.now(UTC)
    usage = [True, *[False] * 8]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(*usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made, key


def stamper() -> tuple[DummyTimeStamper, bytes]:
    certificate, key = credentials()
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shown = asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
    made = DummyTimeStamper(shown, keys.PrivateKeyInfo.load(der), certs_to_embed=[shown])
    return made, certificate.public_bytes(serialization.Encoding.PEM)


def serve(folder: Path) -> None:
    made, pem = stamper()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            body = made.request_tsa_response(asked).dump()
            with (folder / "asked").open("ab") as count:
                count.write(b".")
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    (folder / "asked").write_bytes(b"")
    (folder / "tsa.pem").write_bytes(pem)
    (folder / "port.new").write_text(str(server.server_port))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
