"""What the client tests share: a running service, and checks that say what they saw."""

import json
import os
import signal
import struct
import subprocess
import sys


class Service:
    """`lantern serve` on a free port of loopback, with the default model."""

    def __init__(self, *arguments, model="smollm2"):
        program = os.environ.get("LANTERN", "build/release/lantern")
        self.process = subprocess.Popen(
            [program, "serve", model, "--listen", "127.0.0.1:0", "--json", *arguments],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the service did not start (exit {self.process.wait()})")
        self.url = json.loads(line)["url"]
        self.model = model

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0


class Key:
    """An API key for as long as a block runs."""

    def __init__(self, *arguments):
        self.program = os.environ.get("LANTERN", "build/release/lantern")
        self.name = f"client-test-{os.getpid()}-{Key.n}"
        Key.n += 1
        self.text = subprocess.run(
            [self.program, "key", "create", "--name", self.name, *arguments],
            check=True, capture_output=True, text=True).stdout.strip()

    n = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.revoke()

    def revoke(self):
        if self.name:
            subprocess.run([self.program, "key", "revoke", self.name], check=True, capture_output=True)
        self.name = None


def equal(got, expected, what):
    assert got == expected, f"{what}: {got!r}, not {expected!r}"


def raises(kind, call, part):
    """The error of `call`, which must be a `kind` whose text has `part`."""
    try:
        call()
    except kind as error:
        assert part in str(error), f"{part!r} is not in {error}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def write_adapter(folder, value):
    """A PEFT adapter of SmolLM2-135M that changes what its layers 5 and 15 attend to."""
    tensors, data = {}, b""
    for layer in (5, 15):
        for half, shape, first in (("A", [1, 576], 1.0), ("B", [576, 1], value)):
            numbers = [first if i % 2 else -first for i in range(576)]
            name = f"base_model.model.model.layers.{layer}.self_attn.o_proj.lora_{half}.weight"
            end = len(data) + 4 * len(numbers)
            tensors[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
            data += struct.pack(f"<{len(numbers)}f", *numbers)
    header = json.dumps(tensors).encode()
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["o_proj"]}, file)
