#!/usr/bin/env python3
"""Speed beside a peer, on the same file, in one run.

    bench/compare.py --model F.gguf [--lantern build/release/lantern] \\
        --peer llama.cpp=/path/to/llama-bench --peer 'ik=/path/to/llama-bench -rtr 1' \\
        [--prompt 512] [--generate 64] [--threads 2] [--rounds 5]

A peer is NAME=PROGRAM with its switches; the program takes llama-bench's options and prints its
JSON. Each round runs Lantern, every peer, and Lantern again, so that the machine's drift hits
all alike. Printed: tokens/s, the median of the rounds' paired ratios (Lantern / peer), and the
spread of Lantern against itself (the second run over the first), which says what a ratio
means. Exit 1 if some ratio is below 1 less that spread.
"""
import argparse
import json
import platform
import shlex
import statistics
import subprocess
import sys


def run_lantern(program, a):
    out = subprocess.run(
        [program, "bench", a.model, "--prompt", str(a.prompt), "--generate", str(a.generate),
         "--threads", str(a.threads), "--repetitions", "1", "--json", "--approve", "to be measured"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(out)
    return report["prefill"]["median_tokens_per_s"], report["decode"]["median_tokens_per_s"]


def run_peer(command, a):
    out = subprocess.run(
        shlex.split(command) + ["-m", a.model, "-p", str(a.prompt), "-n", str(a.generate),
                                "-t", str(a.threads), "-fa", "1", "-r", "1", "-o", "json"],
        check=True, capture_output=True, text=True).stdout
    prefill = decode = None
    for entry in json.loads(out[out.index("["):]):
        if entry["n_prompt"] and not entry["n_gen"]:
            prefill = entry["avg_ts"]
        elif entry["n_gen"] and not entry["n_prompt"]:
            decode = entry["avg_ts"]
    return prefill, decode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--lantern", default="build/release/lantern")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    a = parser.parse_args()
    peers = [peer.split("=", 1) for peer in a.peer]

    ours, again, theirs = [], [], {name: [] for name, _ in peers}
    for i in range(a.rounds):
        ours.append(run_lantern(a.lantern, a))
        for name, command in peers:
            theirs[name].append(run_peer(command, a))
        again.append(run_lantern(a.lantern, a))
        print(f"round {i + 1}: " + ", ".join(
            f"{name} {p:.1f}/{d:.1f}" for name, (p, d) in
            [("lantern", ours[-1])] + [(n, t[-1]) for n, t in theirs.items()] + [("lantern", again[-1])]),
            file=sys.stderr)

    print(f"{a.model} on {platform.node() or 'this machine'}, {a.threads} threads, {a.rounds} rounds")
    behind = False
    for column, what in enumerate((f"prefill {a.prompt}", f"decode {a.generate}")):
        spread = [y[column] / x[column] for x, y in zip(ours, again)]
        margin = max(abs(1 - r) for r in spread)
        both = [(x[column] + y[column]) / 2 for x, y in zip(ours, again)]
        print(f"{what}: lantern {statistics.median(both):.1f} tokens/s, "
              f"against itself {statistics.median(spread):.3f} ({min(spread):.3f} to {max(spread):.3f})")
        for name, runs in theirs.items():
            ratios = [x / run[column] for x, run in zip(both, runs)]
            ratio = statistics.median(ratios)
            behind |= ratio < 1 - margin
            print(f"  / {name} {statistics.median(r[column] for r in runs):.1f} tokens/s: "
                  f"{ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    sys.exit(1 if behind else 0)


if __name__ == "__main__":
    main()
