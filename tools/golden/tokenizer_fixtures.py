#!/usr/bin/env python3
"""Makes src/text/testdata/tokenizers/: small tokenizers and the ids Hugging Face gives.

    python tools/golden/tokenizer_fixtures.py [OUT]

One tokenizer of about 700 tokens per pre-tokenizer and per SentencePiece form, trained on text
that is in the Python distribution. expected.json holds strings of every script and every known
trap, and for each tokenizer the ids as text of a user (special tokens not recognised), where
they differ the ids as a template's own text, and the decoded text where it differs from the string.
"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                   pathlib.Path(__file__).parents[2] / "src/text/testdata/tokenizers")
VOCAB = 700
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def cl100k(digits):
    return (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL)


def o200k(digits, suffix):
    word = r"[^\r\n\p{L}\p{N}]?"
    return (f"{word}{UPPER}*{LOWER}+{suffix}|{word}{UPPER}+{LOWER}*{suffix}|" + digits +
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL)


PATTERNS = {
    "llama-bpe": cl100k(r"\p{N}{1,3}"),
    "qwen2": cl100k(r"\p{N}"),
    "tekken": o200k(r"\p{N}", ""),
    "gpt-4o": o200k(r"\p{N}{1,3}", CONTRACTIONS + "?"),
}
SPECIAL = ["<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>"]


def training_text():
    from pydoc_data import topics
    text = "".join(topics.topics[k] for k in sorted(topics.topics))[:150000]
    rng = random.Random(1)
    words = ["привет", "мир", "здравствуйте", "日本語", "中文", "한국어", "العربية", "हिन्दी", "ελληνικά",
             "été", "naïve", "Straße", "don't", "WE'LL", "I've", "CamelCase", "snake_case", "123", "2024",
             "    ", "\t\t", "\n\n", "\r\n", "ไทย", "👍🏽", "e\u0301", "ꙮ"]
    return text + "".join(rng.choice(words) + rng.choice([" ", "", "\n"]) for _ in range(20000))


def strings():
    """What is tokenised; also the tests' only texts, so every trap has to be here."""
    fixed = [
        "", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r\n\r\n", " \n", "\n ", "  \n  ", "\t", "\t\t x", "a", " a", "  a", "   a",
        "a ", "a  ", "a\n", "a \n b", "a\n\n\nb", "a   b", "a \t b", "\u00a0a", " \u00a0a", "a\u3000b", "\u2003\u2003x", "\x85y", "\x0b\x0c",
        "\x00", "\x01\x02\x03", "\x1c\x1d\x1e\x1f", "\x7f", "\u200b", "\u200d", "\ufeffx", "\u2028a\u2029b", "\u180eq",
        "Hello, world!", "hello world", " Hello", "HELLO WORLD", "Hello  World", "The quick brown fox jumps.",
        "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T", "'s 'S 'T 're 'Re 'rE 'RE", "x'sy x'Sy", "'\u017f a'\u017fb",
        "'", "''", "'a", "' s", "'l", "'ll", "'lL'", "it''s", "o'clock", "'v 've 'vx", "rock'n'roll's",
        "0", "12", "123", "1234", "12345678901", "3.14159", "1,000,000", "a1b22c333d4444", " 1", "  12", "x 1 2  3", "٣٤٥٦", "½Ⅷ²³", "१२३४", "１２３", "1\n2",
        "!", "!!", "...", " ...", "--- a", "a---b", "//", "/\n/", "!/\r\n/x", "a/b//c", "http://example.com/a?b=c&d=e#f", "?!\n\n", "?! \n\n", "...\r\n/ ", "«»", "¿Qué?", "€5", "$1.50", "100%",
        "été naïve Straße", "e\u0301te\u0301", "\u0301", " \u0301", "\u0301\u0302", "a\u0301\u0327b", "a\u0327\u0301b", "\u1e9b\u0323", "Å Å Ω Ω", "q\u0307\u0323", "\u0344", "\ufb1d \u2adc",
        "Привет, мир", "ПРИВЕТ Мир", "ÉCOLE École éCOLE", "ǅungla ǅ Ǆ ǆ", "ʰaʰ Aʰ ªº", "日本語のテキスト", "中文测试文本", "日A本B", "A日a", "日Aa", "Aa日", "aA", "aAA", "AAa", "XMLHttpRequest", "iPhone's", "JSON'S x", "McDonald'll",
        "한국어", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uac00\u11a8 \uac01\u11a8", "العربية", "مرحبا بالعالم", "עברית", "हिन्दी में", "ไทยภาษา", "ქართული", "አማርኛ", "தமிழ்", "ᏣᎳᎩ", "𝒜𝓁𝑔", "𐐷𐐨", "𠮷野家", "ﷺ", "ﬁn",
        "👍", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "a👍b", " 👍", "❤️", "☃", "1️⃣", "\U0001f468\u200d", "\ufffd", "\U0010ffff", "\ue000",
        "<|im_start|>user\nHi<|im_end|>", "<|im_start|>", "<|im_start", "|im_start|>", "<<|im_end|>>", " <|end|> ", "a<|end|>b<|end|>", "<|end|><|end|>", "<s>", "</s>", "<unk>", "<0x41>", "<0xE2><0x82>", "<s>a", "a</s>", " <s> ",
        "▁", "▁▁", "▁a", " ▁ a▁b", "a▁", "<tool>x</tool>", "<tool>", "x<tool> y", "\n\n\n\n", "a\n\n\nb\n\n", "~pad~  x", "x  ~pad~",
        "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\n", "{\"a\": [1, 2.5e-3, null], \"b\": \"c\\n\"}", "for (int i = 0; i < n; ++i) { a[i] += b[i]; }\r\n", "SELECT * FROM t WHERE x='y';",
        "a" * 100, "ab" * 60, "x " * 30, " " * 40, " " * 33 + "x", "\n" * 20, "!" * 70, "9" * 25, "A" * 60 + "b", "é" * 50, "日" * 60, "\u0301" * 30, "👍" * 20, "the" * 40, "aA" * 40,
        "Donaudampfschifffahrtsgesellschaftskapitän", "antidisestablishmentarianism", "\u0e01" * 20,
    ]
    rng = random.Random(3)
    scripts = [range(0x20, 0x7f), range(0x20, 0x7f), range(0xa0, 0x250), range(0x300, 0x370), range(0x370, 0x400), range(0x400, 0x500),
               range(0x590, 0x700), range(0x900, 0xe00), range(0x1100, 0x1200), range(0x2000, 0x2070), range(0x2070, 0x2200),
               range(0x3000, 0x3100), range(0x4e00, 0x5000), range(0xac00, 0xad00), range(0xff00, 0xffef), range(0x1d400, 0x1d500),
               range(0x1f300, 0x1f650), range(0x0, 0x20)]
    pieces = ["'s", "'LL", "\r\n", "  ", "\n", "don't", " the", "12", "٣", "ǅ", "\u0301", "<|end|>", "▁", "//", "Ab", "\u00a0"]
    for _ in range(110):
        text = ""
        for _ in range(rng.randint(1, 9)):
            if rng.random() < 0.4:
                text += rng.choice(pieces)
            else:
                script = rng.choice(scripts)
                text += "".join(chr(rng.choice(script)) for _ in range(rng.randint(1, 4)))
        fixed.append(text)
    return list(dict.fromkeys(fixed))


def byte_level(name, text):
    ignore = name in ("llama-bpe", "tekken")
    t = Tokenizer(models.BPE(ignore_merges=ignore))
    if name == "gpt-2":
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    elif name == "smollm":
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    elif name == "prefix":
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    else:
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 6, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    t.train_from_iterator([text], trainer)
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    t.add_tokens([AddedToken("<tool>", special=False, normalized=True),
                  AddedToken("~pad~", special=False, normalized=False, lstrip=True, rstrip=True)])
    if name in ("llama-bpe", "tekken"):
        bos = t.token_to_id(SPECIAL[0])
        t.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{SPECIAL[0]} $A", pair=f"{SPECIAL[0]} $A {SPECIAL[0]} $B",
                                          special_tokens=[(SPECIAL[0], bos)])])
    return t


def merges_from_scores(scores):
    """As transformers makes merges of a SentencePiece file's scores."""
    merges = []
    for piece, score in scores.items():
        local = [(piece[:i], piece[i:], score) for i in range(1, len(piece))
                 if piece[:i] in scores and piece[i:] in scores]
        merges += sorted(local, key=lambda m: (m[0], m[1]))
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [(left, right) for left, right, _ in merges]


def sentence_piece(name, text):
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    learner.train_from_iterator([text.replace("\r", "")], trainers.BpeTrainer(
        vocab_size=VOCAB - 259, limit_alphabet=150, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    by_id = sorted(learned["vocab"], key=learned["vocab"].get)
    # SentencePiece orders merged pieces first, by score, then single characters.
    pieces = [p for p in by_id if len(p) > 1] + ["▁▁", "▁▁▁▁"] + [p for p in by_id if len(p) == 1]
    runs = ["\n" * n for n in range(2, 6)] if name == "gemma" else []
    head = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    scores = {p: -float(i) for i, p in enumerate(dict.fromkeys(pieces))}
    vocab = {p: i for i, p in enumerate(dict.fromkeys(head + runs + list(scores)))}
    if runs:
        scores = {**{p: 0.0 for p in runs}, **scores}
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges_from_scores(scores), byte_fallback=True,
                             fuse_unk=True, unk_token="<unk>"))
    replace = normalizers.Replace(" ", "▁")
    decode = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if name == "llama":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    elif name == "gemma":
        t.normalizer = replace
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=name == "metaspace-split")
    t.decoder = decoders.Sequence(decode + ([] if name == "gemma" else [decoders.Strip(" ", 1, 0)]))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ("<unk>", "<s>", "</s>")])
    t.add_special_tokens([AddedToken("<|end|>", special=True, normalized=name == "llama")])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in runs + ["<tool>"]])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                     special_tokens=[("<s>", vocab["<s>"])])
    by_id = sorted(t.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    return t, [scores.get(piece, 0.0) for piece, _ in by_id]


def expected(t, texts, avoid=()):
    user, own, decoded = [], {}, {}
    for i, text in enumerate(texts):
        t.encode_special_tokens = True
        ids = t.encode(text, add_special_tokens=False).ids
        t.encode_special_tokens = False
        literal = t.encode(text, add_special_tokens=False).ids
        user.append(ids)
        if literal != ids:
            own[str(i)] = literal
        back = t.decode(ids, skip_special_tokens=False)
        if back != text:
            decoded[str(i)] = back
    # Ids in no sensible order: broken characters, runs of byte tokens, leading spaces.
    rng = random.Random(5)
    scrambled = []
    for _ in range(40):
        ids = [rng.randrange(t.get_vocab_size() if rng.random() < 0.3 else 262) for _ in range(rng.randint(1, 12))]
        ids = [i for i in ids if i not in avoid]
        scrambled.append([ids, t.decode(ids, skip_special_tokens=True), t.decode(ids, skip_special_tokens=False)])
    return {"user": user, "literal": own, "decoded": decoded, "scrambled": scrambled,
            "bos": t.encode("a", add_special_tokens=True).ids}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    text, texts = training_text(), strings()
    result = {"tokenizers": tokenizers.__version__, "strings": texts, "models": {}}
    for name in ("gpt-2", "smollm", "prefix", *PATTERNS):
        t = byte_level(name, text)
        t.save(str(OUT / f"{name}.json"), pretty=False)
        result["models"][name] = expected(t, texts)
    for name in ("llama", "gemma", "metaspace", "metaspace-split"):
        t, scores = sentence_piece(name, text)
        t.save(str(OUT / f"{name}.json"), pretty=False)
        # Hugging Face prints a special token that is `normalized` with the normalizer's space and
        # never skips it; Lantern treats it as any other special token.
        avoid = [t.token_to_id("<|end|>")] if name == "llama" else []
        result["models"][name] = expected(t, texts, avoid) | {"scores": scores}
    nfc = normalizers.NFC()
    result["nfc"] = [[s, nfc.normalize_str(s)] for s in texts if nfc.normalize_str(s) != s]
    (OUT / "expected.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
