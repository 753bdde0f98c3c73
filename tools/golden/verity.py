"""fs-verity digests by the reference implementation, the command fsverity of fsverity-utils.

Writes src/supply/testdata/verity.json: a file of `bytes` bytes, byte i being the highest of the
32-bit product i * 2654435761, has `digest` (SHA-256, blocks of 4096, no salt).
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

OUT = pathlib.Path(__file__).resolve().parents[2] / "src/supply/testdata/verity.json"
BLOCK = 4096
LEVEL = 128 * BLOCK  # what one block of hashes covers
# Around every size at which the tree gains a block or a level.
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 5]
SIZES += [LEVEL - 1, LEVEL, LEVEL + 1, 2 * LEVEL, 2 * LEVEL + 1, 5 * LEVEL + 777]
SIZES += [128 * LEVEL, 128 * LEVEL + 1]


def digest(content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        done = subprocess.run(
            ["fsverity", "digest", "--compact", "--hash-alg=sha256", "--block-size=4096", file.name],
            check=True, capture_output=True, text=True,
        )
    return done.stdout.strip()


def main():
    numbers = numpy.arange(max(SIZES), dtype=numpy.uint32) * numpy.uint32(2654435761)
    content = (numbers >> 24).astype(numpy.uint8).tobytes()
    try:
        cases = [{"bytes": n, "digest": digest(content[:n])} for n in SIZES]
    except FileNotFoundError:
        sys.exit("fsverity: not found: install the package fsverity")
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


main()
