"""Makes tests/golden/adapters/: tiny random LoRA adapters of models in tests/golden/models, and the logits
with them.

Each folder holds what PEFT saves (adapter_config.json, adapter_model.safetensors), adapter.gguf (written here
with the `gguf` package by the conventions of the public converter, so that it is independent of Lantern's
reader) and cases.json with the model's name, token ids and, beside it, float32 logits of all their positions,
from transformers and PEFT in float32 with eager attention, unmerged.

    python tools/golden/adapters.py [--out tests/golden/adapters] [--check] [names...]

Versions: tools/golden/requirements.txt. --check compares with what is committed instead of writing.
"""

import argparse
import filecmp
import json
import math
import pathlib
import shutil
import sys
import tempfile

import gguf
import numpy as np
import peft
import torch
import transformers
from safetensors import safe_open

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from models import ARCHITECTURES, pairs  # noqa: E402

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

MODELS = pathlib.Path("tests/golden/models")
N_TOKENS = 24
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# name -> (model, PEFT's settings, storage type). Ranks whose scales are exact in float32 in both forms:
# a GGUF file holds alpha alone, and where it was rank-stabilized, alpha * sqrt(rank).
ADAPTERS = {
    "llama-linear": ("llama-tied", dict(r=4, lora_alpha=6, target_modules=LINEAR), "f32"),
    "llama-patterns": ("llama-mha-biases", dict(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True,
        rank_pattern={"model.layers.1.self_attn.q_proj": 16, "v_proj": 1},
        alpha_pattern={"layers.1.self_attn.q_proj": 4}), "f16"),
    "qwen2-attention": ("qwen2", dict(r=3, lora_alpha=3, target_modules=LINEAR[:4],
                                      layers_to_transform=[1]), "bf16"),
    "phi3-fused": ("phi3", dict(r=8, lora_alpha=16, target_modules=["qkv_proj", "o_proj", "gate_up_proj"]),
                   "f32"),
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
GGUF_TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
              "bf16": gguf.GGMLQuantizationType.BF16}


def model_of(name):
    config = json.loads((MODELS / name / "config.json").read_text())
    model = getattr(transformers, config["architectures"][0]).from_pretrained(
        MODELS / name, dtype=torch.float32, attn_implementation="eager")
    return model, config


def randomize(adapted, dtype, seed):
    """Changes as large as the weights' own products, so that an error in one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" not in name:
                continue
            values = torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[1])
            parameter.copy_((values * (0.7 if "lora_B" in name else 1.0)).to(dtype).to(torch.float32))


def write_gguf(path, state, config, settings, storage):
    architecture = ARCHITECTURES[config["architectures"][0].removesuffix("ForCausalLM")]
    names = gguf.get_tensor_name_map(
        next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == architecture), config["num_hidden_layers"])
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    alpha = settings["lora_alpha"]
    writer.add_float32("adapter.lora.alpha", alpha)

    def scale_of(module, rank):
        own = next((a for p, a in settings.get("alpha_pattern", {}).items() if module.endswith(p)), alpha)
        return own / (math.sqrt(rank) if settings.get("use_rslora") else rank)

    for key, values in state.items():
        module, half = key.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        if half == "B":
            if architecture == "llama" and module.endswith("q_proj"):
                values = pairs(values, config["num_attention_heads"])
            if architecture == "llama" and module.endswith("k_proj"):
                values = pairs(values, config["num_key_value_heads"])
            # What alpha / rank does not say goes into B, by powers of two here, so that no bit is lost.
            rank = values.shape[1]
            factor = scale_of(module, rank) / (alpha / rank)
            assert math.frexp(factor)[0] == 0.5, (module, factor)
            values = values * factor
        name = names.get_name(module + ".weight", try_suffixes=(".weight",)) + f".lora_{half.lower()}"
        kind = GGUF_TYPES[storage]
        writer.add_tensor(name, gguf.quantize(values.to(torch.float32).numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name, out):
    folder = out / name
    folder.mkdir(parents=True)
    base, settings, storage = ADAPTERS[name]
    model, config = model_of(base)
    adapted = peft.get_peft_model(model, peft.LoraConfig(**settings, task_type="CAUSAL_LM")).eval()
    randomize(adapted, DTYPES[storage], sum(map(ord, name)))
    adapted.to(DTYPES[storage]).save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    saved = json.loads((folder / "adapter_config.json").read_text())
    saved["base_model_name_or_path"] = base
    saved["target_modules"] = sorted(saved["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2) + "\n")
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        state = {key: file.get_tensor(key) for key in sorted(file.keys())}
    write_gguf(folder / "adapter.gguf", state, config, settings, storage)

    tokens = np.random.default_rng(sum(map(ord, name))).integers(0, config["vocab_size"], N_TOKENS).tolist()
    again, _ = model_of(base)
    loaded = peft.PeftModel.from_pretrained(again, folder).eval().to(torch.float32)
    with torch.no_grad():
        logits = loaded(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
        with loaded.disable_adapter():
            plain = loaded(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    assert np.abs(logits - plain).max() > 0.05 * np.ptp(plain), "the adapter changes nothing"
    (folder / "logits.f32").write_bytes(logits.astype("<f4").tobytes())
    (folder / "cases.json").write_text(json.dumps(
        {"model": base, "n_vocab": config["vocab_size"],
         "cases": [{"tokens": tokens, "logits": "logits.f32"}]}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/golden/adapters"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    target = pathlib.Path(tempfile.mkdtemp()) if args.check else args.out
    different = []
    for name in args.names or ADAPTERS:
        shutil.rmtree(target / name, ignore_errors=True)
        make(name, target)
        print(name, sum(f.stat().st_size for f in (target / name).iterdir()), "bytes", flush=True)
        if args.check:
            comparison = filecmp.dircmp(target / name, args.out / name)
            different += [f"{name}/{f}" for f in comparison.left_only + comparison.diff_files]
    if different:
        sys.exit("differs from what is committed: " + ", ".join(different))


if __name__ == "__main__":
    main()
