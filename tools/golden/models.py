"""Makes tests/golden/models/: tiny random models of every architecture and variant, and their logits.

Each folder holds what transformers saves (config.json in the form of transformers 5, model.safetensors),
config.v4.json (the same as transformers 4 wrote it), model.gguf (written here with the `gguf` package by
the conventions of the public converters, so that it is independent of Lantern's own) and cases.json with
token ids and, beside it, float32 logits of all their positions, from transformers in float32 with eager
attention.

    python tools/golden/models.py [--out tests/golden/models] [--check] [names...]

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
import torch
import transformers
from safetensors import safe_open

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

N_TOKENS = 36

# Sizes are small and awkward on purpose: widths that 32 does not divide, an odd vocabulary.
BASE = dict(
    vocab_size=61,
    hidden_size=48,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
HEAD = dict(head_dim=16)
LLAMA3_ROPE = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                   high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=32,
                short_factor=[1.0, 1.05, 1.1, 1.25, 1.4, 1.5],
                long_factor=[1.0, 1.5, 2.5, 4.0, 6.0, 7.5])
QWEN3_EXPERTS = dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=True)
GEMMA3_ROPE = dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                   sliding_attention=dict(rope_type="default", rope_theta=10000.0))

# name -> (class prefix, config, storage type, lengths of the token sequences)
VARIANTS = {
    "llama-tied": ("Llama", {**BASE, "tie_word_embeddings": True}, "f32", [N_TOKENS]),
    "llama-untied": ("Llama", BASE, "f16", [N_TOKENS]),
    "llama-mha-biases": ("Llama", {**BASE, "num_key_value_heads": 4, "rms_norm_eps": 1e-5,
                                   "attention_bias": True, "mlp_bias": True}, "bf16", [N_TOKENS]),
    "llama-llama3-rope": ("Llama", {**BASE, **HEAD, "rope_parameters": LLAMA3_ROPE}, "bf16", [N_TOKENS]),
    "llama-linear-rope": ("Llama", {**BASE, "rope_parameters": dict(
        rope_type="linear", rope_theta=10000.0, factor=4.0)}, "bf16", [N_TOKENS]),
    "llama-yarn": ("Llama", {**BASE, **HEAD, "rope_parameters": YARN}, "bf16", [N_TOKENS]),
    "llama-yarn-factors": ("Llama", {**BASE, **HEAD, "rope_parameters": dict(
        YARN, attention_factor=1.3, beta_fast=16.0, beta_slow=2.0)}, "bf16", [N_TOKENS]),
    "mistral": ("Mistral", {**BASE, "sliding_window": 12}, "bf16", [N_TOKENS]),
    "mistral3": ("Ministral3", {**BASE, **HEAD, "rope_parameters": dict(
        YARN, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
        mscale_all_dim=1.0, llama_4_scaling_beta=0.1)}, "bf16", [N_TOKENS]),
    "qwen2": ("Qwen2", {**BASE, "tie_word_embeddings": True}, "bf16", [N_TOKENS]),
    "qwen3": ("Qwen3", {**BASE, **HEAD}, "bf16", [N_TOKENS]),
    "qwen3moe": ("Qwen3Moe", {**BASE, **HEAD, **QWEN3_EXPERTS}, "bf16", [N_TOKENS]),
    "phi3": ("Phi3", {**BASE, "sliding_window": 20, "original_max_position_embeddings": 128}, "bf16",
             [N_TOKENS]),
    "phi3-longrope": ("Phi3", {**BASE, "sliding_window": None, "tie_word_embeddings": True,
                               "original_max_position_embeddings": 32, "rope_parameters": LONGROPE},
                      "bf16", [24, N_TOKENS]),
    "phi3-partial": ("Phi3", {**BASE, "num_attention_heads": 3, "num_key_value_heads": 1,
                              "sliding_window": None, "original_max_position_embeddings": 32,
                              "rope_parameters": dict(LONGROPE, partial_rotary_factor=0.75)}, "bf16",
                     [24, N_TOKENS]),
    "gemma2": ("Gemma2", {**BASE, **HEAD, "num_hidden_layers": 2, "sliding_window": 12,
                          "query_pre_attn_scalar": 16, "tie_word_embeddings": True}, "bf16", [N_TOKENS]),
    "gemma2-scalar": ("Gemma2", {**BASE, **HEAD, "num_hidden_layers": 2, "sliding_window": 12,
                                 "query_pre_attn_scalar": 12, "attn_logit_softcapping": 2.0,
                                 "final_logit_softcapping": 5.0, "tie_word_embeddings": True}, "bf16",
                      [N_TOKENS]),
    "gemma3": ("Gemma3", {**BASE, **HEAD, "num_hidden_layers": 3, "sliding_window_pattern": 2,
                          "sliding_window": 12, "query_pre_attn_scalar": 16,
                          "rope_parameters": GEMMA3_ROPE, "tie_word_embeddings": True}, "bf16",
               [N_TOKENS]),
}
# Multimodal checkpoints: (class prefix, text config class and settings, vision config). Their text part
# alone is run; there is no GGUF file, which would be that of the text part.
SMALL = {**BASE, **HEAD, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
MULTIMODAL = {
    "gemma3-multimodal": (
        "Gemma3", ("Gemma3TextConfig", {**SMALL, "sliding_window": 12, "query_pre_attn_scalar": 16,
                                        "rope_parameters": GEMMA3_ROPE, "sliding_window_pattern": 2,
                                        "tie_word_embeddings": True}),
        ("SiglipVisionConfig", dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                    num_attention_heads=1, image_size=8, patch_size=4))),
    "mistral3-multimodal": (
        "Mistral3", ("MistralConfig", {**SMALL, "sliding_window": None, "rms_norm_eps": 1e-5}),
        ("PixtralVisionConfig", dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                     num_attention_heads=1, image_size=8, patch_size=4, head_dim=16))),
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def randomize(model, dtype, seed):
    """Weights of useful size: activations stay near 1, scores and routes differ between tokens."""
    generator = torch.Generator().manual_seed(seed)
    gemma = "Gemma" in type(model).__name__
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if name.endswith("norm.weight"):
                values = values * 0.2 + (0.0 if gemma else 1.0)
            elif parameter.ndim == 1:
                values = values * 0.3
            elif "embed_tokens" in name:
                values = values * (1.0 / math.sqrt(parameter.shape[-1]) if gemma else 1.0)
            else:
                values = values * 1.5 / math.sqrt(parameter.shape[-1])
            parameter.copy_(values.to(dtype).to(torch.float32))
        model.tie_weights()


def version_4_config(config):
    """The same config.json as transformers 4 wrote it."""
    if "text_config" in config:
        return {**config, "text_config": version_4_config(config["text_config"])}
    out = {k: v for k, v in config.items() if k not in ("rope_parameters", "layer_types", "dtype")}
    out["torch_dtype"] = config.get("dtype", "float32")
    out["transformers_version"] = "4.57.0"
    rope = dict(config["rope_parameters"])
    if "sliding_attention" in rope:
        out["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
        out["sliding_window_pattern"] = out.pop("_sliding_window_pattern")
    out["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        out["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] == "default":
        rope = None
    elif rope["rope_type"] == "longrope":
        rope["type"] = rope.pop("rope_type")
        out["original_max_position_embeddings"] = rope.pop("original_max_position_embeddings")
    out["rope_scaling"] = rope
    if "num_local_experts" in out:
        out["num_experts"] = out.pop("num_local_experts")
    return out


# --- the GGUF form ---

ARCHITECTURES = {"Llama": "llama", "Mistral": "llama", "Ministral3": "mistral3", "Qwen2": "qwen2",
                 "Qwen3": "qwen3", "Qwen3Moe": "qwen3moe", "Phi3": "phi3", "Gemma2": "gemma2",
                 "Gemma3": "gemma3"}
GGUF_TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
              "bf16": gguf.GGMLQuantizationType.BF16}


def pairs(weight, n_heads):
    """Rows of halves (transformers) to rows of adjacent pairs, as llama-type files have Q and K."""
    halves = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_rope_keys(writer, config, head_dim):
    rope = config["rope_parameters"]
    if "full_attention" in rope:
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "attention_factor" in rope:
            writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
        if "beta_fast" in rope:
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        if "mscale_all_dim" in rope:
            writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        if "llama_4_scaling_beta" in rope:
            writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    elif rope["rope_type"] == "longrope":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))


def write_keys(writer, config, architecture):
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if "head_dim" in config:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if architecture == "gemma3":
        writer.add_sliding_window_pattern([t == "sliding_attention" for t in config["layer_types"]])
    if architecture == "qwen3moe":
        writer.add_expert_count(config["num_local_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
        if config["query_pre_attn_scalar"] != head_dim:
            writer.add_attention_scale(config["query_pre_attn_scalar"] ** -0.5)
    write_rope_keys(writer, config, head_dim)


def rope_tensors(config):
    """Llama 3's factors and LongRoPE's, as converters compute them (float32 throughout)."""
    rope = config["rope_parameters"]
    if rope.get("rope_type") == "longrope":
        return {"rope_factors_long.weight": torch.tensor(rope["long_factor"]),
                "rope_factors_short.weight": torch.tensor(rope["short_factor"])}
    if rope.get("rope_type") != "llama3":
        return {}
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    context, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for frequency in 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)):
        wavelength = 2 * math.pi / frequency
        if wavelength < context / high:
            factors.append(1)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return {"rope_freqs.weight": torch.tensor(factors, dtype=torch.float32)}


def gguf_tensors(state, config, architecture):
    """(GGUF name, values) of all tensors, named by the gguf package's own map."""
    names = gguf.get_tensor_name_map(
        next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == architecture), config["num_hidden_layers"])
    experts = {}
    for name, values in state.items():
        if "mlp.experts." in name:
            layer, expert, rest = name.split(".mlp.experts.")[0], *name.split(".mlp.experts.")[1].split(".", 1)
            experts.setdefault(f"{layer}.mlp.experts.{rest}", {})[int(expert)] = values
            continue
        if architecture in ("llama", "mistral3"):
            if "q_proj" in name:
                values = pairs(values, config["num_attention_heads"])
            if "k_proj" in name:
                values = pairs(values, config["num_key_value_heads"])
        if architecture.startswith("gemma") and name.endswith("norm.weight"):
            values = values.float() + 1
        yield names.get_name(name, try_suffixes=(".weight", ".bias")), values
    for name, parts in experts.items():
        yield (names.get_name(name, try_suffixes=(".weight",)),
               torch.stack([parts[i] for i in range(len(parts))]))
    yield from rope_tensors(config).items()


def write_gguf(path, state, config, prefix, storage):
    architecture = ARCHITECTURES[prefix]
    writer = gguf.GGUFWriter(path, architecture)
    write_keys(writer, config, architecture)
    for name, values in gguf_tensors(state, config, architecture):
        wide = values.to(torch.float32).numpy()
        if values.ndim == 1:
            writer.add_tensor(name, wide)
        else:
            kind = GGUF_TYPES[storage]
            writer.add_tensor(name, gguf.quantize(wide, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# --- a folder ---

def logits_of(folder, tokens):
    name = json.loads(pathlib.Path(folder, "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()


def random_model(name, dtype):
    """The model of that name, its text vocabulary, and the lengths of its sequences."""
    if name in MULTIMODAL:
        prefix, (text_class, text), (vision_class, vision) = MULTIMODAL[name]
        config = getattr(transformers, f"{prefix}Config")(
            text_config=getattr(transformers, text_class)(**text).to_dict(),
            vision_config=getattr(transformers, vision_class)(**vision).to_dict(),
            tie_word_embeddings=text["tie_word_embeddings"])
        model = getattr(transformers, f"{prefix}ForConditionalGeneration")(config)
        lengths = [N_TOKENS]
    else:
        prefix, text, _, lengths = VARIANTS[name]
        config_class = "Gemma3TextConfig" if prefix == "Gemma3" else f"{prefix}Config"
        model = getattr(transformers, f"{prefix}ForCausalLM")(getattr(transformers, config_class)(**text))
    randomize(model.eval(), dtype, sum(map(ord, name)))
    return model, text["vocab_size"], lengths


def make(name, out):
    folder = out / name
    folder.mkdir(parents=True)
    storage = "bf16" if name in MULTIMODAL else VARIANTS[name][2]
    model, n_vocab, lengths = random_model(name, DTYPES[storage])
    model.to(DTYPES[storage]).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    saved = json.loads((folder / "config.json").read_text())
    if name not in MULTIMODAL:
        with safe_open(folder / "model.safetensors", "pt") as file:
            state = {key: file.get_tensor(key) for key in sorted(file.keys())}
        write_gguf(folder / "model.gguf", state, saved, VARIANTS[name][0], storage)

    cases = []
    generator = np.random.default_rng(sum(map(ord, name)))
    for length in lengths:
        tokens = generator.integers(0, n_vocab, length).tolist()
        file = f"logits-{length}.f32"
        (folder / file).write_bytes(logits_of(folder, tokens).astype("<f4").tobytes())
        cases.append({"tokens": tokens, "logits": file})
    (folder / "cases.json").write_text(json.dumps({"n_vocab": n_vocab, "cases": cases}) + "\n")

    old = json.dumps(version_4_config(saved), indent=2) + "\n"
    with tempfile.TemporaryDirectory() as other:
        shutil.copy(folder / "model.safetensors", other)
        pathlib.Path(other, "config.json").write_text(old)
        again = logits_of(other, cases[-1]["tokens"])
    if again.astype("<f4").tobytes() != (folder / cases[-1]["logits"]).read_bytes():
        raise SystemExit(f"{name}: config.v4.json means something else than config.json")
    (folder / "config.v4.json").write_text(old)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/golden/models"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    target = pathlib.Path(tempfile.mkdtemp()) if args.check else args.out
    different = []
    for name in args.names or [*VARIANTS, *MULTIMODAL]:
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
