"""Who made a bundle: an Ed25519 signature over its manifest, in a DSSE envelope (github.com/secure-systems-lab/dsse, v1).

The manifest names every other file by sha256, so a signature over it is one over the bundle. A signature that verifies says
that the holder of the key in it signed these bytes; whose key that is, only the reader can say, by naming one they trust.
"""

import base64
import binascii
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tunix_rt import errors, values
from tunix_rt.evidence import standalone

PAYLOAD_TYPE = "application/vnd.tunix-rt.manifest+json"


class Signed(NamedTuple):
    """`key_id` is the sha256 of the raw public key. `problem` is None when the signature verifies."""

    key_id: str | None
    problem: str | None


def pre_authentication(payload: bytes) -> bytes:
    """What is signed: PAE(type, body) of the DSSE protocol."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def new_key(path: Path) -> str:
    """Write a private key (PEM, for the owner only) and `<path>.pub`; returns the key's id. An existing file is refused."""
    if path.exists():
        raise errors.Conflict(f"{path} is there already; a key is not written over.", path=str(path))
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        file.write(pem)
    public = key.public_key()
    values.write_bytes(
        path.with_name(f"{path.name}.pub"),
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
    return key_id(public)


def key_id(key: Ed25519PublicKey) -> str:
    return values.sha256(key.public_bytes_raw())


def sign(manifest: bytes, key: Path) -> bytes:
    """The envelope; the same key and manifest give the same bytes."""
    private = _private(key)
    public = private.public_key()
    signature = {
        "keyid": key_id(public),
        "public_key": _base64(public.public_bytes_raw()),
        "sig": _base64(private.sign(pre_authentication(manifest))),
    }
    envelope = {"payload": _base64(manifest), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    return standalone.pretty(envelope)


def check(envelope: bytes, manifest: bytes) -> Signed:
    """Whether the envelope, in its one exact form, holds a valid signature over this manifest by the key it names."""
    try:
        found = standalone.loads(envelope)
        given, public = _parts(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Signed(None, f"{standalone.SIGNATURE} is no DSSE envelope of ours ({type(error).__name__}: {error})"[:300])
    if standalone.pretty(found) != envelope:
        return Signed(None, f"{standalone.SIGNATURE} is not written in its one exact form")
    if _bytes(found["payload"]) != manifest:
        return Signed(None, f"{standalone.SIGNATURE} signs another manifest")
    if found["signatures"][0]["keyid"] != key_id(public):
        return Signed(None, f"{standalone.SIGNATURE} names another key than it brings")
    try:
        public.verify(given, pre_authentication(manifest))
    except InvalidSignature:
        return Signed(None, f"the signature in {standalone.SIGNATURE} is not that of its key over this manifest")
    return Signed(key_id(public), None)


def _parts(found: Any) -> tuple[bytes, Ed25519PublicKey]:
    if not isinstance(found, dict) or found.keys() != {"payload", "payloadType", "signatures"}:
        raise ValueError("its keys are not payload, payloadType and signatures")
    if found["payloadType"] != PAYLOAD_TYPE:
        raise ValueError(f"payloadType is {found['payloadType']!r}")
    (signature,) = found["signatures"]
    if signature.keys() != {"keyid", "public_key", "sig"}:
        raise ValueError("a signature has keyid, public_key and sig")
    raw, given = _bytes(signature["public_key"]), _bytes(signature["sig"])
    if len(raw) != 32 or len(given) != 64:
        raise ValueError("an Ed25519 key has 32 bytes and a signature 64")
    return given, Ed25519PublicKey.from_public_bytes(raw)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: object) -> bytes:
    """Base64 in its one exact form."""
    if not isinstance(text, str):
        raise ValueError("not base64 text")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64 ({error})") from error
    if _base64(data) != text:
        raise ValueError("not base64 in its exact form")
    return data


def _private(path: Path) -> Ed25519PrivateKey:
    key = _loaded(path, lambda data: serialization.load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.Invalid(f"{path} holds no Ed25519 private key; `tunix-rt evidence key` makes one.", path=str(path))
    return key


def trusted(path: Path) -> str:
    """The id of the public key in a PEM file."""
    key = _loaded(path, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise errors.Invalid(f"{path} holds no Ed25519 public key.", path=str(path))
    return key_id(key)


def _loaded(path: Path, load: Any) -> Any:
    try:
        return load(values.read_text(path).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise errors.Invalid(f"{path} holds no key that can be read ({error}).", path=str(path)) from error
