"""Writes src/quant/testdata/quants.bin: random blocks of every type and what the `gguf`
package (0.19.0) decodes them to, and values with what it encodes them to.

File: records until the end, little-endian:
  u32 kind (0 decode, 1 encode), u32 type id, u32 n_blocks, blocks, n_blocks * block_size float32
"""

import struct
import sys
import warnings
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

TYPES = [T.F32, T.F16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K,
         T.Q6_K, T.IQ4_NL, T.IQ4_XS, T.BF16, T.MXFP4]
# Byte offsets of the binary16 fields of a block.
HALVES = {T.F16: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
          T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
          T.IQ4_NL: [0], T.IQ4_XS: [0]}
ENCODED = [T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1]
# Zeros of both signs, the subnormals' ends, the largest values, ordinary ones.
SCALES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x2E66, 0xA123]


def random_blocks(rng, kind, n):
    size, width = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n, width), dtype=np.uint8)
    for offset in HALVES.get(kind, []):
        scales = np.resize(rng.permutation(np.array(SCALES, np.uint16)), n)
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(n, 2)
    if kind == T.F32:
        blocks = rng.normal(size=(n, 1)).astype(np.float32).view(np.uint8)
    if kind == T.MXFP4:
        blocks[:6, 0] = [0, 1, 2, 127, 253, 254]
    if kind == T.BF16:
        blocks[:, 1] &= 0xBF  # finite
    return blocks


def encode_values(rng, size):
    rows = [rng.normal(size=size) * scale for scale in (1, 1e-3, 30, 1e-7, 1e4)]
    rows.append(np.zeros(size))
    rows.append(np.full(size, -2.5))
    rows.append(np.arange(size) - size / 2 + 0.5)  # ties
    rows.append(np.where(np.arange(size) % 2, 1.0, -1.0))
    rows.append(np.arange(size) / 127.0)
    return np.array(rows, np.float32)


def main():
    rng = np.random.default_rng(20261122)
    out = bytearray()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for kind in TYPES:
            size, width = GGML_QUANT_SIZES[kind]
            n = 8 if size == 256 else 16 if size == 32 else 40
            blocks = random_blocks(rng, kind, n)
            values = dequantize(blocks, kind).astype(np.float32)
            out += struct.pack("<III", 0, kind.value, n) + blocks.tobytes() + values.tobytes()
        for kind in ENCODED:
            size, width = GGML_QUANT_SIZES[kind]
            values = encode_values(rng, 32)
            blocks = quantize(values, kind)
            n = values.size // size
            assert blocks.nbytes == n * width
            out += struct.pack("<III", 1, kind.value, n) + blocks.tobytes() + values.tobytes()
    path = Path(__file__).resolve().parents[2] / "src/quant/testdata/quants.bin"
    path.write_bytes(out)
    print(f"{path}: {len(out)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
