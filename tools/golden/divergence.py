#!/usr/bin/env python3
"""How far Lantern's quantized arithmetic is from float32: mean KL divergence and top-1 agreement.

    tools/golden/divergence.py --model SmolLM2.gguf [--lantern build/release/lantern] [--kv f16]

The text (tests/data/prose.txt) is cut into windows of 512 tokens, 2,000 tokens in all. Reference:
transformers in float32 over the dequantized weights, which it reads from the GGUF file itself.
Exit 1 above 0.002 of KL divergence or below 97.5 % of agreement.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--lantern", default=str(ROOT / "build/release/lantern"))
    parser.add_argument("--kv", default="f16")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--window", type=int, default=512)
    a = parser.parse_args()

    text = (ROOT / "tests/data/prose.txt").read_text()
    ids = subprocess.run([a.lantern, "tokenize", a.model], input=text, check=True,
                         capture_output=True, text=True).stdout
    ids = [int(i) for i in ids.split(",")][: a.tokens]
    print(f"{len(ids)} tokens in windows of {a.window}", file=sys.stderr)
    folder, name = os.path.split(os.path.abspath(a.model))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    model.eval()

    divergence, agree = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for first in range(0, len(ids), a.window):
            window = ids[first : first + a.window]
            out = f"{scratch}/logits.npy"
            subprocess.run([a.lantern, "logits", a.model, "--tokens", ",".join(map(str, window)),
                            "--kv", a.kv, "--out", out], check=True)
            ours = log_softmax(np.load(out))
            with torch.no_grad():
                theirs = log_softmax(model(torch.tensor([window])).logits[0].numpy())
            divergence.append((np.exp(theirs) * (theirs - ours)).sum(axis=-1))
            agree.append(theirs.argmax(axis=-1) == ours.argmax(axis=-1))
    divergence, agree = np.concatenate(divergence), np.concatenate(agree)
    print(f"KL divergence: mean {divergence.mean():.5f}, p99 {np.quantile(divergence, 0.99):.4f}; "
          f"top-1 agreement {100 * agree.mean():.2f} % of {len(agree)}")
    sys.exit(1 if divergence.mean() > 0.002 or agree.mean() < 0.975 else 0)


if __name__ == "__main__":
    main()
