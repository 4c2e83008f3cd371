"""A certificate authority that lives as long as the run, and the certificate of everything on loopback."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """A CA in a folder: `ca.crt`, and a pair of files for each certificate that it gives out."""

    def __init__(self, folder, name="interop"):
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} throw-away CA")])
        certificate = self._about(self.subject, self.key).add_extension(x509.BasicConstraints(True, None), True)
        certificate = certificate.add_extension(_usage(signs=True), True)
        self.certificate = folder / f"{name}-ca.crt"
        self.certificate.write_bytes(_pem(certificate.sign(self.key, hashes.SHA256())))

    def certify(self, name, hosts=("localhost", "127.0.0.1")):
        """Writes `name.crt` and `name.key`, good for these hosts, and returns the two paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = self._about(subject, key).add_extension(names, False)
        certificate = certificate.add_extension(x509.BasicConstraints(False, None), True)
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(_pem(certificate.sign(self.key, hashes.SHA256())))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        paths[1].chmod(0o600)
        return paths

    def _about(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )


def _general_name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(signs):
    return x509.KeyUsage(True, False, False, False, False, signs, signs, False, False)


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)
