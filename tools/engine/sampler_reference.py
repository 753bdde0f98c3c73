#!/usr/bin/env python3
"""Answers of the sampler that src/engine/sampler.h documents, computed with numpy in float64.

Writes src/engine/testdata/sampler.tsv; the test makes the same logits from the same numbers.
A case is left out where a decision lies within 1e-5 of its threshold: there float32 and
float64 may rightly differ.

  python3 tools/engine/sampler_reference.py > src/engine/testdata/sampler.tsv
"""
import numpy as np

M64 = (1 << 64) - 1


def splitmix64(state):
    state = (state + 0x9E3779B97F4A7C15) & M64
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return state, z ^ (z >> 31)


def make_logits(seed, n, levels, spread):
    """float32 multiples of spread / levels: exact in every language, with ties."""
    out = np.empty(n, dtype=np.float32)
    state = seed
    for i in range(n):
        state, z = splitmix64(state)
        out[i] = np.float32((z % levels) * spread / levels - spread / 2)
    return out


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def uniform(seed, choice, position):
    b = philox([position & 0xFFFFFFFF, position >> 32, choice, 0], [seed & 0xFFFFFFFF, seed >> 32])
    return (((b[1] << 32) | b[0]) >> 11) * 2.0**-53


class Close(Exception):
    pass


def sample(logits, history, position, o):
    x = logits.astype(np.float64).copy()
    if o["last_n"] >= 0:
        history = history[len(history) - o["last_n"]:] if o["last_n"] else []
    if o["penalty"] != 1:
        for i in sorted(set(history)):
            x[i] = x[i] / o["penalty"] if x[i] > 0 else x[i] * o["penalty"]
    order = np.lexsort((np.arange(len(x)), -x))
    if o["temperature"] == 0:
        return int(order[0])
    if o["top_k"]:
        order = order[: o["top_k"]]
    p = np.exp(x[order] - x[order[0]])
    if o["top_p"] < 1:
        c = np.cumsum(p) / p.sum()
        if np.abs(c - o["top_p"]).min() < 1e-5:
            raise Close
        n = int(np.searchsorted(c, o["top_p"])) + 1
        order, p = order[:n], p[:n]
    if o["min_p"] > 0:
        if np.abs(p - o["min_p"]).min() < 1e-5:
            raise Close
        order = order[p >= o["min_p"]]
    order = np.sort(order)
    w = np.exp((x[order] - x[order].max()) / o["temperature"])
    c = np.cumsum(w) / w.sum()
    u = uniform(o["seed"], o["choice"], position)
    if np.abs(c - u).min() < 1e-5:
        raise Close
    return int(order[min(int(np.searchsorted(c, u, side="right")), len(order) - 1)])


def f32(v):
    return float(np.float32(v))


def main():
    rng = np.random.default_rng(20240607)
    names = ["logits_seed", "n", "levels", "spread", "history", "position", "temperature", "top_k",
             "top_p", "min_p", "penalty", "last_n", "seed", "choice"]
    print("# made by tools/engine/sampler_reference.py; columns:")
    print("# " + " ".join(names) + " expected")
    done = 0
    while done < 400:
        n = int(rng.choice([1, 2, 7, 50, 1000, 5003]))
        o = {
            "temperature": f32(rng.choice([0, 0.1, 0.8, 1, 2.5])),
            "top_k": int(rng.choice([0, 1, 3, 40, 6000])),
            "top_p": f32(rng.choice([1, 0.95, 0.5, 0.01])),
            "min_p": f32(rng.choice([0, 0.05, 0.3])),
            "penalty": f32(rng.choice([1, 1.1, 1.5])),
            "last_n": int(rng.choice([-1, 0, 2, 64])),
            "seed": int(rng.integers(0, 1 << 63)) * 2 + 1,
            "choice": int(rng.integers(0, 4)),
        }
        logits_seed = int(rng.integers(0, 1 << 62))
        levels = int(rng.choice([8, 4096]))
        spread = int(rng.choice([4, 32]))
        history = [int(i) for i in rng.integers(0, n, size=int(rng.integers(0, 8)))]
        position = int(rng.choice([0, 1, 77, 1 << 33]))
        try:
            expected = sample(make_logits(logits_seed, n, levels, spread), history, position, o)
        except Close:
            continue
        row = [logits_seed, n, levels, spread, ",".join(map(str, history)) or "-", position,
               repr(o["temperature"]), o["top_k"], repr(o["top_p"]), repr(o["min_p"]),
               repr(o["penalty"]), o["last_n"], o["seed"], o["choice"], expected]
        print(" ".join(map(str, row)))
        done += 1


if __name__ == "__main__":
    main()
