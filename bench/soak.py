#!/usr/bin/env python3
"""The service at full load for half an hour: nothing lost, nothing wrong, nothing leaked.

    bench/soak.py [--minutes 30] [--lantern build/release/lantern] [--home build/home]
                  [--clients 32] [--growth 20] [--seed 1]

Works on a copy of --home, which must hold smollm2, and starts `lantern serve` with two models
(smollm2 as it is, and converted to Q8_0) beside three more in the store, of which two only fit
(--models-max 4), and one that is approved and revoked again and again. Clients ask through every
API, streamed and not, by keys of several users, over connections that are kept or not; among them
are some that leave in the middle, read slowly or never, send slowly, or send what is no HTTP, no
JSON or no request. Meanwhile models are stopped and swapped, approved and revoked, keys are made
and revoked, and the configuration is read again.

What must hold, else exit 1:
- an answer has the bytes that the same request got alone, before the load (invariant 3);
- whoever does not leave gets a whole answer, or an error of a kind that is due there;
- what is malformed is refused with 4xx (or a close), never answered and never a 5xx;
- what was revoked is not answered 3 s later;
- memory with the load held and the visiting models unloaded is, at the end, at most that after a
  third of the time (minute 10 of 30) and --growth MB; the service ends with 0.

Before the load a stand-in for the service answers rightly, with a wrong byte, and cut short: what
judges answers must tell these apart, or nothing above means anything.
"""
import argparse
import collections
import copy
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from soak_requests import (CHAT, PATHS, Ask, Lost, Refused, all_asks, bad_bodies, bad_http, connected, read_whole,
                           understood, write_tiny_model)

REVOKED_S = 3  # a second by contract, and this machine is full


# --- The run -------------------------------------------------------------------------------------

class Soak:
    def __init__(self, a):
        self.a, self.random = a, random.Random(a.seed)
        self.lock = threading.Lock()
        self.counts, self.faults = collections.Counter(), []
        self.expected = {}          # (family, index of the request): its answer alone
        self.asks = all_asks()
        self.keys, self.dead_keys, self.deck = [], {}, []
        self.guest = "visitor-a"    # the model of the moment, of those that take turns
        self.doomed = None          # the one that will be revoked
        self.revoked = {}           # model: when
        self.temporary_key = None
        self.stop, self.hold = threading.Event(), threading.Event()
        self.n_holding = 0
        self.tokens = 0

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] += n

    def fault(self, what):
        with self.lock:
            self.counts["FAULTS"] += 1
            self.faults.append(what)
            if len(self.faults) <= 20:
                print(f"soak: FAULT: {what}", file=sys.stderr, flush=True)

    # -- the program

    def lantern(self, *words, ok=(0,)):
        ran = subprocess.run([self.a.lantern, *words], env=self.environment, capture_output=True, text=True,
                             stdin=subprocess.DEVNULL)
        if ran.returncode not in ok:
            raise RuntimeError(f"lantern {' '.join(words)}: {ran.returncode}: {ran.stderr.strip()}")
        return ran.stdout

    def prepare(self, folder):
        self.folder = folder
        self.environment = dict(os.environ, LANTERN_HOME=os.path.join(folder, "home"))
        shutil.copytree(self.a.home, self.environment["LANTERN_HOME"], symlinks=True,
                        ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
        for name, kind in (("steady", "q8_0"), ("visitor-a", "f16")):
            path = os.path.join(folder, name + ".gguf")
            self.lantern("convert", "smollm2", "--out", path, "--type", kind)
            self.lantern("pull", path, "--name", name, "--approve", "for the soak")
            os.unlink(path)
        for name in ("visitor-b", "visitor-c"):
            self.pull_tiny(name, "--approve", "for the soak")
        for user in ("alice", "bob"):
            self.keys.append(self.lantern("key", "create", "--name", user, "--user", user).strip())
        self.config = os.path.join(folder, "serve.toml")
        self.write_config(1024)

    def pull_tiny(self, name, *more, ok=(0,)):
        path = os.path.join(self.folder, name + ".gguf")
        write_tiny_model(path, name)
        self.lantern("pull", path, "--name", name, *more, ok=ok)
        os.unlink(path)

    def write_config(self, connections):
        with open(self.config + ".new", "w") as file:
            file.write(f"[limits]\nconnections_max = {connections}\n")
        os.rename(self.config + ".new", self.config)

    def start(self):
        self.log = open(os.path.join(self.folder, "serve.log"), "w+")
        self.process = subprocess.Popen(
            [self.a.lantern, "serve", "smollm2", "steady", "--listen", "127.0.0.1:0", "--json", "--models-max", "4",
             "--config", self.config, "--threads", str(self.a.threads)],
            env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"soak: the service did not start: {open(self.log.name).read()}")
        self.port = int(json.loads(line)["url"].rsplit(":", 1)[1])

    @staticmethod
    def family(model):
        return "tiny" if model in ("visitor-b", "visitor-c") or model.startswith("doomed") else model

    def learn(self):
        """Every answer alone: one request at a time on a service that does nothing else."""
        for model in ("smollm2", "steady", "visitor-a", "visitor-b"):
            for i, ask in enumerate(self.asks):
                with connected(self.port) as sock:
                    sock.sendall(ask.bytes(model, False))
                    try:
                        self.expected[self.family(model), i] = understood(ask.form, False, *read_whole(sock))
                    except (Lost, Refused) as fault:
                        sys.exit(f"soak: {model} {PATHS[ask.form]} alone: {fault}")

    # -- judging

    def judge(self, model, i, stream, answer, seen=None):
        """Whether an answer is the one that is due; counts it."""
        expected = self.expected[self.family(model), i]
        if answer != expected:
            self.fault(f"WRONG BYTES: {model} {PATHS[self.asks[i].form]} stream={stream} request {i}: "
                       f"{answer!r}, alone {expected!r}")
            return False
        self.count("answers right")
        with self.lock:
            self.tokens += answer[2] or 0
        return True

    def due(self, refused, model, key):
        """Whether this request may be refused so."""
        if refused.status == 429:
            return refused.retry_after is not None
        if key is not None and key not in self.keys:      # was revoked, or is about to be
            if refused.status in (401, 403, 503):
                return True
        if model.startswith("doomed"):
            return refused.status in (403, 404, 503)
        if model.startswith("visitor"):                   # `lantern stop` ends what it answers
            return refused.status == 503
        return False

    def ask_once(self, sock, model, i, stream, key=None, keep=False, pace=None, send=None):
        """One request to its end. False: this connection is of no use any more."""
        ask, began = self.asks[i], time.monotonic()
        try:
            try:
                (send or sock.sendall)(ask.bytes(model, stream, key, keep))
            except OSError as fault:
                raise Lost(f"could not be sent: {fault}") from None
            status, headers, body = read_whole(sock, pace)
            answer = understood(ask.form, stream, status, headers, body)
        except Refused as refused:
            self.count(f"refused {refused.status}")
            if not self.due(refused, model, key):
                self.fault(f"refused: {model} {PATHS[ask.form]} stream={stream}: {refused}")
            if refused.status == 429:
                self.stop.wait(min(float(refused.retry_after or 1), 2) * self.random.random())
            return False
        except Lost as lost:
            self.fault(f"LOST: {model} {PATHS[ask.form]} stream={stream} after "
                       f"{time.monotonic() - began:.1f} s: {lost}")
            return False
        for what, since in ((f"the revoked model {model}", self.revoked.get(model)),
                            ("a revoked key", self.dead_keys.get(key))):
            if since is not None and began > since + REVOKED_S:
                self.fault(f"{what} was answered {began - since:.1f} s later")
        return self.judge(model, i, stream, answer) and headers.get("Connection") != "close"

    # -- the clients

    def pick(self, rng):
        """Model, request, streamed or not, key. Of the two models that stay every combination comes
        once before one comes again, so that the caches of prefixes are full early."""
        model = rng.choices([None, self.guest, self.doomed or self.guest], [10, 3, 2])[0]
        i, key = rng.randrange(len(self.asks)), rng.choice([None, self.temporary_key] + self.keys)
        if not model:
            with self.lock:
                if not self.deck:
                    self.deck = [(m, a, k) for m in ("smollm2", "steady") for a in range(len(self.asks))
                                 for k in [None] + self.keys]
                    rng.shuffle(self.deck)
                model, i, key = self.deck.pop()
            if self.temporary_key and rng.random() < .1:  # rarely: a few requests, or its cache fills late
                i, key = i % 8, self.temporary_key
        return model, i, self.asks[i].may_stream and rng.random() < .6, key

    def honest(self, rng):
        model, i, stream, key = self.pick(rng)
        with connected(self.port) as sock:
            self.ask_once(sock, model, i, stream, key)

    def keeper(self, rng):
        """Several requests over one connection."""
        with connected(self.port) as sock:
            for _ in range(rng.randint(2, 6)):
                model, i, stream, key = self.pick(rng)
                if not self.ask_once(sock, model, i, stream, key, keep=True):
                    return

    def slow_reader(self, rng):
        model, i, _, key = self.pick(rng)

        def pace(n_read):
            time.sleep(.02)
            return rng.randint(1, 400)
        with connected(self.port, receive_buffer=2304) as sock:
            self.ask_once(sock, model, i, self.asks[i].may_stream, key, pace=pace)

    def slow_sender(self, rng):
        model, i, stream, key = self.pick(rng)
        with connected(self.port) as sock:
            def send(data):
                step = max(1, len(data) // rng.randint(4, 30))
                for at in range(0, len(data), step):
                    sock.sendall(data[at:at + step])
                    time.sleep(rng.random() * .2)
            self.ask_once(sock, model, i, stream, key, send=send)

    def leaver(self, rng):
        """Goes at any moment, by any door."""
        model, i, stream, key = self.pick(rng)
        with connected(self.port) as sock:
            data = self.asks[i].bytes(model, stream, key)
            sock.sendall(data[:rng.randrange(len(data))] if rng.random() < .3 else data)
            sock.settimeout(.2)
            until = time.monotonic() + rng.choice([0, .05, .5, 2]) * rng.random()
            while time.monotonic() < until:
                try:
                    if not sock.recv(rng.randint(1, 2000)):
                        break
                except OSError:
                    pass
            if rng.random() < .5:  # by RST
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.count("left")

    def deaf(self, rng):
        """Asks for much and never reads."""
        body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 700, "logprobs": True,
                "top_logprobs": 20, "ignore_eos": True, "n": 2, "seed": 1}
        with connected(self.port, receive_buffer=2304) as sock:
            sock.sendall(Ask(CHAT, body).bytes("visitor-b" if rng.random() < .5 else "smollm2", True))
            self.stop.wait(rng.randint(1, 40))
        self.count("never read")

    def bad_http(self, rng):
        name, data = rng.choice(bad_http())
        with connected(self.port) as sock:
            sock.settimeout(70)  # a body may take its 60 s
            try:
                sock.sendall(data)
                if rng.random() < .5:
                    sock.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := sock.recv(65536):
                    answer += piece
                    if b"\r\n\r\n" in answer and answer[9:12] >= b"400":
                        break
            except socket.timeout:
                self.fault(f"malformed ({name}): neither answered nor closed")
                return
            except OSError:
                answer = b""  # closed with what was sent unread
        if answer and not answer.startswith(b"HTTP/1.1 4"):
            self.fault(f"malformed ({name}): {answer[:100]!r}")
        self.count("malformed HTTP refused")

    def bad_json(self, rng):
        path, body = rng.choice(PATHS[:6]), rng.choice(bad_bodies())
        if isinstance(body, dict):
            if path.startswith("/api/"):  # what its API ignores must not make the answer long
                body = dict(body, options={"num_predict": 4, "seed": 1})
            body = json.dumps(body).encode()
        with connected(self.port) as sock:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            try:
                sock.sendall(head.encode() + body)
                status, headers, answer = read_whole(sock)
            except (Lost, OSError) as fault:
                self.fault(f"LOST: malformed body {body[:80]!r} of {path}: {fault}")
                return
        # What is no request of one API may be one of another: Ollama's ignores unknown fields.
        if status >= 500 or (status < 400 and path == PATHS[CHAT]):
            self.fault(f"malformed body {body[:80]!r} of {path}: {status} {answer[:120]!r}")
        if status >= 400:
            self.count("malformed JSON refused")

    KINDS = [(honest, 52), (keeper, 6), (slow_reader, 6), (slow_sender, 6), (leaver, 14), (deaf, 1), (bad_http, 7), (bad_json, 8)]

    def client(self, seed):
        rng = random.Random(seed)
        while not self.stop.is_set():
            if self.hold.is_set():
                with self.lock:
                    self.n_holding += 1
                while self.hold.is_set() and not self.stop.is_set():
                    time.sleep(.05)
                with self.lock:
                    self.n_holding -= 1
                continue
            kind = rng.choices([k for k, _ in self.KINDS], [w for _, w in self.KINDS])[0]
            try:
                kind(self, rng)
            except OSError as fault:
                self.fault(f"{kind.__name__}: {fault}")
            except Exception as fault:  # of this program: a client less would be less load
                self.fault(f"{kind.__name__}: {type(fault).__name__}: {fault}")

    # -- what changes meanwhile

    def get(self, path):
        with connected(self.port) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            status, _, body = read_whole(sock)
            if status != 200:
                raise RuntimeError(f"GET {path}: {status}")
            return body

    def change_models(self, n):
        """One more model comes, is approved, asked, and revoked under way."""
        name = f"doomed-{n}"
        self.pull_tiny(name, ok=(4,))  # nobody approved it
        with connected(self.port) as sock:
            sock.sendall(self.asks[0].bytes(name, False))
            status = read_whole(sock)[0]
            if status not in (403, 404, 429):
                self.fault(f"{name} is not approved, and was answered {status}")
        self.lantern("approve", name, "--reason", "for the soak")
        self.doomed = name
        self.stop.wait(4)
        self.lantern("revoke", name, "--reason", "for the soak")
        self.revoked[name] = time.monotonic()
        self.count("models approved and revoked")
        self.stop.wait(REVOKED_S + 2)
        self.doomed = None
        self.lantern("remove", name)

    def change_keys(self, n):
        key = self.lantern("key", "create", "--name", f"temporary-{n}", "--user", "dave").strip()
        self.temporary_key = key
        self.stop.wait(3)
        self.lantern("key", "revoke", f"temporary-{n}")
        self.dead_keys[key] = time.monotonic()
        self.count("keys revoked")
        self.stop.wait(REVOKED_S + 1)
        self.temporary_key = None

    def change_guests(self, n):
        self.guest = ("visitor-a", "visitor-b", "visitor-c")[n % 3]
        self.count("visitors' turns")
        self.stop.wait(3)
        if n % 4 == 0:
            self.lantern("stop", self.guest, ok=(0, 1, 2))
            self.count("models stopped")
        self.stop.wait(3)

    def look(self, n):
        self.lantern("ps", "--json")
        for path in ("/metrics", "/openapi.json", "/v1/models", "/api/ps", "/api/tags", "/"):
            self.get(path)
        self.write_config(1000 + n % 20)
        if n % 2:
            self.process.send_signal(signal.SIGHUP)
        self.stop.wait(2)

    def changer(self, change):
        n = 0
        while not self.stop.is_set():
            n += 1
            if self.hold.is_set():
                time.sleep(.1)
                continue
            try:
                change(n)
            except (Lost, OSError, RuntimeError) as fault:
                self.fault(f"{change.__name__}: {fault}")

    # -- memory

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        kb = lambda name: int(fields[name].split()[0]) / 1e3
        return {"memory": kb("VmRSS"), "peak": kb("VmHWM"), "threads": int(fields["Threads"]),
                "files": len(os.listdir(f"/proc/{self.process.pid}/fd"))}

    def measured(self):
        """With the load held and the visitors unloaded, so that two moments compare."""
        self.hold.set()
        deadline = time.monotonic() + 120
        while self.n_holding < self.a.clients and time.monotonic() < deadline:
            time.sleep(.1)
        if self.n_holding < self.a.clients:
            self.fault(f"{self.a.clients - self.n_holding} clients still wait for their answers")
        while time.monotonic() < deadline:
            models = json.loads(self.lantern("ps", "--json"))["models"]
            others = [m["name"] for m in models if m["name"] not in ("smollm2", "steady")]
            if not others and not any(m["uses"] for m in models):
                break
            for name in others:
                self.lantern("stop", name, ok=(0, 1, 2))
            time.sleep(.3)
        else:
            self.fault(f"models are in use although nobody asks: {models}")
        time.sleep(1)
        now = self.resident()
        now["accounted"] = sum(m["memory_bytes"] for m in models) / 1e6
        self.hold.clear()
        return now

    def run(self):
        a, begin = self.a, time.monotonic()
        threads = [threading.Thread(target=self.client, args=(f"{a.seed}/{i}",), daemon=True) for i in range(a.clients)]
        threads += [threading.Thread(target=self.changer, args=(change,), daemon=True) for change in
                    (self.change_models, self.change_keys, self.change_guests, self.look)]
        for thread in threads:
            thread.start()

        def wait_until(minute):
            said_at = 0
            while (left := begin + 60 * minute - time.monotonic()) > 0 and self.process.poll() is None:
                time.sleep(min(1, left))
                if time.monotonic() - said_at > 60:
                    said_at = time.monotonic()
                    print(f"soak: {(said_at - begin) / 60:.0f} min, {self.resident()['memory']:.0f} MB, "
                          f"{dict(sorted(self.counts.items()))}", file=sys.stderr, flush=True)
        early = late = None
        try:
            wait_until(a.minutes / 3)
            early = self.measured()
            wait_until(a.minutes)
            late = self.measured()
        except (OSError, RuntimeError, KeyError) as fault:
            self.fault(f"the service is gone: {fault}")
        self.stop.set()
        for thread in threads:
            thread.join(200)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "none: it had to be killed"
        if code != 0:
            self.fault(f"the service ended with {code}: {open(self.log.name).read()[-2000:]}")
        return early, late, time.monotonic() - begin


# --- Whether a wrong byte would be seen ----------------------------------------------------------

def self_check(a):
    """A stand-in answers one request in ways that must be judged as they are."""
    def chunked(body):
        return b"%x\r\n%s\r\n" % (len(body), body)
    event = lambda delta, finish: b"data: " + json.dumps({"choices": [{
        "index": 0, "delta": {"content": delta}, "finish_reason": finish}]}).encode() + b"\n\n"
    usage = b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = lambda word: head + chunked(event(word, None)) + chunked(event("", "stop")) + chunked(usage) + \
        chunked(b"data: [DONE]\n\n")
    plain = json.dumps({"choices": [{"index": 0, "message": {"content": "right"}, "finish_reason": "stop"}],
                        "usage": {"completion_tokens": 3}}).encode()
    sized = lambda body, n: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + body
    denied = b'data: {"error":{"message":"denied by rule lantern.revoked"}}\n\n'
    cases = [  # streamed or not, what the stand-in says, what must be made of it
        (True, whole("right") + b"0\r\n\r\n", "answers right"), (True, whole("rigth") + b"0\r\n\r\n", "WRONG"),
        (True, whole("right"), "LOST"), (True, head + chunked(event("right", "stop")) + b"0\r\n\r\n", "LOST"),
        (True, head + chunked(event("ri", None)) + chunked(denied) + b"0\r\n\r\n", "refused: "), (True, b"", "LOST"),
        (False, sized(plain, len(plain)), "answers right"), (False, sized(plain.replace(b"ght", b"hgt"), len(plain)), "WRONG"),
        (False, sized(plain, len(plain) + 1), "LOST"), (False, b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}", "refused: ")]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for _, says, _ in cases:
            with listener.accept()[0] as sock:
                while b"\r\n\r\n" not in sock.recv(65536):
                    pass
                sock.sendall(says)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(65536)
    threading.Thread(target=serve, daemon=True).start()
    for stream, says, verdict in cases:
        soak = Soak(copy.copy(a))
        soak.port, soak.process = listener.getsockname()[1], None
        soak.expected["smollm2", 0] = (["right"], ["stop"], 3)
        soak.fault = lambda what: soak.faults.append(what)
        with connected(soak.port) as sock:
            soak.ask_once(sock, "smollm2", 0, stream)
        got = soak.faults[0] if soak.faults else next(iter(soak.counts), "nothing")
        if not got.startswith(verdict):
            sys.exit(f"soak: the check itself is blind: {says!r} was judged {got!r}, not {verdict!r}")
    return len(cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--lantern", default="build/release/lantern")
    parser.add_argument("--home", default="build/home", help="a LANTERN_HOME with smollm2; it is copied")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2, help="of the service")
    parser.add_argument("--growth", type=float, default=20, help="MB that memory may grow; a sanitizer's build needs more")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    a.lantern = os.path.abspath(a.lantern)
    n_checks = self_check(a)
    soak = Soak(a)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("soak: told to end"))
    say = lambda what: print(f"soak: {what}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="lantern-soak-") as folder:
        say("makes models and keys")
        soak.prepare(folder)
        soak.start()
        try:
            say("asks for every answer alone")
            soak.learn()
            say(f"load of {a.clients} clients for {a.minutes:g} min")
            early, late, seconds = soak.run()
        finally:
            if soak.process.poll() is None:
                soak.process.kill()
                soak.process.wait()
    if early and late and late["memory"] > early["memory"] + a.growth:
        soak.fault(f"memory grew by {late['memory'] - early['memory']:.1f} MB, {a.growth:.0f} are allowed")
    counts = soak.counts
    print(f"soak: {seconds / 60:.1f} min, {a.clients} clients, {n_checks} self-checks, {len(soak.expected)} answers known alone")
    print(f"  {counts['answers right']} answers right ({soak.tokens} tokens), wrong or lost: "
          f"{sum(f.startswith(('WRONG', 'LOST')) for f in soak.faults)}")
    print("  " + ", ".join(f"{what} {n}" for what, n in sorted(counts.items()) if what not in ("answers right", "FAULTS")))
    for when, at in (("a third", early), ("the end", late)):
        if at:
            print(f"  at {when}: {at['memory']:.1f} MB resident ({at['accounted']:.1f} in weights and caches; "
                  f"peak so far {at['peak']:.0f}), {at['threads']} threads, "
                  f"{at['files']} files")
    print(f"soak: {'FAILED, ' + str(len(soak.faults)) + ' faults' if soak.faults else 'passed'}")
    sys.exit(1 if soak.faults else 0)


if __name__ == "__main__":
    main()
