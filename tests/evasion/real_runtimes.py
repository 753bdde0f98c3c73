#!/usr/bin/env python3
"""Recall of `lantern scan` on runtimes as their makers ship them (PyPI), and its false positives on programs that people have.

    tests/evasion/run                     makes the environment, then runs this
    real_runtimes.py [--lantern FILE] [--bystanders-only]

Every runtime loads a model with random weights and computes a token, by a mapping and by reading, as it is and hidden:
its interpreter renamed, its libraries renamed and stripped, the model without an ending or deleted since. Bystanders are
a compiler, databases, a browser, numpy and git at work. A program that is not on this machine is left out and said so.
Exit 1 where recall is under the bounds of the specification or a bystander raises an alert.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITE = pathlib.Path(np.__file__).parents[1]

READY = "import sys; print('ready', flush=True); sys.stdin.read()"
LLAMA_CPP = """
from llama_cpp import Llama
model = Llama({model!r}, n_ctx=64, n_threads=1, verbose=False, use_mmap={mapped})
model("hello", max_tokens=1)
"""
XLLAMACPP = """
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.n_parallel = {model!r}, 64, 1
parameters.load_mode = getattr(xllamacpp.llama_load_mode, "LLAMA_LOAD_MODE_" + ("MMAP" if {mapped} else "NONE"))
server = xllamacpp.Server(parameters)
"""
GPT4ALL = """
import os
from gpt4all import GPT4All
model = GPT4All(os.path.basename({model!r}), model_path=os.path.dirname({model!r}), allow_download=False, device="cpu", n_ctx=64)
model.generate("a", max_tokens=1)
"""
CTRANSFORMERS = """
from ctransformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({model!r}, model_type={kind!r}, local_files_only=True, mmap={mapped}, threads=1)
model("hello", max_new_tokens=1)
"""
ONNXRUNTIME = """
import numpy, onnxruntime
session = onnxruntime.InferenceSession({model!r})
session.run(None, {{"x": numpy.zeros((1, 2048), numpy.float32)}})
"""


def message(*fields):
    """A protobuf message of (number, value): numbers as varints, the rest as bytes."""

    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def write_onnx(path):
    """y = x W, with a W of 16 MiB (onnx.proto3: ModelProto, GraphProto, TensorProto)."""

    def tensor_type(columns):
        shape = message((1, message((1, 1))), (1, message((1, columns))))
        return message((1, message((1, 1), (2, shape))))

    weights = np.random.default_rng(1).standard_normal((2048, 2048), np.float32).tobytes()
    graph = message(
        (1, message((1, "x"), (1, "w"), (2, "y"), (4, "MatMul"))),
        (2, "random"),
        (5, message((1, 2048), (1, 2048), (2, 1), (8, "w"), (9, weights))),
        (11, message((1, "x"), (2, tensor_type(2048)))),
        (12, message((1, "y"), (2, tensor_type(2048)))),
    )
    path.write_bytes(message((1, 8), (2, "lantern test"), (7, graph), (8, message((1, ""), (2, 13)))))


def write_gpt2(path, n_vocab=8192, n_ctx=64, width=512, n_layers=1):
    """GPT-2 as ggml had it before GGUF (ggml/examples/gpt-2, 2023): parameters, tokens, tensors of 32-bit numbers."""
    rng = np.random.default_rng(2)
    with path.open("wb") as out:
        out.write(struct.pack("<I6i", 0x67676D6C, n_vocab, n_ctx, width, 8, n_layers, 0))
        out.write(struct.pack("<i", n_vocab))
        for i in range(n_vocab):
            token = chr(i + 32).encode() if i < 95 else f"w{i}".encode()
            out.write(struct.pack("<I", len(token)) + token)

        def tensor(name, *shape):
            out.write(struct.pack("<3i", len(shape), len(name), 0) + struct.pack(f"<{len(shape)}i", *reversed(shape)))
            out.write(name.encode() + (rng.standard_normal(shape, np.float32) * 0.02).tobytes())

        for name, *shape in [("ln_f/g", width), ("ln_f/b", width), ("wte", n_vocab, width), ("wpe", n_ctx, width)]:
            tensor(f"model/{name}", *shape)
        for i in range(n_layers):
            for name, *shape in [
                ("ln_1/g", width), ("ln_1/b", width), ("ln_2/g", width), ("ln_2/b", width),
                ("attn/c_attn/w", 3 * width, width), ("attn/c_attn/b", 3 * width),
                ("attn/c_proj/w", width, width), ("attn/c_proj/b", width),
                ("mlp/c_fc/w", 4 * width, width), ("mlp/c_fc/b", 4 * width),
                ("mlp/c_proj/w", width, 4 * width), ("mlp/c_proj/b", width),
            ]:  # fmt: skip
                tensor(f"model/h{i}/{name}", *shape)


def write_gguf(path):
    command = [sys.executable, ROOT / "tools/random_model.py", "--mix", "Q8_0", "--out", path]
    subprocess.run(command + "--width 256 --layers 2 --heads 4 --kv-heads 4 --ffn 512".split(), check=True)


class Process:
    """A program that says "ready" on its standard output and then waits for the end of its input."""

    def __init__(self, command, environment=None, timeout_s=120, folder=None):
        self.process = subprocess.Popen(
            [str(one) for one in command], env={**os.environ, **(environment or {})}, cwd=folder, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.pid = self.process.pid
        for line in self.process.stdout:
            if "ready" in line:
                return
        raise RuntimeError(f"it ended with {self.process.wait(timeout_s)}: {command[0]}")

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class Hidden:
    """The ways to start an interpreter that hide what it runs."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {"PYTHONHOME": sys.base_prefix, "PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1"}

    def interpreter(self, name):
        return shutil.copy(os.path.realpath(sys.executable), self.folder / name)

    def renamed_libraries(self):
        """The environment for llama_cpp with libraries that are renamed, in their own tables, too, and stripped."""
        new = self.folder / "hidden/llama_cpp"
        shutil.copytree(SITE / "llama_cpp", new)
        for path in sorted((new / "lib").iterdir()):
            target = path.name.replace("libllama", "libhelpr").replace("libggml", "libhlpr")
            if path.is_symlink():
                link = os.readlink(path).replace("libllama", "libhelpr").replace("libggml", "libhlpr")
                path.unlink()
                (path.parent / target).symlink_to(link)
                continue
            code = path.read_bytes().replace(b"libllama", b"libhelpr").replace(b"libggml", b"libhlpr")
            path.unlink()
            (path.parent / target).write_bytes(code)
            subprocess.run(["strip", "--strip-unneeded", path.parent / target], check=True)
        for file, before, after in (("llama_cpp.py", '"llama"', '"helpr"'), ("_ggml.py", '"ggml"', '"hlpr"')):
            text = (new / file).read_text()
            assert before in text, f"{file} has changed"
            (new / file).write_text(text.replace(before, after))
        return {"PYTHONPATH": f"{new.parent}:{SITE}"}


def runtimes(folder):
    """(name, ways, code, model, deleted, how it is started)."""
    hidden = Hidden(folder)
    gguf, old, onnx, gguf2 = (folder / name for name in ("model.gguf", "old.bin", "model.onnx", "second.gguf"))
    write_gguf(gguf)
    write_gpt2(old)
    write_onnx(onnx)
    gguf2.write_bytes(gguf.read_bytes()[:4] + struct.pack("<I", 2) + gguf.read_bytes()[8:])  # version 2 is all that it knows
    renamed_libraries = hidden.renamed_libraries()
    can_unshare = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], stderr=subprocess.DEVNULL).returncode == 0
    if not can_unshare:
        print("  without namespaces of its own: unshare(1) is not allowed here")
    n = 0

    def case(name, code, model, mapped, program="as it is", file="named", place="here", **fields):
        nonlocal n
        n += 1
        path = model
        if file != "named":
            path = folder / f"blob{n}{'.gguf' if name == 'gpt4all' else ''}"
            os.link(model, path)
        python = sys.executable if program == "as it is" else hidden.interpreter(f"worker-{n}")
        text = code.format(model=str(path), mapped=mapped, **fields) + READY
        environment = {} if program == "as it is" else hidden.environment
        apart = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"] if place != "here" else []
        process = Process([*apart, python, "-c", text], environment | (renamed_libraries if "stripped" in program else {}))
        if file == "deleted":
            path.unlink()
        return name, [program, file + " file", "mapped" if mapped else "read", place], process

    for program in ("as it is", "renamed", "renamed and stripped"):
        for file in ("named", "nameless", "deleted"):
            for mapped in (True, False):
                yield case("llama-cpp-python", LLAMA_CPP, gguf, mapped, program, file)
                if can_unshare:
                    yield case("llama-cpp-python", LLAMA_CPP, gguf, mapped, program, file, "other namespaces")
    for program in ("as it is", "renamed"):
        for mapped in (True, False):
            for file in ("named", "nameless", "deleted"):
                yield case("xllamacpp", XLLAMACPP, gguf, mapped, program, file)
            yield case("ctransformers", CTRANSFORMERS, gguf2, mapped, program, kind="llama")
        yield case("ctransformers, before GGUF", CTRANSFORMERS, old, False, program, kind="gpt2")
        yield case("gpt4all", GPT4ALL, gguf, True, program)
        yield case("gpt4all", GPT4ALL, gguf, True, program, "deleted")
        yield case("onnxruntime", ONNXRUNTIME, onnx, False, program)


def have(program):
    return shutil.which(program) is not None


def bystanders(folder):
    """(name, process); None for a process: it is not on this machine."""
    big = folder / "big.bin"
    big.write_bytes(os.urandom(64 << 20))

    source = folder / "big.cc"
    source.write_text("#include <map>\n#include <regex>\n#include <string>\n" + "".join(
        f"std::map<std::string, std::pair<int, std::regex>> f{i}() {{ return {{{{\"general.architecture\", {{{i}, std::regex(\"a*\")}}}}}}; }}\n"
        for i in range(400)))  # fmt: skip
    for name in ("g++", "clang++-19"):
        compiler = shutil.which(name)
        yield f"{name}, compiling", compiler and Process(
            ["sh", "-c", f"echo ready; while :; do {compiler} -O2 -c {source} -o {folder}/{name}.o; done"])

    database = folder / "big.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("create table t (id integer primary key, v blob)")
        connection.executemany("insert into t (v) values (?)", ((os.urandom(1 << 20),) for _ in range(100)))
        connection.commit()
    yield "sqlite, 100 MB mapped", Process([sys.executable, "-c", f"""
import sqlite3
c = sqlite3.connect({str(database)!r})
c.execute("pragma mmap_size=1000000000")
print(len(c.execute("select sum(length(v)) from t").fetchall()))
{READY}"""])  # fmt: skip

    arrays = folder / "arrays.npz"
    np.savez(arrays, a=np.zeros((2048, 2048), np.float32))
    np.save(folder / "array.npy", np.zeros((2048, 4096), np.float32))
    yield "numpy, arrays mapped and read", Process([sys.executable, "-c", f"""
import numpy
a = numpy.load({str(arrays)!r})["a"]
b = numpy.load({str(folder / "array.npy")!r}, mmap_mode="r")
print(float(a.sum() + b.sum()))
{READY}"""])  # fmt: skip

    yield "onnxruntime without a model", Process([sys.executable, "-c", f"import onnxruntime\n{READY}"])
    yield "python on Ollama's port", Process([sys.executable, "-c", f"""
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try: s.bind(("127.0.0.1", 11434)); s.listen()
except OSError: pass  # whoever has it is a squatter as good
{READY}"""])  # fmt: skip

    git = shutil.which("git")
    if git:
        repository = folder / "repository"
        subprocess.run([git, "init", "-q", repository], check=True)
        shutil.copy(big, repository)
        subprocess.run([git, "-C", repository, "add", "."], check=True)
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run([git, "-C", repository, *identity, "commit", "-qm", "big"], check=True)
        subprocess.run([git, "-C", repository, "gc", "-q"], check=True)
    yield "git, with a pack of 64 MB", git and Process(
        ["sh", "-c", f"echo ready; while :; do {git} -C {folder}/repository fsck --full >/dev/null 2>&1; done"])

    postgres = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)
    yield "PostgreSQL", postgres and start_postgres(postgres.parent, folder)
    chromium = next(filter(have, ("chromium", "chromium-browser", "google-chrome")), None)
    yield "Chromium, a page open", chromium and start_chromium(chromium, folder)
    java = shutil.which("java")
    yield "Java", java and start_java(java, folder)


def start_postgres(tools, folder):
    data = folder / "postgres"
    data.mkdir()
    as_user = []
    if os.getuid() == 0:
        shutil.chown(data, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--clear-groups"]
    subprocess.run([*as_user, tools / "initdb", "-D", data, "-N"], check=True, stdout=subprocess.DEVNULL, cwd=data)
    process = Process(["sh", "-c", "echo ready; exec \"$@\"", "-", *as_user, tools / "postgres", "-D", data, "-k", data,
                       "-c", "listen_addresses=", "-c", "shared_buffers=256MB"], folder=data)  # fmt: skip
    query = "create table t as select i, md5(i::text) from generate_series(1, 1000000) i; select count(*) from t"
    for _ in range(50):
        time.sleep(0.2)
        if subprocess.run([*as_user, tools / "psql", "-h", data, "postgres", "-qc", query], cwd=data,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:  # fmt: skip
            return process
    raise RuntimeError("PostgreSQL does not answer")


def start_chromium(chromium, folder):
    page = folder / "page.html"
    page.write_text("<canvas id=c></canvas><script>const a=new Float32Array(3e7).fill(1);setInterval(()=>a[0]++,10)</script>")
    process = Process(["sh", "-c", "echo ready; exec \"$@\"", "-", chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                       f"--user-data-dir={folder}/chromium", page.as_uri()])  # fmt: skip
    time.sleep(5)
    return process


def start_java(java, folder):
    (folder / "Sleep.java").write_text("""public class Sleep { public static void main(String[] a) throws Exception {
      byte[][] held = new byte[64][1 << 20]; System.out.println("ready"); System.in.read(); System.out.println(held.length); } }""")
    try:
        return Process([java, folder / "Sleep.java"])
    except RuntimeError:
        return None  # a runtime without its compiler


def family(pid):
    """A process and all that it started."""
    pids, todo = set(), [pid]
    while todo:
        one = todo.pop()
        pids.add(one)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                todo += map(int, pathlib.Path(f"/proc/{one}/task/{task}/children").read_text().split())
    return pids


def scan(lantern, folder):
    run = subprocess.run([lantern, "scan", "--json", "--disk", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return {one["pid"]: one for one in json.loads(run.stdout)["findings"]}


def judge_runtimes(lantern, folder):
    cases = []
    try:
        cases.extend(runtimes(folder))
        found = scan(lantern, folder)
        families = [family(process.pid) for *_, process in cases]
        gone = [name for name, _, process in cases if process.process.poll() is not None]
        assert not gone, f"ended by themselves: {gone}"
    finally:
        for *_, process in cases:
            process.end()
    rows, missed = {}, []
    for (name, ways, _), pids in zip(cases, families):
        finding = next((found[pid] for pid in pids if pid in found), None)
        level = finding["level"] if finding else "nothing"
        known = bool(finding) and any(one["name"] == "format" for w in finding["weights"] for one in w["attributes"])
        if level != "alert":
            missed.append(f"  no alert: {name}, {', '.join(ways)}: {level} {finding['score'] if finding else ''}")
        # A library that many programs carry is no runtime: what uses it is to be suspected.
        library = name == "onnxruntime"
        for row in ("all", name, *([] if library else ways)):
            before = rows.get(row, (0, 0, 0, 0))
            rows[row] = tuple(map(sum, zip(before, (1, level == "alert", level in ("alert", "suspected"), known))))
    print(f"{'recall, real runtimes':<28} {'of':>3} {'alert':>6} {'suspected':>10} {'identified':>11}")
    for row, (n, n_alert, n_suspected, n_known) in rows.items():
        print(f"{row:<28} {n:>3} {n_alert:>6} {n_suspected:>10} {n_known:>11}")
    print("\n".join(missed))
    bounds = {"named file": 1.0, "renamed": 0.95, "renamed and stripped": 0.95, "nameless file": 0.95, "deleted file": 0.95, "read": 0.9}
    return all(rows[row][1] >= bound * rows[row][0] for row, bound in bounds.items()) and rows["all"][2] == rows["all"][0]


def judge_bystanders(lantern, folder):
    started, wronged = [], 0
    try:
        for name, process in bystanders(folder):
            if process is None:
                print(f"  not on this machine: {name}")
            else:
                started.append((name, process))
        # Compilers and git come and go: three looks.
        for _ in range(3):
            families = {name: family(process.pid) for name, process in started}
            found = scan(lantern, folder)
            families = {name: pids | family(process.pid) for (name, process), pids in zip(started, families.values())}
            for name, pids in families.items():
                for finding in (found[pid] for pid in pids if pid in found):
                    print(f"  {name}: {finding['level']} {finding['score']} ({finding['name']})")
                    wronged += finding["level"] == "alert"
        gone = [name for name, process in started if process.process.poll() is not None]
        assert not gone, f"ended by themselves: {gone}"
    finally:
        for _, process in started:
            process.end()
    print(f"false positives, real programs: {wronged} of {len(started)}, three looks each")
    return wronged == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lantern", default=str(ROOT / "build/release/lantern"))
    parser.add_argument("--bystanders-only", action="store_true")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="lantern-evasion-") as folder:
        os.environ["LANTERN_HOME"] = f"{folder}/home"
        # PostgreSQL goes through it as an account of its own.
        os.chmod(folder, 0o755)
        if not options.bystanders_only:
            models = pathlib.Path(folder) / "models"
            models.mkdir()
            good = judge_runtimes(options.lantern, models)
            shutil.rmtree(models)
        files = pathlib.Path(folder) / "files"
        files.mkdir()
        good = judge_bystanders(options.lantern, files) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
