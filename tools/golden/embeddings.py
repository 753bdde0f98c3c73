"""Makes tests/golden/embeddings/: tiny random models that embed, and the vectors they make of texts.

Each folder is one as sentence-transformers publishes it (config.json, model.safetensors, tokenizer.json,
modules.json, 1_Pooling/config.json), with model.gguf beside it, written with the `gguf` package by the
conventions of the public converters. cases.json holds texts, their ids by Hugging Face tokenizers, and the
vectors: hidden states of transformers in float32, pooled and brought to length 1 as sentence-transformers'
Pooling and Normalize modules define it.

    python tools/golden/embeddings.py [--out tests/golden/embeddings]

Versions: tools/golden/requirements.txt.
"""

import argparse
import json
import pathlib
import shutil

import gguf
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from models import GGUF_TYPES, DTYPES, randomize

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

TEXTS = [
    "a", "The cat sat on the mat.", "  Ünïcödé,   naïve CAFÉ!  ", "日本語 and 中文", "привет мир 123",
    "unknownwordthatnotokenmakesupxyzzy 한국어", "tabs\tand\nnewlines, (punctuation) - $5.00 [CLS] [SEP]",
    " ".join(f"word{i} is number {i}" for i in range(9)),
]
POOLINGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
BERT = dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=44,
            max_position_embeddings=96, type_vocab_size=2)
QWEN3 = dict(hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=128, tie_word_embeddings=True)
# name -> (pooling, storage type)
MODELS = {"bert-mean": ("mean", "f32"), "bert-cls": ("cls", "f16"), "qwen3-last": ("last", "bf16")}


def training_text():
    from pydoc_data import topics
    return [topics.topics[k] for k in sorted(topics.topics)][:20] + [t for t in TEXTS if "xyzzy" not in t] * 20


def word_piece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(training_text(), trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    from tokenizers import Regex
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[]))
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>",
                                                             special_tokens=[("<|endoftext|>", end)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def pooled(states, pooling):
    if pooling == "mean":
        vector = states.sum(0) / states.shape[0]
    else:
        vector = states[0] if pooling == "cls" else states[-1]
    return torch.nn.functional.normalize(vector, p=2, dim=0)


def write_gguf(path, name, model, tokenizer, pooling, storage):
    config = model.config
    bert = name.startswith("bert")
    architecture = "bert" if bert else "qwen3"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_pooling_type({"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS,
                             "last": gguf.PoolingType.LAST}[pooling])
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if bert:
        writer.add_causal_attention(False)
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_tokenizer_model("bert")
        writer.add_tokenizer_pre("default")
        writer.add_token_type_count(config.type_vocab_size)
        special = [t.startswith("[") and t.endswith("]") and len(t) > 1 for t, _ in vocab]
        writer.add_token_list([t if s else t[2:] if t.startswith("##") else "\u2581" + t
                               for (t, _), s in zip(vocab, special)])
        writer.add_token_types([gguf.TokenType.CONTROL if s else gguf.TokenType.NORMAL for s in special])
        for add, token in ((writer.add_pad_token_id, "[PAD]"), (writer.add_unk_token_id, "[UNK]"),
                           (writer.add_bos_token_id, "[CLS]"), (writer.add_sep_token_id, "[SEP]")):
            add(tokenizer.token_to_id(token))
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list([t for t, _ in vocab])
        end = tokenizer.token_to_id("<|endoftext|>")
        writer.add_token_types([gguf.TokenType.CONTROL if i == end else gguf.TokenType.NORMAL for _, i in vocab])
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
        writer.add_eos_token_id(end)
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(True)
    names = gguf.get_tensor_name_map(next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == architecture),
                                     config.num_hidden_layers)
    for key, values in model.state_dict().items():
        if key.startswith("pooler."):
            continue
        gguf_name = names.get_name(key, try_suffixes=(".weight", ".bias")) or names.get_name(
            "model." + key, try_suffixes=(".weight", ".bias"))
        wide = values.to(torch.float32).numpy()
        # Converters keep vectors and positions wide.
        if values.ndim == 1 or "position" in gguf_name or "token_types" in gguf_name:
            writer.add_tensor(gguf_name, wide)
        else:
            writer.add_tensor(gguf_name, gguf.quantize(wide, GGUF_TYPES[storage]), raw_dtype=GGUF_TYPES[storage])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name, out):
    pooling, storage = MODELS[name]
    bert = name.startswith("bert")
    tokenizer = word_piece(name != "bert-cls") if bert else byte_level()
    n_vocab = tokenizer.get_vocab_size()
    if bert:
        model = transformers.BertModel(transformers.BertConfig(vocab_size=n_vocab, **BERT))
    else:
        model = transformers.Qwen3Model(transformers.Qwen3Config(vocab_size=n_vocab, **QWEN3))
    randomize(model.eval(), DTYPES[storage], sum(map(ord, name)))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("LayerNorm.weight"):
                parameter.copy_((parameter + 1).to(DTYPES[storage]).to(torch.float32))
    out.mkdir(parents=True)
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = ["BertModel" if bert else "Qwen3ForCausalLM"]
    keep = ("architectures", "model_type", "vocab_size", *(BERT if bert else QWEN3),
            *(("layer_norm_eps", "hidden_act") if bert else ("rms_norm_eps", "hidden_act", "rope_parameters")))
    (out / "config.json").write_text(json.dumps({k: config[k] for k in keep}, indent=1) + "\n")
    save_file({k: v.to(DTYPES[storage]).contiguous() for k, v in model.state_dict().items()},
              out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    (out / "1_Pooling").mkdir()
    modes = {mode: kind == pooling for kind, mode in POOLINGS.items()}
    (out / "1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": config["hidden_size"], **modes, "pooling_mode_max_tokens": False,
         "include_prompt": True}) + "\n")
    (out / "modules.json").write_text(json.dumps(
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
         {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
         {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]) + "\n")
    write_gguf(out / "model.gguf", name, model, tokenizer, pooling, storage)
    cases = []
    for text in TEXTS:
        # Text of a user: what looks like a special token is text.
        tokenizer.encode_special_tokens = True
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        cases.append({"text": text, "ids": ids, "vector": [float(x) for x in pooled(states, pooling)]})
    (out / "cases.json").write_text(json.dumps({"pooling": pooling, "cases": cases}, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).parents[2] / "tests/golden/embeddings")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    for name in MODELS:
        make(name, arguments.out / name)


main()
