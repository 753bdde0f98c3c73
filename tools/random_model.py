#!/usr/bin/env python3
"""Makes a GGUF file of the llama architecture with random weights, for measuring speed.

    tools/random_model.py --mix Q4_K_M --out /tmp/random-1.1b-q4_k_m.gguf

The default shape has 1.1 billion parameters: 2048 wide, 16 layers, 32 heads, 8 KV heads,
8192 FFN, 32,000 tokens. Blocks are random bytes with scales that keep activations finite, so
the text is noise and the work is real. Mixes give tensors the types that llama.cpp's
quantizer gives them (Q4_K_M: half of attn_v and ffn_down in Q6_K; the head in Q6_K).
Needs numpy and the `gguf` package.
"""
import argparse

import gguf
import numpy as np

T = gguf.GGMLQuantizationType

# Where a block keeps its float16 scales (byte offsets), its size in bytes, and how many values.
BLOCKS = {
    T.Q4_0: ([0], 18, 32),
    T.Q4_1: ([0, 2], 20, 32),
    T.Q8_0: ([0], 34, 32),
    T.Q4_K: ([0, 2], 144, 256),
    T.Q5_K: ([0, 2], 176, 256),
    T.Q6_K: ([208], 210, 256),
}
# Typical magnitude of an unscaled value, so that weights come out near 1/sqrt(width).
MAGNITUDE = {T.Q4_0: 4.6, T.Q4_1: 9, T.Q8_0: 74, T.Q4_K: 280, T.Q5_K: 560, T.Q6_K: 1400}


def random_tensor(rng, rows, cols, qtype):
    offsets, block_bytes, block_size = BLOCKS[qtype]
    n_blocks = rows * cols // block_size
    data = rng.integers(0, 256, size=(n_blocks, block_bytes), dtype=np.uint8)
    scale = np.float16(0.5 / (np.sqrt(cols) * MAGNITUDE[qtype]))
    for offset in offsets:
        data[:, offset : offset + 2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    return data.reshape(rows, cols // block_size * block_bytes)


def gets_more_bits(layer, n_layers):
    """llama.cpp's rule for the tensors that Q4_K_M keeps in Q6_K."""
    return layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", choices=["Q4_0", "Q4_1", "Q8_0", "Q4_K_M"], required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--ffn", type=int, default=8192)
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()

    rng = np.random.default_rng(a.seed)
    base = T.Q4_K if a.mix == "Q4_K_M" else T[a.mix]
    head = T.Q8_0 if a.mix == "Q8_0" else T.Q6_K
    file_type = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q4_K_M": 15}[a.mix]

    w = gguf.GGUFWriter(a.out, "llama")
    w.add_name(f"random {a.mix}")
    w.add_file_type(file_type)
    w.add_context_length(32768)
    w.add_embedding_length(a.width)
    w.add_block_count(a.layers)
    w.add_feed_forward_length(a.ffn)
    w.add_head_count(a.heads)
    w.add_head_count_kv(a.kv_heads)
    w.add_rope_dimension_count(a.width // a.heads)
    w.add_rope_freq_base(500000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(a.vocab)
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{i:02X}>".encode() for i in range(256)]
    types = [2, 3, 3] + [6] * 256
    tokens += [f"\u2581w{i}".encode() for i in range(len(tokens), a.vocab)]
    types += [1] * (a.vocab - len(types))
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([0.0] * 259 + [-float(i) for i in range(a.vocab - 259)])
    w.add_token_types(types)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)

    def add(name, rows, cols, qtype):
        w.add_tensor(name, random_tensor(rng, rows, cols, qtype), raw_dtype=qtype)

    def add_norm(name):
        w.add_tensor(name, np.ones(a.width, dtype=np.float32))

    kv_width = a.width // a.heads * a.kv_heads
    add("token_embd.weight", a.vocab, a.width, base)
    add_norm("output_norm.weight")
    add("output.weight", a.vocab, a.width, head)
    for i in range(a.layers):
        more = T.Q6_K if a.mix == "Q4_K_M" and gets_more_bits(i, a.layers) else base
        add_norm(f"blk.{i}.attn_norm.weight")
        add(f"blk.{i}.attn_q.weight", a.width, a.width, base)
        add(f"blk.{i}.attn_k.weight", kv_width, a.width, base)
        add(f"blk.{i}.attn_v.weight", kv_width, a.width, more)
        add(f"blk.{i}.attn_output.weight", a.width, a.width, base)
        add_norm(f"blk.{i}.ffn_norm.weight")
        add(f"blk.{i}.ffn_gate.weight", a.ffn, a.width, base)
        add(f"blk.{i}.ffn_up.weight", a.ffn, a.width, base)
        add(f"blk.{i}.ffn_down.weight", a.width, a.ffn, more)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
