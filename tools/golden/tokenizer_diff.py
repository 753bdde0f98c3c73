#!/usr/bin/env python3
"""Compares `lantern tokenize` with Hugging Face tokenizers on megabytes of text.

    python tools/golden/tokenizer_diff.py [--lantern build/release/lantern] [--megabytes N]
                                          [--model FILE.gguf] [--text FILE]

For every tokenizer of src/text/testdata/tokenizers/ that GGUF can express a vocabulary file is
made, so this is the way a user's text takes: GGUF metadata, token types, scores where the
original has merges. The text is half Python's documentation in pieces, half random characters of
every category, white space, digits, contractions and look-alikes of special tokens. With --model
a real file's vocabulary is compared too; --text replaces the made text.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import gguf
from tokenizers import AddedToken, Tokenizer

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "src/text/testdata/tokenizers"
CHUNK = 200_000
FRAGMENTS = ["'s", "'S", "'ll", "'LL", "'Ve", "'\u017f", "don't", "I'VE", "\r\n", "\n", "\n\n", "  ", "   ", "\t\t", "//", "/\r\n",
             "1234567", "12 345", "٣٤٥", "½Ⅷ²", "👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "\u0301", "ǅ", "ʰ", "日本語", "ไทย", "한국어", "\u1100\u1161\u11a8",
             "<|im_start|>", "<|end|>", "<s>", "</s>", "<0x41>", "▁", "▁▁", "HELLO", "CamelCase", "http://x.y/z?q=1#", "...", "a" * 50, "ab" * 40]


def made_text(n_bytes):
    from pydoc_data import topics
    rng = random.Random(11)
    prose = "".join(topics.topics[k] for k in sorted(topics.topics))
    # Characters that are new in Unicode 17 are numbers to one library and nothing to the other.
    known = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    by_category = {}
    for c in known:
        by_category.setdefault(unicodedata.category(c), []).append(c)
    categories = sorted(by_category)
    parts, size = [], 0
    while size < n_bytes:
        x = rng.random()
        if x < 0.05:
            start = rng.randrange(len(prose))
            part = prose[start:start + rng.randint(50, 400)]
        elif x < 0.35:
            part = rng.choice(FRAGMENTS)
        elif x < 0.6:
            part = rng.choice(" \t\u00a0\u2003\u3000\r\n\u0085\u2028\u200b\u200d") * rng.choice([1, 1, 1, 2, 3])
        elif x < 0.75:
            part = chr(rng.randint(32, 126))
        else:
            part = rng.choice(by_category[rng.choice(categories)])
        parts.append(part)
        size += len(part.encode())
    return "".join(parts)


def write_gguf(path, name, t, scores):
    vocab = t.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    added = t.get_added_tokens_decoder()
    kinds = []
    for i, token in enumerate(tokens):
        if i in added:
            kinds.append(gguf.TokenType.CONTROL if added[i].special else gguf.TokenType.USER_DEFINED)
        else:
            kinds.append(gguf.TokenType.NORMAL)
        if scores and len(token) == 6 and token.startswith("<0x"):
            kinds[-1] = gguf.TokenType.BYTE
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("llama" if scores else "gpt2")
    writer.add_tokenizer_pre("default" if scores else name)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    if scores:
        writer.add_token_scores(scores)
        writer.add_unk_token_id(vocab["<unk>"])
        writer.add_add_space_prefix(name == "llama")
    else:
        merges = json.loads(t.to_str())["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def tokenizer_of_gguf(path):
    """The real file's vocabulary in Hugging Face's library; byte-level ones only."""
    reader = gguf.GGUFReader(path)

    def field(key):
        return reader.fields[f"tokenizer.ggml.{key}"].contents()

    tokens, kinds, pre = field("tokens"), field("token_type"), field("pre")
    base = json.loads((DATA / f"{pre}.json").read_text())
    base["model"].update(vocab={x: i for i, x in enumerate(tokens)}, merges=list(field("merges")))
    base["added_tokens"] = []
    t = Tokenizer.from_str(json.dumps(base))
    t.add_special_tokens([AddedToken(x, special=True, normalized=False)
                          for x, kind in zip(tokens, kinds) if kind == gguf.TokenType.CONTROL])
    return t


def compare(lantern, name, path, t, text):
    t.encode_special_tokens = True
    n_tokens = 0
    for start in range(0, len(text), CHUNK):
        chunk = text[start:start + CHUNK].rstrip("\r\n")
        run = subprocess.run([lantern, "tokenize", str(path)], input=chunk.encode(), capture_output=True)
        if run.returncode != 0:
            print(f"{name}: {run.stderr.decode()}", file=sys.stderr)
            return False
        got = [int(x) for x in run.stdout.decode().replace(",", " ").split()]
        want = t.encode(chunk, add_special_tokens=False).ids
        n_tokens += len(want)
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            before = t.decode(want[max(0, at - 10):at])
            print(f"{name}: token {at} of the chunk at {start}, after {ascii(before)}: got "
                  f"{[t.id_to_token(i) for i in got[at:at + 5]]}, want {[t.id_to_token(i) for i in want[at:at + 5]]}",
                  file=sys.stderr)
            return False
    print(f"{name}: {len(text.encode()) / 1e6:.1f} MB, {n_tokens} tokens, equal")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lantern", default=str(ROOT / "build/release/lantern"))
    parser.add_argument("--megabytes", type=float, default=2)
    parser.add_argument("--model")
    parser.add_argument("--text")
    arguments = parser.parse_args()
    text = (pathlib.Path(arguments.text).read_text(encoding="utf-8") if arguments.text
            else made_text(int(arguments.megabytes * 1e6)))
    expected = json.loads((DATA / "expected.json").read_text())["models"]
    same = True
    with tempfile.TemporaryDirectory() as folder:
        for name in ("gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o", "llama", "gemma"):
            t = Tokenizer.from_file(str(DATA / f"{name}.json"))
            path = pathlib.Path(folder) / f"{name}.gguf"
            write_gguf(path, name, t, expected[name].get("scores"))
            same &= compare(arguments.lantern, name, path, t, text)
    if arguments.model:
        same &= compare(arguments.lantern, arguments.model, arguments.model, tokenizer_of_gguf(arguments.model), text)
    return 0 if same else 1


sys.exit(main())
