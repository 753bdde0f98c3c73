#!/usr/bin/env python3
"""Writes a backup of keys as docs/formats/key-backup.md has it, with PyCA cryptography alone:
src/audit/testdata/key-backup.bin, which audit_test opens. Run: tools/golden/run key_backup.py"""

import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

PASSPHRASE = b"another implementation"


def key(purpose, kind, identity, private, public=None):
    info = {"purpose": purpose, "kind": kind, "id": identity, "created_at": "2026-11-22T00:00:00.000Z"}
    if public:
        info["public_key"] = public
    parts = [json.dumps(info).encode(), private]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def main():
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = signer.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = signer.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    secret = b"7" * 64
    secret_id = hashlib.sha256(b"lantern hmac key\n" + bytes.fromhex(secret.decode())).hexdigest()
    content = struct.pack("<I", 2)
    content += key("log", "ed25519", hashlib.sha256(der).hexdigest(), private, pem.decode())
    content += key("digest", "hmac-sha256", secret_id, secret)

    salt, nonce = bytes(range(100, 132)), bytes(range(12))
    header = b"LANTKEYS" + struct.pack("<IIIIII", 1, 1, 14, 8, 1, len(content)) + salt + nonce + bytes(4)
    derived = Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(PASSPHRASE)
    file = header + AESGCM(derived).encrypt(nonce, content, header)
    file += hashlib.sha256(file).digest()
    target = pathlib.Path(__file__).parents[2] / "src/audit/testdata/key-backup.bin"
    target.write_bytes(file)
    print(f"{target.name}: {len(file)} bytes")


if __name__ == "__main__":
    main()
