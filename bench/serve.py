#!/usr/bin/env python3
"""Many streams at once over HTTP beside peers' servers, on the same file, in one run.

    bench/serve.py --model F.gguf [--lantern build/release/lantern] \\
        --peer 'llama.cpp=/path/to/llama-server -np 16 -fa on' \\
        [--streams 16] [--prompt 256] [--generate 128] [--long 4096] [--chat 4096]
        [--threads 2] [--rounds 3]

A peer is NAME=PROGRAM with its switches; the program takes llama-server's -m, -c, -t and --port
and speaks OpenAI's completions. Each round starts every server anew, lets it answer one short
request, sends it all streams at once, then (--long) runs four answers and sends a long prompt
between them, then (--chat) has a conversation whose first message is long and whose second is not.
Printed, medians of the rounds: tokens generated per second over all streams, seconds to the first
token (median and greatest over the streams), the greatest time between two tokens beside the long
prompt, seconds to the first token of the second turn less those of its last message said alone,
and the ratios of each round's pairs (Lantern / peer; for times peer / Lantern, so that more is
better everywhere).
"""
import argparse
import http.client
import json
import os
import random
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORDS = ("the of and to in that it was his he had with for as on at by her which be not from or "
         "she but have an they so all were this their been has will would one if more when who "
         "out up what some time could them then other into its only two our may over new no after "
         "work first also any even where most made such know long great same three people under "
         "water between never city tree farm hard start might story saw far sea draw left late "
         "run while press close night real life few stop book carry took science eat room friend").split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, log):
        self.port = free_port()
        self.process = subprocess.Popen(
            shlex.split(command.replace("{port}", str(self.port))), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                sys.exit(f"{command}: does not answer; see {log.name}")
            time.sleep(0.2)

    def is_ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/v1/models")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def model(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/v1/models")
        return json.load(connection.getresponse())["data"][0]["id"]


class Stream(threading.Thread):
    """One answer: the times of its events, and its prompt's tokens as the server counted them."""

    def __init__(self, server, model, prompt, generate):
        """`prompt` is a text to go on with, or a list of messages."""
        super().__init__()
        self.port, self.times, self.usage, self.error, self.text = server.port, [], None, None, ""
        chat = isinstance(prompt, list)
        self.path = "/v1/chat/completions" if chat else "/v1/completions"
        self.body = json.dumps({
            "model": model, "messages" if chat else "prompt": prompt, "max_tokens": generate,
            "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}})

    def run(self):
        try:
            self.begin = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            connection.request("POST", self.path, self.body,
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"{response.status} {response.read(300)}")
            for line in response:
                if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
                    continue
                event = json.loads(line[6:])
                if event.get("choices"):
                    said = event["choices"][0].get("text") or event["choices"][0].get("delta", {}).get("content")
                    if said or self.path == "/v1/completions":
                        self.times.append(time.monotonic())
                        self.text += said or ""
                self.usage = event.get("usage") or self.usage
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = error

    def joined(self):
        self.join()
        if self.error:
            sys.exit(f"a stream failed: {self.error}")
        return self


def text(n_words, which):
    pick = random.Random(which)
    return " ".join(pick.choice(WORDS) for _ in range(n_words))


def measure(command, a, log):
    server = Server(command, log)
    try:
        model = server.model()
        start = lambda prompt, n: (s := Stream(server, model, prompt, n)).start() or s
        # How many tokens a word is of depends on the vocabulary.
        tokens_per_word = start(text(200, 0), 4).joined().usage["prompt_tokens"] / 200
        words = lambda n_tokens: max(1, round(n_tokens / tokens_per_word))
        begin = time.monotonic()
        streams = [start(text(words(a.prompt), 1 + i), a.generate) for i in range(a.streams)]
        for stream in streams:
            stream.joined()
        seconds = time.monotonic() - begin
        generated = sum(s.usage["completion_tokens"] for s in streams)
        first = [s.times[0] - s.begin for s in streams]
        result = {"prompt": statistics.median(s.usage["prompt_tokens"] for s in streams),
                  "rate": generated / seconds, "first": statistics.median(first),
                  "first_most": max(first)}
        if a.long:
            others = [start(text(words(32), 100 + i), 400) for i in range(4)]
            while not all(len(s.times) > 20 for s in others):
                time.sleep(0.02)
            come = time.monotonic()
            long = start(text(words(a.long), 200), 2).joined()
            gone = long.times[0]
            for other in others:
                other.joined()
            gaps = [y - x for s in others for x, y in zip(s.times, s.times[1:]) if y > come and x < gone]
            result["gap"] = max(gaps) if gaps else 0.0
        if a.chat:
            first_turn = [{"role": "user", "content": text(words(a.chat), 300)}]
            answer = start(first_turn, 64).joined()
            ask = [{"role": "user", "content": text(words(16), 301)}]
            seconds_to_first = lambda messages: (s := start(messages, 4).joined()).times[0] - s.begin
            alone = seconds_to_first(ask)
            second = seconds_to_first(first_turn + [{"role": "assistant", "content": answer.text}] + ask)
            result.update(second=second, second_more=max(second - alone, 0.001))
        return result
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--lantern", default="build/release/lantern")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--long", type=int, default=0, help="tokens of the long prompt; 0: none")
    parser.add_argument("--chat", type=int, default=0, help="tokens of a conversation's first message; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    context = a.streams * (a.prompt + a.generate + 64) + a.streams * max(a.long, a.chat + 512 if a.chat else 0)
    programs = [("lantern", f"{a.lantern} serve {shlex.quote(a.model)} --threads {a.threads} "
                            f"--sequences {a.streams} --listen 127.0.0.1:{{port}} --approve measured")]
    for peer in a.peer:
        name, command = peer.split("=", 1)
        programs.append((name, f"{command} -m {shlex.quote(a.model)} -t {a.threads} -c {context} "
                               f"--host 127.0.0.1 --port {{port}}"))
    rounds = []
    with tempfile.NamedTemporaryFile("w", prefix="serve-bench-", suffix=".log", delete=False) as log:
        for i in range(a.rounds):
            rounds.append({name: measure(command, a, log) for name, command in programs})
            for name, r in rounds[-1].items():
                print(f"round {i + 1}: {name}: " + ", ".join(f"{k} {v:.2f}" for k, v in r.items()),
                      file=sys.stderr)
    os.unlink(log.name)

    print(f"{a.model}: {a.streams} streams, {a.prompt} tokens in, {a.generate} out, {a.threads} threads, "
          f"{a.rounds} rounds")
    keys = ["rate", "first", "first_most"] + (["gap"] if a.long else []) + (["second_more"] if a.chat else [])
    for name, _ in programs:
        medians = {k: statistics.median(r[name][k] for r in rounds) for k in keys}
        line = f"{name}: {medians['rate']:.1f} tokens/s, first token {medians['first']:.2f} s median, " \
               f"{medians['first_most']:.2f} s at most"
        if a.long:
            line += f", {1e3 * medians['gap']:.0f} ms between tokens at most"
        if a.chat:
            line += f", second turn {1e3 * medians['second_more']:.0f} ms more than its last message alone"
        if name != "lantern":
            ratios = [statistics.median(r["lantern"]["rate"] / r[name]["rate"] for r in rounds)]
            ratios += [statistics.median(r[name][k] / r["lantern"][k] for r in rounds) for k in keys[1:]]
            line += "; lantern's ratios " + ", ".join(f"{x:.2f}" for x in ratios)
        print(line)


if __name__ == "__main__":
    main()
