"""Model signatures, held against the PyPI tool model-signing.

  model_signatures.py                           the tool verifies the committed signatures
  model_signatures.py --write                   makes src/supply/testdata/signing anew: throwaway
                                                keys and certificates, a model, its signatures
  model_signatures.py --full LANTERN            both directions, live: the tool verifies what
                                                LANTERN signs, LANTERN what the tool signs
  model_signatures.py --vectors LANTERN SPEC TOOL  the public vectors: checkouts of
                                                ossf/model-signing-spec and
                                                sigstore/model-transparency

Every key made here is for tests alone and public; trust none of them.
"""

import argparse
import base64
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing, verifying
from model_signing._signing import sign_sigstore_pb

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "src/supply/testdata/signing"
CURVES = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
HASHES = {"p256": hashes.SHA256, "p384": hashes.SHA384, "p521": hashes.SHA512}
SHARD_BYTES = 1000
# Its shards sort differently as numbers and as text; "a-b" and "a/b" by component and as text.
MODEL = {
    "config.json": b'{"model_type": "test"}\n',
    "a-b": b"hyphen\n",
    "a/b": b"slash\n",
    "weights/model.bin": bytes(i * 7 % 251 for i in range(12345)),
    "weights/.gitignore": b"# signed, as it is not at the top\n",
    "\u00e9\u4e16.txt": b"not ASCII\n",
}
# Models of the other tests, whose signatures lie beside them when they are pulled.
PULLED = ((ROOT / "src/format/testdata/hf", "hf-folder.sig"),
          (ROOT / "src/format/testdata/all_types.gguf", "gguf-file.sig"))
DAY = datetime.timedelta(days=1)
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
END = datetime.datetime(2120, 1, 1, tzinfo=datetime.timezone.utc)


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def write(path, content, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def make_model(folder):
    for name, content in MODEL.items():
        write(folder / name, content)


def make_keys(folder):
    for curve, kind in CURVES.items():
        key = ec.generate_private_key(kind())
        write(folder / f"test-{curve}.pem", private_pem(key), 0o600)
        write(folder / f"test-{curve}.pub.pem", public_pem(key))


def name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(subject, key, issuer, issuer_key, *, ca, eku=None, begin=BEGIN, end=END,
                digest=hashes.SHA256):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca,
                encipher_only=False, decipher_only=False),
            critical=True)
    )
    if eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
    return builder.sign(issuer_key, digest())


def pem(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def make_certificates(folder, curve="p384"):
    """A root, an RSA intermediate and leaves of one key, good and bad in one way each."""
    sign = [ExtendedKeyUsageOID.CODE_SIGNING]
    web = [ExtendedKeyUsageOID.SERVER_AUTH]
    root_key = ec.generate_private_key(ec.SECP384R1())
    root = certificate("Lantern Test Root", root_key, "Lantern Test Root", root_key, ca=True)
    other_key = ec.generate_private_key(ec.SECP384R1())
    other = certificate("Lantern Test Root", other_key, "Lantern Test Root", other_key, ca=True)
    middle_key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    middle = certificate("Test Intermediate", middle_key, "Lantern Test Root", root_key, ca=True)
    leaf_key = ec.generate_private_key(CURVES[curve]())

    def leaf(**options):
        return certificate("Test Signer", leaf_key, "Test Intermediate", middle_key, ca=False,
                           **options)

    good = leaf(eku=sign)
    write(folder / "root.pem", pem(root))
    write(folder / "other-root.pem", pem(other))
    write(folder / "test-leaf.pem", private_pem(leaf_key), 0o600)
    write(folder / "chain.pem", pem(good, middle))
    write(folder / "expired.pem", pem(leaf(eku=sign, end=BEGIN + 30 * DAY), middle))
    write(folder / "future.pem", pem(leaf(eku=sign, begin=END - 30 * DAY), middle))
    write(folder / "no-usage.pem", pem(leaf(), middle))
    write(folder / "server.pem", pem(leaf(eku=web), middle))
    limited = certificate("Test Intermediate", middle_key, "Lantern Test Root", root_key, ca=True,
                          eku=web)
    write(folder / "limited.pem", pem(good, limited))
    expired_middle = certificate("Test Intermediate", middle_key, "Lantern Test Root", root_key,
                                 ca=True, end=BEGIN + 30 * DAY)
    write(folder / "expired-intermediate.pem", pem(good, expired_middle))
    weak_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    weak = certificate("Weak Intermediate", weak_key, "Lantern Test Root", root_key, ca=True)
    under_weak = certificate("Test Signer", leaf_key, "Weak Intermediate", weak_key, ca=False,
                             eku=sign)
    write(folder / "weak.pem", pem(under_weak, weak))
    # A leaf that is no authority, as if it were one.
    forged = certificate("Forged Signer", leaf_key, "Test Signer", leaf_key, ca=False, eku=sign)
    write(folder / "forged.pem", pem(forged, good, middle))


def their_config(method, ignore=()):
    config = hashing.Config().set_ignored_paths(paths=list(ignore), ignore_git_paths=True)
    if method == "shards":
        return config.use_shard_serialization(shard_size=SHARD_BYTES,
                                              ignore_paths=[pathlib.Path(p) for p in ignore])
    return config.use_file_serialization(ignore_paths=[pathlib.Path(p) for p in ignore])


def they_sign(model, out, method, key=None, chain=None, ignore=()):
    config = signing.Config().set_hashing_config(their_config(method, ignore))
    if chain is None:
        config.use_elliptic_key_signer(private_key=key)
        config.sign(model, out)
        return
    # The tool takes the leaf and what is above it in two files.
    leaf, *above = x509.load_pem_x509_certificates(chain.read_bytes())
    with tempfile.TemporaryDirectory() as temporary:
        parts = [pathlib.Path(temporary) / name_ for name_ in ("leaf.pem", "above.pem")]
        parts[0].write_bytes(pem(leaf))
        parts[1].write_bytes(pem(*above))
        config.use_certificate_signer(private_key=key, signing_certificate=parts[0],
                                      certificate_chain=[parts[1]])
        config.sign(model, out)


def they_verify(model, signature, public=None, root=None, method="files"):
    config = verifying.Config()
    if method == "shards":
        # The tool writes shard_size as 1000.0 and then cannot read its own signature, unless told.
        config.set_hashing_config(their_config(method, [signature]))
    if public is not None:
        config.use_elliptic_key_verifier(public_key=public)
    else:
        config.use_certificate_verifier(certificate_chain=[root])
    config.verify(model, signature)


def edit(signature, out, change):
    bundle = json.loads(signature.read_text())
    change(bundle)
    out.write_text(json.dumps(bundle))


def make_historical(folder, keys, certs):
    """Bundles as releases before 1.1 wrote them; the encoding is the tool's own, kept there."""

    def raw_bytes(bundle):
        public = base64.b64encode((keys / "test-p256.pub.pem").read_bytes()).decode()
        bundle["verificationMaterial"] = {
            "publicKey": {"rawBytes": public, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}}
        bundle["dsseEnvelope"]["signatures"][0]["keyid"] = None

    edit(folder / "files-p256.sig", folder / "raw-bytes.sig", raw_bytes)

    key = serialization.load_pem_private_key((certs / "test-leaf.pem").read_bytes(), None)
    subjects = [
        {"name": n, "digest": {"sha256": hashlib.sha256(c).hexdigest()},
         "annotations": {"actual_hash_algorithm": "file-sha256"}}
        for n, c in sorted(MODEL.items())]
    payload = json.dumps({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "it's \"unused\""},
    }, indent=2, ensure_ascii=False).encode()
    signature = key.sign(sign_sigstore_pb.pae_compat(payload), ec.ECDSA(hashes.SHA256()))
    chain = x509.load_pem_x509_certificates((certs / "chain.pem").read_bytes())
    (folder / "release-0.2.sig").write_text(json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"x509CertificateChain": {"certificates": [
            {"rawBytes": base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode()}
            for c in chain]}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": None}]},
    }))

    def keyless(bundle):
        certificate_ = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
        bundle["verificationMaterial"] = {"certificate": certificate_,
                                          "tlogEntries": [{"logIndex": "1"}]}

    edit(folder / "certificate.sig", folder / "keyless.sig", keyless)


def expected():
    """Roots in the specification's order, worked out here and by nobody else."""
    def root(resources):
        joined = b"".join(digest for _, digest in sorted(resources))
        return hashlib.sha256(joined).hexdigest()

    files = [(n, hashlib.sha256(c).digest()) for n, c in MODEL.items()]
    shards = []
    for n, content in MODEL.items():
        for begin in range(0, len(content), SHARD_BYTES):
            end = min(begin + SHARD_BYTES, len(content))
            shards.append((f"{n}:{begin}:{end}", hashlib.sha256(content[begin:end]).digest()))
    return {"shard_bytes": SHARD_BYTES, "files_root": root(files), "shards_root": root(shards),
            "files": sorted(n for n, _ in files), "shards": sorted(n for n, _ in shards)}


def write_fixtures():
    shutil.rmtree(FIXTURES, ignore_errors=True)
    keys, certs, model, out = (FIXTURES / n for n in ("keys", "certs", "model", "signatures"))
    make_keys(keys)
    make_certificates(certs)
    make_model(model)
    out.mkdir()
    for curve in CURVES:
        for method in ("files", "shards"):
            they_sign(model, out / f"{method}-{curve}.sig", method, keys / f"test-{curve}.pem")
    they_sign(model, out / "certificate.sig", "files", certs / "test-leaf.pem",
              certs / "chain.pem")
    they_sign(model / "config.json", out / "single-file.sig", "files", keys / "test-p256.pem")
    for folder_or_file, name_ in PULLED:
        they_sign(folder_or_file, out / name_, "files", keys / "test-p256.pem")
    make_historical(out, keys, certs)
    (FIXTURES / "expected.json").write_text(json.dumps(expected(), indent=1) + "\n")
    (FIXTURES / "README.md").write_text(
        "Made by `tools/golden/model_signatures.py --write`. The private keys are test keys: public,\n"
        "throwaway, to be trusted by nobody. The signatures are the PyPI tool model-signing's, but\n"
        "for release-0.2.sig, raw-bytes.sig and keyless.sig, which have the form of old releases\n"
        "and of keyless signing.\n")


class Tally:
    def __init__(self):
        self.passed = self.total = 0

    def check(self, what, ok, detail=""):
        self.total += 1
        self.passed += bool(ok)
        print(f"{'pass' if ok else 'FAIL'}  {what}" + ("" if ok else f"  {detail}"))

    def done(self):
        print(f"{self.passed} of {self.total} pass")
        return 0 if self.passed == self.total else 1


def ran(lantern, *arguments):
    return subprocess.run([lantern, *map(str, arguments)], capture_output=True, text=True)


def refuses(action):
    try:
        action()
    except Exception as error:  # the tool raises whatever it likes
        return str(error) or type(error).__name__
    return None


def check():
    """The committed fixtures are what the tool and the specification say."""
    tally = Tally()
    stored = json.loads((FIXTURES / "expected.json").read_text())
    tally.check("expected.json", stored == expected())
    model, out = FIXTURES / "model", FIXTURES / "signatures"
    for curve in CURVES:
        public = FIXTURES / f"keys/test-{curve}.pub.pem"
        for method in ("files", "shards"):
            why = refuses(lambda: they_verify(model, out / f"{method}-{curve}.sig", public=public,
                                              method=method))
            tally.check(f"{method}-{curve}.sig", why is None, why)
    for name_ in ("certificate.sig", "release-0.2.sig"):
        root = FIXTURES / "certs/root.pem"
        why = refuses(lambda: they_verify(model, out / name_, root=root))
        tally.check(name_, why is None, why)
    beside = [(name_, of) for of, name_ in PULLED]
    for name_, of in (("raw-bytes.sig", model), ("single-file.sig", model / "config.json"), *beside):
        public = FIXTURES / "keys/test-p256.pub.pem"
        why = refuses(lambda: they_verify(of, out / name_, public=public))
        tally.check(name_, why is None, why)
    return tally.done()


def full(lantern):
    tally = Tally()
    with tempfile.TemporaryDirectory() as temporary:
        base = pathlib.Path(temporary)
        keys, certs, model = base / "keys", base / "certs", base / "model"
        make_keys(keys)
        make_model(model)
        signature = model / "model.sig"
        for method in ("files", "shards"):
            shards = ["--method", method, "--shard-size", SHARD_BYTES]
            for curve in CURVES:
                key, public = keys / f"test-{curve}.pem", keys / f"test-{curve}.pub.pem"
                signature.unlink(missing_ok=True)
                signed = ran(lantern, "sign", model, "--key", key, *shards)
                why = refuses(lambda: they_verify(model, signature, public=public, method=method))
                tally.check(f"theirs verifies ours: {method} {curve}",
                            signed.returncode == 0 and why is None, signed.stderr + str(why))
                signature.unlink(missing_ok=True)
                they_sign(model, signature, method, key, ignore=[signature])
                verified = ran(lantern, "verify", model, "--signature", signature, "--key", public)
                tally.check(f"ours verifies theirs: {method} {curve}", verified.returncode == 0,
                            verified.stdout + verified.stderr)
                spoilt = model / "a-b"
                spoilt.write_bytes(b"HYPHEN\n")
                verified = ran(lantern, "verify", model, "--signature", signature, "--key", public)
                theirs = refuses(lambda: they_verify(model, signature, public=public, method=method))
                spoilt.write_bytes(MODEL["a-b"])
                tally.check(f"both refuse a changed file: {method} {curve}",
                            verified.returncode == 1 and theirs, verified.stdout)
            for curve in CURVES:
                shutil.rmtree(certs, ignore_errors=True)
                make_certificates(certs, curve)
                key, chain, root = certs / "test-leaf.pem", certs / "chain.pem", certs / "root.pem"
                signature.unlink(missing_ok=True)
                signed = ran(lantern, "sign", model, "--key", key, "--certificate", chain, *shards)
                why = refuses(lambda: they_verify(model, signature, root=root, method=method))
                tally.check(f"theirs verifies ours: {method} certificate {curve}",
                            signed.returncode == 0 and why is None, signed.stderr + str(why))
                signature.unlink(missing_ok=True)
                they_sign(model, signature, method, key, chain, ignore=[signature])
                verified = ran(lantern, "verify", model, "--signature", signature,
                               "--trust-root", root)
                tally.check(f"ours verifies theirs: {method} certificate {curve}",
                            verified.returncode == 0, verified.stdout + verified.stderr)
                other = certs / "other-root.pem"
                verified = ran(lantern, "verify", model, "--signature", signature,
                               "--trust-root", other)
                theirs = refuses(lambda: they_verify(model, signature, root=other, method=method))
                tally.check(f"both refuse another root: {method} certificate {curve}",
                            verified.returncode == 1 and theirs, verified.stdout)
        single_files(lantern, base, keys, model, tally)
    return tally.done()


def single_files(lantern, base, keys, model, tally):
    """One file, by its API and by its command line."""
    key, public = keys / "test-p256.pem", keys / "test-p256.pub.pem"
    for method in ("files", "shards"):
        single = model / "weights/model.bin"
        apart = base / f"{method}.sig"
        they_sign(single, apart, method, key)
        verified = ran(lantern, "verify", single, "--signature", apart, "--key", public)
        tally.check(f"ours verifies theirs: one file, {method}", verified.returncode == 0,
                    verified.stdout + verified.stderr)
        apart.unlink()
        signed = ran(lantern, "sign", single, "--key", key, "--signature", apart,
                     "--method", method, "--shard-size", SHARD_BYTES)
        why = refuses(lambda: they_verify(single, apart, public=public, method=method))
        tally.check(f"theirs verifies ours: one file, {method}",
                    signed.returncode == 0 and why is None, signed.stderr + str(why))
    apart, other = base / "files.sig", base / "command.sig"
    command = [sys.executable, "-m", "model_signing"]
    theirs = subprocess.run([*command, "verify", "key", single, "--signature", apart,
                             "--public_key", public], capture_output=True, text=True)
    tally.check("their command verifies ours: one file", theirs.returncode == 0,
                theirs.stdout + theirs.stderr)
    signed = subprocess.run([*command, "sign", "key", single, "--signature", other,
                             "--private_key", key], capture_output=True, text=True)
    verified = ran(lantern, "verify", single, "--signature", other, "--key", public)
    tally.check("ours verifies their command's: one file",
                signed.returncode == 0 and verified.returncode == 0,
                signed.stderr + verified.stdout + verified.stderr)


def vectors(lantern, spec, tool):
    tally = Tally()
    tests = tool / "scripts/tests"
    public = tests / "keys/certificate/signing-key-pub.pem"
    root = tests / "keys/certificate/ca-cert.pem"
    for folder in sorted(tests.glob("v*/")):
        signature = folder / "model.sig"
        if not signature.exists():
            continue
        method = folder.name.split("-", 1)[1]
        arguments = ["--signature", signature]
        if (folder / "ignore-me").exists():
            arguments += ["--ignore", "ignore-me"]
        names = json.loads(base64.b64decode(
            json.loads(signature.read_text())["dsseEnvelope"]["payload"]))
        resources = names.get("predicate", {}).get("resources", [])
        alone = [r["name"] for r in resources] == ["."]
        model = folder / "signme-1" if alone else folder
        if method == "sigstore":
            done = ran(lantern, "verify", model, *arguments, "--key", public)
            tally.check(f"{folder.name}: keyless, recognised and not trusted",
                        done.returncode == 1 and "keyless" in done.stdout, done.stdout)
            continue
        trust = [["--key", public]]
        if method == "certificate":
            # verify_test.py verifies these by the leaf's key too.
            trust.append(["--trust-root", root])
        for option in trust:
            done = ran(lantern, "verify", model, *arguments, *option)
            tally.check(f"{folder.name}: verified by {option[0]}", done.returncode == 0,
                        done.stdout + done.stderr)
        done = ran(lantern, "verify", model, *arguments, "--key",
                   FIXTURES / "keys/test-p384.pub.pem")
        tally.check(f"{folder.name}: not verified by another key", done.returncode == 1,
                    done.stdout + done.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        model = pathlib.Path(temporary) / "model"
        for name_ in ("signme-1", "signme-2"):
            write(model / name_, (tests / "v1.1.0-elliptic-key" / name_).read_bytes())
        version = spec / "test-vectors/v1.0"
        for bundle in sorted(version.glob("*/*.json")):
            where = f"{bundle.parent.name}/{bundle.name}"
            if bundle.parent.name == "valid":
                if bundle.name.startswith("key"):
                    done = ran(lantern, "verify", model, "--signature", bundle, "--key", public)
                    ok = done.returncode == 0
                elif bundle.name.startswith("certificate"):
                    done = ran(lantern, "verify", model, "--signature", bundle,
                               "--trust-root", root)
                    ok = done.returncode == 0
                else:
                    done = ran(lantern, "verify", model, "--signature", bundle, "--key", public)
                    ok = done.returncode == 1 and "keyless" in done.stdout
            else:
                done = ran(lantern, "verify", model, "--signature", bundle, "--key", public)
                ok = done.returncode in (1, 2)
            tally.check(where, ok, f"{done.returncode} {done.stdout}{done.stderr}")
    return tally.done()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true")
    what.add_argument("--full", metavar="LANTERN")
    what.add_argument("--vectors", nargs=3, metavar=("LANTERN", "SPEC", "TOOL"))
    arguments = parser.parse_args()
    os.umask(0o022)
    if arguments.write:
        write_fixtures()
        return 0
    if arguments.full:
        return full(arguments.full)
    if arguments.vectors:
        lantern, spec, tool = arguments.vectors
        return vectors(lantern, pathlib.Path(spec), pathlib.Path(tool))
    return check()


if __name__ == "__main__":
    sys.exit(main())
