#!/usr/bin/env python3
"""An audit log read by somebody else: RFC 6962 and C2SP's tlog-tiles, tlog-checkpoint, signed-note
and tlog-proof, from the specifications alone, with PyNaCl's Ed25519. Shares no code with src/audit.

  audit_log.py check FOLDER VKEY...     a log's published tiles and its journal
  audit_log.py proof FILE VKEY...       what `lantern audit prove` writes
  audit_log.py                          makes src/audit/testdata/reference.json anew: roots and
                                        proofs of trees of numbered entries"""
import base64
import hashlib
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "src/audit/testdata/reference.json"


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(mth(leaves[:k]), mth(leaves[k:]))


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [mth(leaves[k:])]
    return path(m - k, leaves[k:]) + [mth(leaves[:k])]


def subproof(m, leaves, whole):
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], whole) + [mth(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [mth(leaves[:k])]


def open_note(text, vkeys):
    """The text of a note that one of the keys signed."""
    from nacl.signing import VerifyKey

    body, _, signatures = text.rpartition("\n\n")
    body += "\n"
    for line in signatures.splitlines():
        dash, name, encoded = line.split(" ")
        assert dash == "\u2014", "no signature line"
        raw = base64.b64decode(encoded, validate=True)
        for vkey in vkeys:
            key_name, key_id, key = vkey.split("+", 2)
            public = base64.b64decode(key, validate=True)
            assert public[0] == 1 and len(public) == 33, "no Ed25519 verifier key"
            wanted = hashlib.sha256(key_name.encode() + b"\n" + public).digest()[:4]
            assert wanted.hex() == key_id, "a verifier key whose id is not its own"
            if name == key_name and raw[:4] == wanted:
                VerifyKey(public[1:]).verify(body.encode(), raw[4:])
                return body
    raise SystemExit("signed by none of the keys")


def open_checkpoint(text, vkeys):
    origin, size, root = open_note(text, vkeys).splitlines()
    return origin, int(size), base64.b64decode(root, validate=True)


def number_path(n):
    out = f"{n % 1000:03}"
    while n >= 1000:
        n //= 1000
        out = f"x{n % 1000:03}/{out}"
    return out


def read_tile(folder, level, n, width):
    base = folder / "tile" / level / number_path(n)
    partial = pathlib.Path(f"{base}.p") / str(width)
    return (base if width == 256 or not partial.exists() else partial).read_bytes()


def bundle(data, width):
    entries = []
    for _ in range(width):
        (length,) = struct.unpack(">H", data[:2])
        entries.append(data[2:2 + length])
        assert len(entries[-1]) == length, "a bundle ends within an entry"
        data = data[2 + length:]
    return entries, data


def read_tiles(folder, size):
    leaves, row, level = [], [], 0
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        entries, rest = bundle(read_tile(folder, "entries", n, width), width)
        assert width < 256 or not rest, "bytes after a bundle"
        leaves += [leaf(entry) for entry in entries]
    row = leaves
    while row:
        for n in range((len(row) + 255) // 256):
            part = row[n * 256:(n + 1) * 256]
            tile = read_tile(folder, str(level), n, len(part))
            assert tile[:32 * len(part)] == b"".join(part), f"tile {level}/{n} is another"
        row = [mth(row[n * 256:(n + 1) * 256]) for n in range(len(row) // 256)]
        level += 1
    return leaves


def read_journal(data, leaves, vkeys):
    """docs/formats/audit-log.md"""
    assert data[:8] == b"LANTJRNL" and hashlib.sha256(data[:24]).digest()[:8] == data[24:32]
    version, _, base = struct.unpack("<IIQ", data[8:24])
    assert version == 1 and base <= len(leaves)
    leaves, at = leaves[:base], 32
    head = None
    while len(data) - at >= 32:
        magic, n, first, n_bytes, n_note, check = struct.unpack("<4sIQII8s", data[at:at + 32])
        assert magic == b"BTCH" and check == hashlib.sha256(data[at:at + 24]).digest()[:8]
        body = data[at + 32:at + 32 + n_bytes + n_note]
        assert hashlib.sha256(body).digest() == data[at + 32 + len(body):at + 64 + len(body)]
        assert first == len(leaves)
        entries, rest = bundle(body[:n_bytes], n)
        assert not rest
        leaves = leaves + [leaf(entry) for entry in entries]
        head = open_checkpoint(body[n_bytes:].decode(), vkeys)
        assert head[1] == len(leaves)
        at += 64 + len(body)
    if head:
        assert head[2] == mth(leaves), "the journal's root is another"
    return leaves


def check(folder, vkeys):
    origin, size, root = open_checkpoint((folder / "checkpoint").read_text(), vkeys)
    leaves = read_tiles(folder, size)
    assert mth(leaves) == root, "the published root is another"
    total = leaves
    if (folder / "journal").exists():
        total = read_journal((folder / "journal").read_bytes(), leaves, vkeys)
    print(f"{origin}: {size} entries published, {len(total)} in all, consistent")


def check_proof(text, vkeys):
    head, _, checkpoint = text.partition("\n\n")
    lines = head.splitlines()
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    entry = base64.b64decode(lines[1].removeprefix("extra "), validate=True)
    index = int(lines[2].removeprefix("index "))
    hashes = [base64.b64decode(line, validate=True) for line in lines[3:]]
    origin, size, root = open_checkpoint(checkpoint, vkeys)
    # RFC 9162, section 2.1.3.2
    fn, sn, r = index, size - 1, leaf(entry)
    assert index < size
    for p in hashes:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and r == root, "the proof does not hold"
    print(f"{origin}: entry {index} of {size} holds: {entry.decode()}")


def reference():
    leaves = [leaf(str(i).encode()) for i in range(65_537)]
    roots = {n: mth(leaves[:n]).hex() for n in
             [*range(0, 20), 127, 128, 129, 255, 256, 257, 300, 511, 512, 513, 65_535, 65_536, 65_537]}
    inclusion = [[m, n, [h.hex() for h in path(m, leaves[:n])]] for m, n in
                 [(0, 1), (0, 7), (3, 7), (6, 7), (255, 256), (0, 257), (256, 257), (299, 300),
                  (255, 65_536), (65_536, 65_537), (65_535, 65_537)]]
    consistency = [[m, n, [h.hex() for h in subproof(m, leaves[:n], True)]] for m, n in
                   [(1, 7), (4, 7), (6, 7), (7, 7), (255, 257), (256, 257), (300, 65_537),
                    (65_535, 65_536), (65_536, 65_537)]]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"entries": "the decimal numbers from 0 on", "roots": roots,
                               "inclusion": inclusion, "consistency": consistency}) + "\n")


def main():
    if len(sys.argv) < 3:
        reference()
    elif sys.argv[1] == "check":
        check(pathlib.Path(sys.argv[2]), sys.argv[3:])
    else:
        check_proof(pathlib.Path(sys.argv[2]).read_text(), sys.argv[3:])


if __name__ == "__main__":
    main()
