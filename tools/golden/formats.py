#!/usr/bin/env python3
"""Makes the file-format references of src/format/testdata/ with the formats' own Python packages
(gguf, safetensors, transformers, zipfile, numpy), and what those packages say of them as JSON.

    tools/golden/formats.py            writes the files anew
    tools/golden/formats.py --check FILE.gguf     prints what the gguf package reads in FILE
"""

import argparse
import io
import json
import pathlib
import shutil
import zipfile

import gguf
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "src/format/testdata"
V = gguf.GGUFValueType
Q = gguf.GGMLQuantizationType

# Keys in the order of their bytes, which is the order in which Lantern writes them.
ENTRIES = [
    ("general.architecture", "llama", V.STRING, None),
    ("general.license", "apache-2.0", V.STRING, None),
    ("llama.block_count", 2, V.UINT32, None),
    ("test.array.bool", [True, False, True], V.ARRAY, V.BOOL),
    ("test.array.f32", [0.5, -1.25, 3e38], V.ARRAY, V.FLOAT32),
    ("test.array.f64", [0.1, -1e300], V.ARRAY, V.FLOAT64),
    ("test.array.i16", [-32768, 32767], V.ARRAY, V.INT16),
    ("test.array.i32", [-2147483648, 2147483647], V.ARRAY, V.INT32),
    ("test.array.i64", [-(2**63), 2**63 - 1], V.ARRAY, V.INT64),
    ("test.array.i8", [-128, 127], V.ARRAY, V.INT8),
    ("test.array.string", ["", "a", "größe", "火", "x" * 300], V.ARRAY, V.STRING),
    ("test.array.u16", [0, 65535], V.ARRAY, V.UINT16),
    ("test.array.u32", [0, 4294967295], V.ARRAY, V.UINT32),
    ("test.array.u64", [0, 2**64 - 1], V.ARRAY, V.UINT64),
    ("test.array.u8", [0, 255], V.ARRAY, V.UINT8),
    ("test.bool", True, V.BOOL, None),
    ("test.f32", 1e-05, V.FLOAT32, None),
    ("test.f64", 1e-05, V.FLOAT64, None),
    ("test.i16", -300, V.INT16, None),
    ("test.i32", -70000, V.INT32, None),
    ("test.i64", -(2**40), V.INT64, None),
    ("test.i8", -5, V.INT8, None),
    ("test.string", "größe 火\n", V.STRING, None),
    ("test.u16", 300, V.UINT16, None),
    ("test.u32", 70000, V.UINT32, None),
    ("test.u64", 2**40, V.UINT64, None),
    ("test.u8", 5, V.UINT8, None),
]


def plain(value):
    """Floats as their shortest text, so that JSON keeps every bit."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return value


def describe_gguf(path):
    """What the gguf package says of a file."""
    reader = gguf.GGUFReader(path)
    keys = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        is_array = field.types[0] == V.ARRAY
        kind = field.types[-1] if not is_array else (field.types[1] if len(field.types) > 1 else None)
        keys[name] = {
            "array": is_array,
            "type": None if kind is None else int(kind),
            "value": plain(field.contents()),
        }
    tensors = {
        t.name: {
            "type": int(t.tensor_type),
            "shape": [int(n) for n in reversed(t.shape)],
            "bytes": int(t.n_bytes),
            "offset": int(t.data_offset),
            "first": int(t.data.tobytes()[0]),
            "last": int(t.data.tobytes()[-1]),
        }
        for t in reader.tensors
    }
    return {"keys": keys, "tensors": tensors}


def add_entries(writer, entries):
    for key, value, kind, element in entries:
        if key != "general.architecture":  # the writer puts that first itself
            writer.add_key_value(key, value, kind, sub_type=element)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors():
    rng = np.random.default_rng(7)
    yield "token_embd.weight", rng.integers(0, 256, (3, 18), dtype=np.uint8), Q.Q4_0
    yield "blk.0.attn_norm.weight", rng.standard_normal(5, dtype=np.float32), None
    yield "blk.0.attn_q.weight", rng.integers(0, 256, (4, 2 * 20), dtype=np.uint8), Q.Q4_1
    yield "blk.0.ffn_gate_exps.weight", rng.standard_normal((2, 3, 4)).astype(np.float16), None
    yield "blk.0.ffn_down.weight", rng.integers(0, 256, (2, 144), dtype=np.uint8), Q.Q4_K
    yield "output.weight", rng.integers(0, 256, (2, 34), dtype=np.uint8), Q.Q8_0


def write_gguf():
    path = OUT / "all_types.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    add_entries(writer, ENTRIES)
    for name, data, kind in tensors():
        writer.add_tensor(name, data, raw_dtype=kind)
    finish(writer)
    (OUT / "all_types.json").write_text(json.dumps(describe_gguf(path), indent=1, ensure_ascii=False) + "\n")
    # Versions 2 and 3 differ in that number alone, for little-endian files.
    data = bytearray(path.read_bytes())
    data[4] = 2
    (OUT / "version2.gguf").write_bytes(data)

    folder = OUT / "split"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama", split_max_tensors=2)
    add_entries(writer, ENTRIES[:3])
    for name, data, kind in tensors():
        writer.add_tensor(name, data, raw_dtype=kind)
    finish(writer)


def write_huggingface():
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    save_file(
        {
            "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
            "b": torch.arange(4, dtype=torch.bfloat16),
            "c.scalar": torch.tensor(1.5, dtype=torch.float16),
            "d.empty": torch.zeros((0, 4), dtype=torch.float32),
        },
        OUT / "small.safetensors",
        metadata={"format": "pt", "note": "größe"},
    )
    folder = OUT / "hf"
    shutil.rmtree(folder, ignore_errors=True)
    config = LlamaConfig(
        vocab_size=24, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size="1KB")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "bos_token": {"content": "<s>", "lstrip": False},
                "eos_token": "</s>",
                "chat_template": [
                    {"name": "default", "template": "{{ messages }}"},
                    {"name": "tool_use", "template": "{{ tools }}"},
                ],
            }
        )
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"unk_token": {"content": "<unk>"}}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("---\nlibrary_name: transformers\nlicense: apache-2.0\n---\n# A model\n")
    (folder / "LICENSE").write_text("the licence\n")


class Unseekable(io.RawIOBase):
    """Makes zipfile write data descriptors, as it does to a pipe."""

    def __init__(self):
        self.bytes = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.bytes += data
        return len(data)


def write_zip():
    date = (2026, 1, 2, 3, 4, 6)
    text = b"the same line again and again\n" * 200

    def info(name, method):
        i = zipfile.ZipInfo(name, date)
        i.compress_type = method
        return i

    with zipfile.ZipFile(OUT / "plain.zip", "w") as z:
        z.writestr(info("folder/", zipfile.ZIP_STORED), b"")
        z.writestr(info("folder/stored.txt", zipfile.ZIP_STORED), b"stored")
        z.writestr(info("deflated.txt", zipfile.ZIP_DEFLATED), text)
        z.writestr(info("empty", zipfile.ZIP_STORED), b"")
        z.writestr(info("größe.txt", zipfile.ZIP_DEFLATED), "größe".encode())
        z.comment = b"a comment"
    with zipfile.ZipFile(OUT / "zip64.zip", "w") as z:
        with z.open(info("large.txt", zipfile.ZIP_DEFLATED), "w", force_zip64=True) as f:
            f.write(text)
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w") as z:
        z.writestr(info("streamed.txt", zipfile.ZIP_DEFLATED), text)
        z.writestr(info("second.txt", zipfile.ZIP_STORED), b"second")
    (OUT / "streamed.zip").write_bytes(stream.bytes)
    with zipfile.ZipFile(OUT / "bzip2.zip", "w") as z:
        z.writestr(info("b.txt", zipfile.ZIP_BZIP2), text)


def hostile(data, at, new):
    return data[:at] + new + data[at + len(new):]


def write_corpora():
    """Seeds of the fuzz targets: the references, and some of them with one number changed."""
    largest = b"\xff" * 8
    corpora = {
        "gguf": ["all_types.gguf", "version2.gguf", "split/model-00001-of-00003.gguf"],
        "safetensors": ["small.safetensors", "hf/model-00001-of-00002.safetensors"],
        "zip": ["plain.zip", "streamed.zip", "zip64.zip", "bzip2.zip"],
    }
    for name, files in corpora.items():
        folder = ROOT / "fuzz/corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / pathlib.Path(file).stem).write_bytes((OUT / file).read_bytes())

    data = (OUT / "all_types.gguf").read_bytes()
    folder = ROOT / "fuzz/corpus/gguf"
    (folder / "hostile_tensor_count").write_bytes(hostile(data, 8, largest))
    (folder / "hostile_key_count").write_bytes(hostile(data, 16, largest))
    (folder / "hostile_key_length").write_bytes(hostile(data, 24, largest))
    name = data.index(b"blk.0.attn_norm.weight") + len(b"blk.0.attn_norm.weight")
    (folder / "hostile_dimension_count").write_bytes(hostile(data, name, b"\xff" * 4))
    (folder / "hostile_dimension").write_bytes(hostile(data, name + 4, largest))
    (folder / "hostile_type").write_bytes(hostile(data, name + 12, b"\x10"))
    (folder / "hostile_offset").write_bytes(hostile(data, name + 16, largest))

    data = (OUT / "small.safetensors").read_bytes()
    folder = ROOT / "fuzz/corpus/safetensors"
    (folder / "hostile_header_length").write_bytes(hostile(data, 0, largest))
    (folder / "hostile_overlap").write_bytes(data.replace(b"[0,24]", b"[8,32]"))

    data = (OUT / "plain.zip").read_bytes()
    folder = ROOT / "fuzz/corpus/zip"
    end = data.rindex(b"PK\x05\x06")
    (folder / "hostile_entry_count").write_bytes(hostile(data, end + 8, b"\xff" * 4))
    (folder / "hostile_directory").write_bytes(hostile(data, end + 16, b"\xff" * 4))
    (folder / "hostile_stream").write_bytes(hostile(data, data.index(b"deflated.txt") + 14, b"\xff" * 4))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="FILE.gguf")
    a = parser.parse_args()
    if a.check:
        print(json.dumps(describe_gguf(a.check), indent=1, ensure_ascii=False))
        return
    OUT.mkdir(exist_ok=True)
    write_gguf()
    write_huggingface()
    write_zip()
    write_corpora()
    np.save(OUT / "matrix.npy", np.arange(15, dtype=np.float32).reshape(3, 5) / 4)


if __name__ == "__main__":
    main()
