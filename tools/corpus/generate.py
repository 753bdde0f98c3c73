#!/usr/bin/env python3
"""Makes the corpus that the scanners are measured on: malicious and benign model files of every
format, from Python's standard library alone and the same bytes every time. Nothing is ever run:
payloads are written as opcodes, and templates are text.

    generate.py --json FILE      one line a sample: [name, "malicious"|"benign", base64]
    generate.py --files FOLDER   the same as files, FOLDER/malicious/... and FOLDER/benign/...
"""

import argparse
import base64
import bz2
import gzip
import io
import json
import lzma
import pathlib
import struct
import tarfile
import zipfile
import zlib

from pickles import BENIGN_PICKLES, MALICIOUS_PICKLES, broken, nested, torch_state
from templates import BENIGN_TEMPLATES, MALICIOUS_TEMPLATES


def zip_of(entries, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, data)
    return out.getvalue()


def tar_of(entries, mode="w", links=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            t.addfile(info)
    return gzip.compress(out.getvalue(), mtime=0) if mode == "w:gz" else out.getvalue()


def npy(payload=None, descr="'<f4'", shape="(4,)", version=1):
    header = ("{'descr': %s, 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
    size = 2 if version == 1 else 4
    header += b" " * (64 - (8 + size + len(header) + 1) % 64) + b"\n"
    start = b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(size, "little") + header
    return start + (payload if payload is not None else bytes(16))


def torch_zip(pickle_bytes, prefix="archive", method=zipfile.ZIP_STORED):
    return zip_of([(f"{prefix}/data.pkl", pickle_bytes), (f"{prefix}/byteorder", b"little"),
                   (f"{prefix}/data/0", bytes(range(64))), (f"{prefix}/version", b"3\n")], method)


def torch_legacy(pickle_bytes):
    magic = b"\x80\x02\x8a\x0a" + bytes.fromhex("6cfc9c46f9206aa85019") + b"."
    return (magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}q\x00X\x0d\x00\x00\x00little_endianq\x01\x88s." +
            pickle_bytes + b"\x80\x02]q\x00X\x01\x00\x00\x000q\x01a." + struct.pack("<Q", 4) + bytes(16))


# --- GGUF and safetensors


def gguf_string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def gguf(strings, version=3):
    out = b"GGUF" + struct.pack("<IQQ", version, 1, len(strings))
    for key, value in strings:
        out += gguf_string(key) + struct.pack("<I", 8) + gguf_string(value)
    out += gguf_string("token_embd.weight") + struct.pack("<IQIQ", 1, 32, 0, 0)
    return out + bytes(-len(out) % 32) + bytes(128)


def safetensors(metadata):
    header = {"__metadata__": metadata} if metadata else {}
    header["w"] = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(16)


# --- protocol buffers


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def saved_model(ops, in_function=False):
    nodes = [field(1, f"node{i}") + field(2, op) for i, op in enumerate(ops)]
    if in_function:
        signature = field(1, field(1, "f"))
        graph = field(1, field(1, "x") + field(2, "Placeholder"))
        graph += field(2, field(1, signature + b"".join(field(3, n) for n in nodes)))
    else:
        graph = b"".join(field(1, n) for n in nodes)
    return field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, graph))


def frozen_graph(ops):
    return b"".join(field(1, field(1, f"node{i}") + field(2, op)) for i, op in enumerate(ops))


def onnx(ops=("Relu",), domain="", location=None):
    graph = b"".join(field(1, field(1, "x") + field(2, "y") + field(4, op) +
                           (field(7, domain) if domain else b"")) for op in ops)
    graph += field(2, "graph")
    if location is not None:
        entry = field(1, "location") + field(2, location)
        graph += field(5, field(1, 4) + field(2, 1) + field(8, "w") + field(13, entry) + field(14, 1))
    return (field(1, 8) + field(2, "pytorch") + field(3, "2.0") + field(7, graph) +
            field(8, field(1, "") + field(2, 17)))


# --- Keras

DENSE = {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
         "config": {"name": "dense", "units": 4, "activation": "relu",
                    "kernel_initializer": {"module": "keras.initializers", "registered_name": None,
                                           "class_name": "GlorotUniform", "config": {"seed": None}}}}


def keras_config(*layers):
    return json.dumps({"module": "keras", "class_name": "Sequential", "registered_name": None,
                       "config": {"name": "sequential", "layers": [DENSE, *layers]}})


def keras_zip(config):
    return zip_of([("metadata.json", b'{"keras_version": "3.8.0"}'), ("config.json", config.encode()),
                   ("model.weights.h5", hdf5(""))])


def hdf5(text):
    """A superblock, and the attribute's text in a heap as the library leaves it. Groups, which the
    scanner does not read, are missing."""
    superblock = b"\x89HDF\r\n\x1a\n" + bytes(8) + struct.pack("<HHI", 4, 16, 0) + bytes(72)
    heap = b"GCOL\x01\x00\x00\x00" + struct.pack("<QHHIQ", 4096, 1, 1, 0, len(text)) + text.encode()
    return superblock + b"\x00" * 64 + b"model_config\x00\x00\x00\x00" + heap + bytes(64)


CODE = base64.b64encode(b"\xe3" + bytes(20) + b"marshalled code" + bytes(20)).decode()
KERAS_ATTACKS = {
    "lambda_list": {"class_name": "Lambda", "config": {"name": "l", "function": [CODE, None, None],
                                                       "function_type": "lambda"}},
    "lambda_v3": {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
                  "config": {"function": {"class_name": "__lambda__", "config": {"code": CODE}}}},
    "lambda_source": {"class_name": "Lambda", "config": {"function": "lambda x: eval('1')"}},
    "os_system": {"module": "os", "class_name": "function", "config": "system",
                  "registered_name": "function"},
    "builtins_eval": {"module": "builtins", "class_name": "function", "config": "eval",
                      "registered_name": "eval"},
    "subprocess": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["id"]}},
    "get_file": {"module": "keras.utils", "class_name": "function", "config": "get_file",
                 "registered_name": "function"},
    "unsafe_switch": {"module": "keras.config", "class_name": "function",
                      "config": "enable_unsafe_deserialization", "registered_name": "function"},
    "torch_wrapper": {"module": "keras.layers", "class_name": "TorchModuleWrapper",
                      "config": {"module": base64.b64encode(b"\x80\x04.").decode()}},
    "runpy": {"module": "runpy", "class_name": "function", "config": "run_path",
              "registered_name": "function"},
}


def malicious():
    for name, data in MALICIOUS_PICKLES.items():
        yield f"pickle/{name}.pkl", data
    some = list(MALICIOUS_PICKLES.items())
    carriers = {
        "torch/{}.pt": torch_zip,
        "torch_deflated/{}.bin": lambda p: torch_zip(p, "model", zipfile.ZIP_DEFLATED),
        "torch_legacy/{}.pth": torch_legacy,
        "torch_tar/{}.tar": lambda p: tar_of([("sys_info", b"\x80\x02}."), ("pickle", p)]),
        "joblib_zlib/{}.joblib": lambda p: zlib.compress(p, 3),
        "joblib_gzip/{}.joblib.gz": lambda p: gzip.compress(p, mtime=0),
        "joblib_bz2/{}.joblib": bz2.compress,
        "joblib_xz/{}.joblib": lzma.compress,
        "joblib_lzma/{}.joblib": lambda p: lzma.compress(p, lzma.FORMAT_ALONE),
        "numpy/{}.npy": lambda p: npy(p, "'|O'"),
        "numpy_v2/{}.npy": lambda p: npy(p, "[('a', '<f4'), ('b', 'O')]", version=2),
        "npz/{}.npz": lambda p: zip_of([("w.npy", npy()), ("o.npy", npy(p, "'|O'"))], zipfile.ZIP_DEFLATED),
        "tar_gz/{}.tar.gz": lambda p: tar_of([("model/weights.txt", p)], "w:gz"),
        "zip_in_zip/{}.zip": lambda p: zip_of([("inner.dat", torch_zip(p))], zipfile.ZIP_DEFLATED),
        "nested_raw/{}.pkl": lambda p: nested(p, "raw"),
        "nested_base64/{}.pkl": lambda p: nested(p, "base64"),
        "nested_hex/{}.pkl": lambda p: nested(p, "hex"),
        "second/{}.pkl": lambda p: b"\x80\x04}\x94." + p,
        "broken_tail/{}.pkl": lambda p: broken(p),
        "zip_wrong_crc/{}.zip": lambda p: wrong_crc(torch_zip(p)),
        "zip_flag/{}.zip": lambda p: set_flag(torch_zip(p), 0x20),
        "zip_other_name/{}.zip": lambda p: other_name(torch_zip(p)),
        "zip_folder_name/{}.zip": lambda p: zip_of([("m/data.pkl_", p)]).replace(b"data.pkl_", b"data.pkl/"),
    }
    for i, (pattern, make) in enumerate(carriers.items()):
        for name, data in (some[(i * 3) % len(some)], some[(i * 5 + 7) % len(some)], some[(i * 7 + 2) % len(some)]):
            yield pattern.format(name), make(data)
    for i, (name, text) in enumerate(MALICIOUS_TEMPLATES.items()):
        yield f"template/{name}/chat_template.jinja", text.encode()
        if i % 3 == 0:
            yield f"template_gguf/{name}.gguf", gguf([("general.architecture", "llama"),
                                                      ("tokenizer.chat_template", text)])
        if i % 3 == 1:
            config = {"tokenizer_class": "X", "chat_template": [
                {"name": "default", "template": "{{ messages[0].content }}"},
                {"name": "tool_use", "template": text}]}
            yield f"template_config/{name}/tokenizer_config.json", json.dumps(config).encode()
        if i % 3 == 2:
            yield f"template_named/{name}.gguf", gguf([
                ("tokenizer.chat_template", "{{ messages[0].content }}"),
                ("tokenizer.chat_template.tool_use", text)])
            yield f"template_json/{name}/chat_template.json", json.dumps({"chat_template": text}).encode()
    for name, layer in KERAS_ATTACKS.items():
        yield f"keras/{name}.keras", keras_zip(keras_config(layer))
        yield f"keras_h5/{name}.h5", hdf5(keras_config(layer))
    for op in ("PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "MatchingFiles"):
        yield f"tensorflow/{op}/saved_model.pb", saved_model(["Const", "MatMul", op])
        yield f"tensorflow_function/{op}/saved_model.pb", saved_model(["Const", op], in_function=True)
        yield f"tensorflow_frozen/{op}.pb", frozen_graph(["Const", "Add", op])
    for i, location in enumerate(("../../etc/passwd", "/etc/shadow", "a/../../b", "C:\\x\\y")):
        yield f"onnx/external_{i}.onnx", onnx(location=location)
    yield "onnx/python_op.onnx", onnx(("Relu", "PyOp"), "ai.onnx.contrib")
    yield "archive/zip_slip.zip", zip_of([("../../../home/user/.bashrc", b"x")])
    yield "archive/zip_absolute.zip", zip_of([("/etc/cron.d/x", b"x")])
    yield "archive/tar_slip.tar", tar_of([("../../x", b"x")])
    yield "archive/tar_link.tar.gz", tar_of([("a", b"x")], "w:gz", [("model.bin", "../../../etc/passwd")])
    script = "def forward(self, x):\n  return torch.from_file(\"/etc/passwd\", True, 10)\n"
    yield "torchscript/from_file.pt", zip_of([("m/data.pkl", BENIGN_PICKLES["empty_dict"]),
                                              ("m/code/__torch__.py", "class M(Module):\n  __parameters__ = []\n  " + script)])


def wrong_crc(data):
    at = data.index(b"PK\x01\x02")
    return data[:14] + b"\xde\xad\xbe\xef" + data[18:at + 16] + b"\xde\xad\xbe\xef" + data[at + 20:]


def set_flag(data, flag):
    return data[:6] + bytes([data[6] | flag]) + data[7:]


def other_name(data):
    at = data.index(b"PK\x01\x02")
    return data[:at + 46] + b"x" + data[at + 47:]


def benign():
    for name, data in BENIGN_PICKLES.items():
        yield f"pickle/{name}.pkl", data
    some = list(BENIGN_PICKLES.items())
    carriers = {
        "torch/{}.pt": torch_zip,
        "torch_deflated/{}.bin": lambda p: torch_zip(p, "model", zipfile.ZIP_DEFLATED),
        "torch_legacy/{}.pth": torch_legacy,
        "torch_tar/{}.tar": lambda p: tar_of([("sys_info", b"\x80\x02}."), ("pickle", p)]),
        "joblib_zlib/{}.joblib": lambda p: zlib.compress(p, 3),
        "joblib_gzip/{}.joblib.gz": lambda p: gzip.compress(p, mtime=0),
        "joblib_xz/{}.joblib": lzma.compress,
        "numpy/{}.npy": lambda p: npy(p, "'|O'"),
        "npz/{}.npz": lambda p: zip_of([("w.npy", npy()), ("o.npy", npy(p, "'|O'"))], zipfile.ZIP_DEFLATED),
        "tar_gz/{}.tar.gz": lambda p: tar_of([("model/weights.txt", p)], "w:gz"),
        "nested_raw/{}.pkl": lambda p: nested(p, "raw"),
        "nested_base64/{}.pkl": lambda p: nested(p, "base64"),
    }
    for i, (pattern, make) in enumerate(carriers.items()):
        for j in range(4):
            name, data = some[(i * 3 + j * 5) % len(some)]
            yield pattern.format(name), make(data)
    for i, (name, text) in enumerate(BENIGN_TEMPLATES.items()):
        yield f"template/{name}/chat_template.jinja", text.encode()
        yield f"template_gguf/{name}.gguf", gguf([("general.architecture", "llama"),
                                                  ("tokenizer.chat_template", text)])
        if i % 2 == 0:
            yield f"template_config/{name}/tokenizer_config.json", json.dumps({"chat_template": text}).encode()
    texts = ["", "MIT", "import os; os.system('id')", "<script>alert(1)</script>", "__class__.__globals__",
             "see https://example.com/model", "cos\nsystem\n(S'id'\ntR.", "rm -rf / is a command"]
    for i, text in enumerate(texts):
        yield f"safetensors/{i}.safetensors", safetensors({"note": text} if text else None)
        yield f"gguf/{i}.gguf", gguf([("general.architecture", "llama"), ("general.description", text)])
    for i, (descr, shape) in enumerate((("'<f4'", "(4,)"), ("'<f8'", "(2,)"), ("'|u1'", "(16,)"), ("'<i4'", "(2, 2)"))):
        array = npy(bytes(16), descr, shape)
        yield f"numpy_numbers/{i}.npy", array
        yield f"npz_numbers/{i}.npz", zip_of([("a.npy", array), ("b.npy", array)], zipfile.ZIP_DEFLATED)
    harmless = {
        "dense": DENSE,
        "dropout": {"module": "keras.layers", "class_name": "Dropout", "config": {"rate": .5}},
        "named_lambda": {"class_name": "Lambda", "config": {"function": "scale", "function_type": "function"}},
        "custom": {"module": "my_package.layers", "class_name": "Attention", "registered_name": "my>Attention", "config": {}},
        "text": {"module": "keras.layers", "class_name": "Dense", "config": {"name": "Lambda os.system"}},
    }
    for name, layer in harmless.items():
        yield f"keras/{name}.keras", keras_zip(keras_config(layer))
        yield f"keras_h5/{name}.h5", hdf5(keras_config(layer))
    for i, ops in enumerate((["Const"], ["Const", "MatMul", "Relu"], ["SaveV2", "RestoreV2"], ["Print", "Assert"])):
        yield f"tensorflow/{i}/saved_model.pb", saved_model(ops)
        yield f"tensorflow_function/{i}/saved_model.pb", saved_model(ops, in_function=True)
        yield f"tensorflow_frozen/{i}.pb", frozen_graph(["Placeholder", *ops])
    for i, location in enumerate(("weights.bin", "data/w.bin", "model.onnx.data", "./weights.bin")):
        yield f"onnx/external_{i}.onnx", onnx(location=location)
    yield "onnx/plain.onnx", onnx(("Conv", "Relu", "MatMul"))
    yield "onnx/custom.onnx", onnx(("Relu", "MyOp"), "my.domain")
    configs = [{"model_type": "llama", "hidden_size": 64}, {"auto_map": {"AutoModel": "modeling_x.X"}},
               {"added_tokens": [{"id": 0, "content": "{{"}, {"id": 1, "content": "{%"}]},
               {"prompt": "Say __class__ and os.system('x')"}, [1, 2, 3], {"template": "Hello {{ name }}"},
               {"weight_map": {"a": "model-00001-of-00002.safetensors"}}, {"eos_token": "</s>"}]
    for i, config in enumerate(configs):
        yield f"json/{i}/config.json", json.dumps(config).encode()
    prose = ["# A model\n\n```bibtex\n@misc{x, title={{A Title}}, year={2024}}\n```\n",
             "# On attacks\n\nNever render `{{ ''.__class__ }}`.\n", "plain words\n", "a,b,c\n1,2,3\n",
             "license: apache-2.0\ntags:\n- text\n", "\\section{{X}} of LaTeX\n"]
    for i, text in enumerate(prose):
        yield f"text/{i}/README.md", text.encode()
    yield "python/modeling_x.py", b"import torch\n\nclass X(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
    yield "archive/weights.tar.gz", tar_of([("m/w.safetensors", safetensors({"a": "b"})), ("m/config.json", b"{}")], "w:gz")
    yield "archive/wheel.whl", zip_of([("pkg/__init__.py", b""), ("pkg/model.npy", npy())], zipfile.ZIP_DEFLATED)
    yield "archive/folders.zip", zip_of([("./", b""), ("./pkg/", b""), ("pkg/model.npy", npy())], zipfile.ZIP_DEFLATED)
    yield "torchscript/plain.pt", zip_of([("m/data.pkl", BENIGN_PICKLES["empty_dict"]), (
        "m/code/__torch__.py", "class M(Module):\n  __parameters__ = [\"w\"]\n  def forward(self, x):\n    return torch.add(x, 1)\n")])


def samples():
    seen = set()
    for label, made in (("malicious", malicious()), ("benign", benign())):
        for name, data in made:
            if (label, name) in seen:
                continue
            seen.add((label, name))
            yield name, label, data


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--files")
    options = parser.parse_args()
    lines = []
    for name, label, data in samples():
        if options.files:
            path = pathlib.Path(options.files) / label / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        lines.append(json.dumps([name, label, base64.b64encode(data).decode()], separators=(",", ":")))
    if options.json:
        pathlib.Path(options.json).write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
