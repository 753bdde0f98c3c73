#!/usr/bin/env python3
"""Detection and false positives on the samples that other scanners publish.

  public.py LANTERN CHECKOUTS [--modelaudit PROGRAM] [--list]

CHECKOUTS holds checkouts of mmaitre314/picklescan, promptfoo/modelaudit and the repository of
glyphhound, each in a folder of that name; nothing of them is committed here. Each file is judged
alone. A file whose name's SHA-256 is odd is for tuning: look at what is missed there and mend it.
The even half is for reporting: it is counted, and its files are not looked at. --list names missed
and wronged files of the tuning half alone.

Found: malicious files whose verdict is malicious. Wronged: benign files whose verdict is. For
modelaudit (PyPI, in an environment of its own) "malicious" is an issue of severity critical; it has
no other word for it. Labels are by path, as the repositories name their samples; what is left out
is counted, too.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import subprocess
import sys

BATCH = 40  # files a call of modelaudit, which takes seconds to start


def is_for_tuning(path):
    return hashlib.sha256(path.name.encode()).digest()[-1] & 1 == 1


def files_in(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def picklescan(root):
    benign = ("benign", "bad_pytorch", "not_a_pickle", "int_array", "object_array",
              "new_pytorch_model", "/pytorch_model.bin")
    files = files_in(root / "tests/data") + files_in(root / "tests/data2")
    return [(f, not any(b in str(f) for b in benign)) for f in files], []


def modelaudit(root):
    """Left out: sources, texts of licences, a template that does not parse, and texts in metadata
    and configurations that describe attacks and that nothing runs."""
    base = root / "tests/assets"
    good = ("safe_", "benign", "license_scenarios", "no_template", "empty_template", "oversized",
            "pipeline.skops", "simple_nested")
    named_good = ("model_config.yaml", "safe_config.json")
    labelled, left_out = [], []
    for file in files_in(base):
        name = str(file.relative_to(base))
        is_text = name.endswith((".py", ".md", "LICENSE", ".csv")) or (
            "license_scenarios" in name and not name.endswith((".pkl", ".npy", ".json")))
        describes = ("samples/safetensors" in name and "safe_model" not in name
                     or "suspicious_config" in name or "malformed" in name)
        if is_text or describes:
            left_out.append(file)
        elif "mixed_malicious_model/config.json" in name or name.endswith(named_good):
            labelled.append((file, False))
        else:
            labelled.append((file, not any(g in name for g in good)))
    return labelled, left_out


def glyphhound(root):
    labelled = [(f, True) for d in ("fixtures/malicious", "fixtures/sandbox")
                for f in files_in(root / d)]
    labelled += [(f, not f.name.startswith("1")) for f in files_in(root / "benchmark/payloads")
                 if f.suffix == ".jinja"]
    labelled += [(f, False) for d in ("fixtures/benign", "corpus/templates")
                 for f in files_in(root / d) if f.suffix == ".jinja"]
    return labelled, []


CORPORA = {"picklescan": picklescan, "modelaudit": modelaudit, "glyphhound": glyphhound}


def by_lantern(program, files):
    verdicts = {}
    for file in files:
        ran = subprocess.run([program, "scan-model", str(file), "--json"], capture_output=True)
        try:
            verdicts[file] = json.loads(ran.stdout)["verdict"] == "malicious"
        except (ValueError, KeyError):
            sys.exit(f"{file}: no report: {ran.stderr.decode(errors='replace')}")
    return verdicts


def by_modelaudit(program, files):
    verdicts = dict.fromkeys(files, False)
    environment = {**os.environ, "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"}
    for i in range(0, len(files), BATCH):
        batch = files[i:i + BATCH]
        ran = subprocess.run([program, "scan", "--format", "json", "--no-cache",
                              *map(str, batch)], capture_output=True, env=environment)
        try:
            issues = json.loads(ran.stdout)["issues"]
        except (ValueError, KeyError):
            sys.exit(f"modelaudit: no report: {ran.stderr.decode(errors='replace')[-500:]}")
        for issue in issues:
            where = issue.get("location") or ""
            for file in batch:
                rest = where.removeprefix(str(file))
                is_in_it = rest != where and (not rest or not rest[0].isalnum() and rest[0] != ".")
                if issue["severity"] == "critical" and is_in_it:
                    verdicts[file] = True
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lantern")
    parser.add_argument("checkouts", type=pathlib.Path)
    parser.add_argument("--modelaudit")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    scanners = {"lantern": lambda files: by_lantern(arguments.lantern, files)}
    if arguments.modelaudit:
        scanners["modelaudit"] = lambda files: by_modelaudit(arguments.modelaudit, files)
    counts = collections.Counter()
    for corpus, read in CORPORA.items():
        labelled, left_out = read(arguments.checkouts / corpus)
        if not labelled:
            sys.exit(f"{arguments.checkouts / corpus}: no samples")
        print(f"{corpus}: {len(labelled)} files, {len(left_out)} left out", flush=True)
        files = [f for f, _ in labelled]
        for scanner, judge in scanners.items():
            verdicts = judge(files)
            for file, malicious in labelled:
                half = "tuning" if is_for_tuning(file) else "reporting"
                hit = verdicts[file]
                for key in (corpus, "all"):
                    counts[scanner, key, half, malicious, "files"] += 1
                    counts[scanner, key, half, malicious, "hits"] += hit
                if arguments.list and half == "tuning" and hit != malicious:
                    print(f"{scanner}: {'missed' if malicious else 'wronged'}: {file}")
    print("| scanner | corpus | half | found | wronged |\n|---|---|---|---|---|")
    for scanner in scanners:
        for corpus in (*CORPORA, "all"):
            for half in ("tuning", "reporting"):
                cells = [f"{counts[scanner, corpus, half, m, 'hits']} of "
                         f"{counts[scanner, corpus, half, m, 'files']}" for m in (True, False)]
                print(f"| {scanner} | {corpus} | {half} | {cells[0]} | {cells[1]} |")


main()
