#!/usr/bin/env python3
"""What `lantern watch` costs, and how soon it sees a model.

Starts processes that sleep (some with large mappings), then the watch, and measures:
  CPU      of the watch and its readers, in windows of four seconds (/proc/PID/stat, children included)
  RSS      of the watch, and apart from it of each of its readers
  latency  from the moment a renamed engine has its model mapped to the event, at random times

  bench/sensor.py --lantern build/release/lantern --engine build/release/tests/evasion/evasion_engine
                  [--seconds 600] [--processes 400] [--starts 20] [--no-process-events]

Needs no root; with root the kernel tells of programs as they start. Other work on the machine shows in
latency; the load is printed beside the figures."""
import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
WINDOW_S = 4


def write_model(path):
    """A GGUF of 16 MiB whose keys an engine looks up."""
    def text(value):
        return struct.pack("<Q", len(value)) + value

    pairs = [(b"general.architecture", b"llama"), (b"general.name", b"Bench 8M"),
             (b"tokenizer.ggml.model", b"gpt2")]
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs))
    for key, value in pairs:
        head += text(key) + struct.pack("<I", 8) + text(value)
    head += text(b"blk.0.attn_q.weight") + struct.pack("<IQQIQ", 2, 2048, 4096, 1, 0)
    head += b"\0" * (-len(head) % 32)
    with open(path, "wb") as file:
        file.write(head + random.Random(7).randbytes(2048 * 4096 * 2))


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14))  # utime stime cutime cstime


def memory(pid):
    """Resident bytes, and those of them that no other process shares."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            words = line.split()
            if words[0].endswith(":") and len(words) > 1 and words[1].isdigit():
                sizes[words[0][:-1]] = int(words[1]) * 1024
    return sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Watch:
    def __init__(self, arguments, home, config):
        self.process = subprocess.Popen(
            [arguments.lantern, "watch", "--config", config], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=dict(os.environ, LANTERN_HOME=home), text=True)
        self.events = []  # (time, event)
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append((time.monotonic(), json.loads(line)))
                self.changed.notify_all()

    def wait_for(self, is_it, timeout_s):
        end = time.monotonic() + timeout_s
        with self.changed:
            while True:
                for at, event in self.events:
                    if is_it(event):
                        return at
                if not self.changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    return None


class Sampler(threading.Thread):
    """CPU of each window; the largest resident size of the watch, and of its readers."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.windows, self.rss, self.own, self.reader_rss = pid, [], 0, 0, 0
        self.stopping = threading.Event()

    def run(self):
        last, last_at = cpu_ticks(self.pid), time.monotonic()
        n = 0
        while not self.stopping.wait(0.05):
            n += 1
            try:
                with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
                    children = file.read().split()
                for child in children:
                    with open(f"/proc/{child}/statm") as file:
                        self.reader_rss = max(self.reader_rss, int(file.read().split()[1]) * PAGE)
            except OSError:
                pass
            if n % 10 == 0:
                rss, own = memory(self.pid)
                self.rss, self.own = max(self.rss, rss), max(self.own, own)
            if time.monotonic() - last_at >= WINDOW_S:
                ticks, now = cpu_ticks(self.pid), time.monotonic()
                self.windows.append(100 * (ticks - last) / TICKS / (now - last_at))
                last, last_at = ticks, now


def start_sleepers(count, folder):
    """Three in four sleep and no more; the others have 64 MiB mapped that is no model."""
    blob = os.path.join(folder, "textures.pak")
    with open(blob, "wb") as file:
        file.write(b"PAK1" + random.Random(1).randbytes(1 << 20))
        file.truncate(64 << 20)
    maps = ("import mmap, sys, time; f = open(sys.argv[1], 'rb'); "
            "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); time.sleep(100000)")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    return [subprocess.Popen([sys.executable, "-S", "-c", maps, blob], **quiet) if i % 16 == 0 else
            subprocess.Popen(["sleep", "100000"], **quiet) for i in range(count)]


def start_engine(program, model):
    engine = subprocess.Popen([program, "map", model], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    engine.stdout.readline()  # "ready"
    return engine, time.monotonic()


def end(process):
    process.kill()
    process.wait()


def measure_latency(arguments, watch, folder, until):
    latencies = []
    model = os.path.join(folder, "holiday.jpg")
    write_model(model)
    program = os.path.join(folder, "notes")
    shutil.copy(arguments.engine, program)
    pause = max((until - time.monotonic()) / (arguments.starts + 1), 1)
    while time.monotonic() < until:
        time.sleep(pause * random.uniform(0.5, 1.4))
        engine, ready = start_engine(program, model)
        seen = watch.wait_for(
            lambda event: event["event"] == "finding.appeared"
            and event["finding"]["pid"] == engine.pid and event["finding"]["level"] == "alert", 90)
        latencies.append(float("inf") if seen is None else max(seen - ready, 0))
        end(engine)
    return latencies


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lantern", required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--processes", type=int, default=400)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--no-process-events", action="store_true")
    arguments = parser.parse_args()

    folder = tempfile.mkdtemp(prefix="lantern-bench-")
    sleepers = start_sleepers(arguments.processes, folder)
    config = os.path.join(folder, "watch.toml")
    with open(config, "w") as file:
        file.write("[watch]\nprocess_events = %s\n" %
                   ("false" if arguments.no_process_events else "true"))
    try:
        time.sleep(2)
        watch = Watch(arguments, os.path.join(folder, "home"), config)
        watch.wait_for(lambda event: event["event"] == "watch.started", 60)
        started = watch.events[0][1]
        sampler = Sampler(watch.process.pid)
        sampler.start()
        latencies = measure_latency(arguments, watch, folder,
                                    time.monotonic() + arguments.seconds)
        sampler.stopping.set()
        sampler.join()
        watch.process.terminate()
        watch.process.wait()
    finally:
        for process in sleepers:
            end(process)
        shutil.rmtree(folder)
    print(json.dumps({
        "seconds": arguments.seconds,
        "processes": started["processes"],
        "process_events": started["process_events"],
        "cpu_percent_mean": round(sum(sampler.windows) / len(sampler.windows), 3),
        "cpu_percent_p99": round(percentile(sampler.windows, 0.99), 3),
        "cpu_percent_max": round(max(sampler.windows), 3),
        "rss_mb_max": round(sampler.rss / 1e6, 1),
        "private_mb_max": round(sampler.own / 1e6, 1),
        "reader_rss_mb_max": round(sampler.reader_rss / 1e6, 1),
        "starts": len(latencies),
        "latency_s_p50": round(percentile(latencies, 0.5), 3),
        "latency_s_max": round(max(latencies), 3),
        "load": os.getloadavg(),
    }, indent=1))


if __name__ == "__main__":
    main()
