"""`tunix-rt serve` with a certificate: what goes over the wire is TLS, and `tunix-rt open` knows the service by it."""

import datetime
import json
import ssl
import subprocess
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from served import command, started
from tunix_rt import access, errors
from tunix_rt.api import serving
from tunix_rt.api.serving import Wanted
from tunix_rt.settings import Settings

Pair = tuple[Path, Path]


def signed_by_itself(folder: Path, name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return signed_by_itself(tmp_path_factory.mktemp("tls"), "lab.example")


def test_what_is_served_with_a_certificate_is_served_by_tls(pair: Pair, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with started(settings, "--tls-certificate", str(pair[0]), "--tls-key", str(pair[1])):
        base = serving.announced(settings).url
        assert base.startswith("https://127.0.0.1:")
        headers = {"authorization": f"Bearer {access.read_owner_token(settings)}"}
        with httpx.Client(verify=ssl.create_default_context(cafile=str(pair[0]))) as client:
            assert client.get(f"{base}/api/whoami", headers=headers).json()["role"] == "admin"
            made = subprocess.run(command(tmp_path, "open", "--json"), capture_output=True, check=True, text=True)
            entered = client.get(json.loads(made.stdout)["url"])
            assert entered.status_code == 303
            assert "Secure" in entered.headers["set-cookie"]
        with pytest.raises(httpx.TransportError):
            httpx.get(base.replace("https", "http") + "/healthz")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{base}/healthz")


def test_open_sends_the_token_to_nobody_with_another_certificate(pair: Pair, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    other = signed_by_itself(tmp_path, "other.example")
    with started(settings, "--tls-certificate", str(pair[0]), "--tls-key", str(pair[1])):
        (told,) = (settings.home / serving.FOLDER).glob("*.json")
        told.write_text(told.read_text().replace(str(pair[0]), str(other[0])))
        made = subprocess.run(command(settings.home, "open", "--json"), capture_output=True, text=True, check=False)
        assert made.returncode == 1
        assert "nothing answers" in made.stdout
        assert "/api/login-codes" not in (settings.home / "audit.jsonl").read_text()


@pytest.mark.parametrize("broken", ["missing", "swapped", "of two pairs"])
def test_a_pair_that_cannot_be_used_is_explained(broken: str, pair: Pair, tmp_path: Path) -> None:
    certificate, key = {
        "missing": (tmp_path / "no.pem", tmp_path / "no.key"),
        "swapped": (pair[1], pair[0]),
        "of two pairs": (pair[0], signed_by_itself(tmp_path, "other.example")[1]),
    }[broken]
    with pytest.raises(errors.Invalid, match="do not make a pair"):
        serving.check_bind(Settings(home=tmp_path), Wanted("127.0.0.1", 0, (), certificate, key))
    serving.check_bind(Settings(home=tmp_path), Wanted("127.0.0.1", 0, (), *pair))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "box.example"])
def test_a_wide_bind_with_tls_still_needs_a_token(pair: Pair, tmp_path: Path, host: str) -> None:
    with pytest.raises(errors.Unsafe, match="nobody there has a token"):
        serving.check_bind(Settings(home=tmp_path), Wanted(host, 0, (), *pair))
