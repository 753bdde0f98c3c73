#!/usr/bin/env python3
"""Makes src/text/testdata/wordpiece/: two small WordPiece tokenizers and what Hugging Face makes of texts.

    python tools/golden/wordpiece.py [OUT]

expected.json holds strings of every script, for each tokenizer their ids as text of a user, and for four
normalizers the SHA-256 of what they make of every code point between two letters.
"""
import hashlib
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                   pathlib.Path(__file__).parents[2] / "src/text/testdata/wordpiece")
FIXED = [
    "", " ", "a", "Hello, World!", "  two   spaces\tand\r\nlines\n", "don't can't I'LL", "Ünïcödé CAFÉ naïve Straße ẞ İstanbul ıI",
    "e\u0301te\u0301 \u0301 q\u0307\u0323", "日本語のテキスト", "中文测试文本 mixed中with文latin", "한국어 \u1112\u1161\u11ab", "Привет, МИР ёж Й", "ΕΛΛΗΝΙΚΆ Σίσυφος ΣΑΣ",
    "العربية مَرْحَبًا", "עִבְרִית", "हिन्दी में नमस्ते", "ไทยภาษา", "ქართული Ⴀ", "አማርኛ", "தமிழ்", "Ꭳ ᏣᎳᎩ ꭰ", "𝒜𝓁𝑔", "𐐀𐐨", "𠮷野家 \u2f800", "ﷺ ﬁn ﬀ",
    "👍🏽 👩‍👩‍👧‍👦 ❤️ 1️⃣", "\x00\x01\x7f\x85\xa0\xad\u200b\u200d\u2028\ufeff\ufffd\ue000", "$5.00 + €3 = ¥8 ~`^|<>", "¿Qué? «sí» „ja“ … — ‐", "٣٤٥ ½ Ⅷ ² १२३",
    "http://example.com/a?b=c&d=e#f", "def f(x):\n\treturn x**2  # square", "[CLS] [SEP] [MASK] [UNK] [PAD] [unused1]", "##ing ## #", "x" * 100, "y" * 101, "the" * 33 + "a",
    "Ǆǆǅ ǈ ª º ʰ", "\u1e9b\u0323 Å Å Ω Ω", "\u3000full\u3000width Ａｂｃ １２３ ，。", "a\u0300\u0301\u0302b", "ᾼ ΐ ΰ", "\U0001e900\U0001e922", "Ⴭ Ა ა",
]


def strings():
    rng = random.Random(17)
    scripts = [range(0x20, 0x7f), range(0x20, 0x7f), range(0xa0, 0x250), range(0x300, 0x370), range(0x370, 0x500), range(0x590, 0x700),
               range(0x900, 0xe00), range(0x1100, 0x1200), range(0x1e00, 0x2000), range(0x2000, 0x2200), range(0x3000, 0x3100),
               range(0x4e00, 0x5000), range(0xac00, 0xad00), range(0xf900, 0xfb00), range(0xff00, 0xffef), range(0x1f300, 0x1f650), range(0, 0x20)]
    out = list(FIXED)
    for _ in range(150):
        text = ""
        for _ in range(rng.randint(1, 9)):
            script = rng.choice(scripts)
            text += "".join(chr(rng.choice(script)) for _ in range(rng.randint(1, 6))) + rng.choice(["", "", " ", "the ", ", "])
        out.append(text)
    return out


def make(lowercase, texts):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    from pydoc_data import topics
    prose = [topics.topics[k] for k in sorted(topics.topics)][:12]
    t.train_from_iterator(prose + texts[2:30] * 30, trainers.WordPieceTrainer(
        vocab_size=700, limit_alphabet=260, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.decoder = decoders.WordPiece()
    return t


def digest(**options):
    normalizer = normalizers.BertNormalizer(**options)
    sha = hashlib.sha256()
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            sha.update(normalizer.normalize_str("a" + chr(c) + "B").encode() + b"\n")
    return {**options, "sha256": sha.hexdigest()}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = strings()
    result = {"strings": texts, "models": {}, "normalizers": [
        digest(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True),
        digest(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False),
        digest(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
        digest(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=True)]}
    for name in ("uncased", "cased"):
        t = make(name == "uncased", texts)
        t.save(str(OUT / f"{name}.json"), pretty=False)
        t.encode_special_tokens = True
        result["models"][name] = [t.encode(s).ids for s in texts]
    (OUT / "expected.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
