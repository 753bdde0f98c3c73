#!/usr/bin/env python3
"""Makes fuzz/corpus/tokenizer_json/: small valid files of every form, and hostile ones by name.

    python tools/golden/tokenizer_fuzz_seeds.py

A seed is a tokenizer.json, a zero byte, and the text that is encoded.
"""
import copy
import json
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "fuzz/corpus/tokenizer_json"
TEXT = "Hello <s>ab abab  12\n'll \u00e9\u0301 \u65e5\u672c \U0001f468\u200d <0x41></s>\u2581".encode() + b"\xff\xe2\x82"


def alphabet():
    printable = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}
    return [table[b] for b in range(256)]


def added(i, content, special=True, **flags):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special} | flags


def byte_level(pre, **model):
    tokens = alphabet() + ["ab", "abab", "\u0120ab"]
    n = len(tokens)
    return {"version": "1.0",
            "added_tokens": [added(n, "<s>"),
                             added(n + 1, "<t>", False, normalized=True, lstrip=True, rstrip=True)],
            "normalizer": {"type": "NFC"}, "pre_tokenizer": pre, "post_processor": None,
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)},
                      "merges": ["a b", "ab ab", "\u0120 ab"]} | model}


def sentence_piece(normalizer, pre, **model):
    tokens = (["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] +
              list("\u2581abe\u0301") + ["ab", "\u2581ab", "\u2581\u2581"])
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    decoders = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {"added_tokens": [added(i, tokens[i]) for i in range(3)],
            "normalizer": normalizer, "pre_tokenizer": pre,
            "post_processor": {"type": "TemplateProcessing", "single": single,
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>",
                      "vocab": {t: i for i, t in enumerate(tokens)},
                      "merges": [["a", "b"], ["\u2581", "ab"], ["\u2581", "\u2581"]]} | model}


def split(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}


def valid():
    byte = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    prepend = {"type": "Prepend", "prepend": "\u2581"}
    digits = {"type": "Digits", "individual_digits": True}
    files = {
        "gpt2": byte_level(byte),
        "prefix": byte_level(byte | {"add_prefix_space": True}),
        "smollm": byte_level({"type": "Sequence", "pretokenizers": [digits, byte]}),
        "llama": sentence_piece({"type": "Sequence", "normalizers": [prepend, replace]}, None),
        "gemma": sentence_piece(replace, {"type": "Split", "pattern": {"String": " "},
                                          "behavior": "MergedWithPrevious", "invert": False}),
        "metaspace": sentence_piece(None, {"type": "Metaspace", "replacement": "\u2581",
                                           "prepend_scheme": "first", "split": True}),
        "unknown_only": sentence_piece(replace, None, byte_fallback=False)}
    for name in ("llama-bpe", "qwen2", "tekken", "gpt-4o"):
        golden = json.loads((ROOT / f"src/text/testdata/tokenizers/{name}.json").read_text())
        pattern = golden["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        files[name] = byte_level(split(pattern), ignore_merges=name in ("llama-bpe", "tekken"))
    return files


def hostile():
    """Name to a change of the gpt2 seed."""
    def vocab(**change):
        return lambda v: v["model"]["vocab"].update(change)

    def model(**change):
        return lambda v: v["model"].update(change)

    def add(token):
        return lambda v: v["added_tokens"].append(token)

    def top(**change):
        return lambda v: v.update(change)

    outside = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}],
               "special_tokens": {"<s>": {"ids": [10**6]}}}
    return {
        "id_negative": vocab(a=-1), "id_huge": vocab(zz=2**63), "id_above_limit": vocab(zz=4 << 20),
        "id_sparse": vocab(zz=(4 << 20) - 1), "id_twice": vocab(zz=65), "id_fraction": vocab(zz=1.5),
        "vocab_empty": model(vocab={}, merges=[]), "vocab_list": model(vocab=["a"]),
        "merge_missing_piece": model(merges=["a zzz"]), "merge_of_one": model(merges=["ab"]),
        "merge_of_three": model(merges=[["a", "b", "c"]]), "merge_of_numbers": model(merges=[[1, 2]]),
        "merges_missing": lambda v: v["model"].pop("merges"), "model_missing": lambda v: v.pop("model"),
        "model_wordpiece": model(type="WordPiece"), "added_outside": add(added(10**7, "<x>")),
        "added_twice": add(added(259, "<s>")), "added_conflict": add(added(0, "<x>")),
        "added_long": add(added(261, "x" * 1100)), "added_not_object": add(7),
        "added_single_word": add(added(261, "<w>", single_word=True)),
        "template_outside": top(post_processor=outside), "pre_unknown_pattern": top(pre_tokenizer=split(".+")),
        "normalizer_unknown": top(normalizer={"type": "Lowercase"}), "decoder_missing": top(decoder=None),
        "sequence_not_list": top(normalizer={"type": "Sequence", "normalizers": 3}),
        "types_wrong": top(added_tokens={}, normalizer=[], pre_tokenizer=3)}


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    files = valid()
    for name, value in files.items():
        (OUT / name).write_bytes(dump(value) + b"\0" + TEXT)
    for name, change in hostile().items():
        value = copy.deepcopy(files["gpt2"])
        change(value)
        (OUT / f"hostile_{name}").write_bytes(dump(value))
    (OUT / "hostile_no_json").write_bytes(b"{\"model\": ")
    (OUT / "hostile_empty").write_bytes(b"")


main()
