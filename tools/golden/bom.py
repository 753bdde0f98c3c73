"""Validates the bills of materials that `lantern bom` and `lantern scan` write, with the standards' own tools, and the seeds of
the advisories' fuzzers with the OSV schema.

    python tools/golden/bom.py [--lantern build/release/lantern] [--references build/references]

CycloneDX by cyclonedx-python-lib; SPDX by spdx3-validate, which fetches the schema, the SHACL model and the JSON-LD
context from spdx.org; OSV by the schema of ossf/osv-schema. Where there is no network, these are taken from folders
of --references: spdx-3.0.1/{spdx-json-schema.json,spdx-model.ttl,spdx-context.jsonld} and osv-1.7.5/schema.json.
"""

import argparse
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request
import urllib.response

import jsonschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx3_validate.core import Document, check_graph, load_validation_data, schema_validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {
    "smollm2": "smollm2",
    "folder": ROOT / "src/format/testdata/hf",
    "split": ROOT / "src/format/testdata/split/model-00001-of-00003.gguf",
    "llama": ROOT / "tests/golden/models/llama-tied/model.gguf",
}
CYCLONEDX = {"cyclonedx": SchemaVersion.V1_6, "cyclonedx-1.7": SchemaVersion.V1_7}


class LocalFiles(urllib.request.BaseHandler):
    """Answers for spdx.org from a folder."""

    handler_order = 100

    def __init__(self, folder):
        self.folder = folder

    def https_open(self, request):
        path = self.folder / request.full_url.rsplit("/", 1)[1]
        if "spdx.org/" not in request.full_url or not path.exists():
            return None
        headers = {"Content-Type": "text/turtle" if path.suffix == ".ttl" else "application/ld+json"}
        response = urllib.response.addinfourl(io.BytesIO(path.read_bytes()), headers, request.full_url, 200)
        response.msg = "OK"
        return response


def written(lantern, model, format, *options):
    """The document, once to stdout and once to a file: both are the same bytes."""
    command = [lantern, "bom", str(model), "--format", format, *options]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "bom.json"
        subprocess.run([*command, "--out", out], check=True)
        if out.read_bytes() != text:
            sys.exit(f"{model}: {format}: two runs differ")
    return text.decode()


def scanned(lantern):
    """The inventory of this machine, with models at rest and things that are installed."""
    with tempfile.TemporaryDirectory() as home:
        for path, text in [
            (".local/lib/python3.11/site-packages/vllm-0.9.1.dist-info/METADATA", ""),
            (".config/systemd/user/llm.service", "[Service]\nExecStart=/opt/bin/llama-server\n"),
            (".local/share/containers/storage/overlay-images/images.json",
             '[{"names": ["docker.io/ollama/ollama:latest", "docker.io/ollama/ollama:0.9"]}]'),
        ]:  # fmt: skip
            file = pathlib.Path(home) / path
            file.parent.mkdir(parents=True)
            file.write_text(text)
        disks = [f"--disk={model}" for model in MODELS.values() if isinstance(model, pathlib.Path) and model.is_file()]
        run = subprocess.run([lantern, "scan", "--cyclonedx", "--digest", *disks], stdout=subprocess.PIPE,
                             env={**os.environ, "HOME": home})  # fmt: skip
    kinds = {one["type"] for one in json.loads(run.stdout)["components"]}
    if not {"machine-learning-model", "application", "container"} <= kinds:
        sys.exit(f"scan: no inventory of models and programs: {kinds}")
    return run.stdout.decode()


def spdx_faults(text, validation):
    document = Document.from_text("document", text)
    if not validation:
        schema, shacl = load_validation_data(document.version)
        validation.extend([schema_validator(schema), shacl])
    faults = [error.message for error in validation[0].iter_errors(document.data)]
    faults += [str(one) for one in check_graph(document.graph, validation[1], document.version, True)]
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lantern", default=str(ROOT / "build/release/lantern"))
    parser.add_argument("--references", type=pathlib.Path, default=ROOT / "build/references")
    arguments = parser.parse_args()
    os.environ.setdefault("LANTERN_HOME", str(ROOT / "build/home"))
    spdx = arguments.references / "spdx-3.0.1"
    if spdx.exists():
        urllib.request.install_opener(urllib.request.build_opener(LocalFiles(spdx)))
    n_valid, faults, validation = 0, [], []
    for name, model in MODELS.items():
        for format in [*CYCLONEDX, "spdx3"]:
            for options in [(), ("--supplier", "Example", "--released", "2025-01-31", "--licence", "LicenseRef-gemma",
                                 "--download-location", "https://example.org/m")]:
                text = written(arguments.lantern, model, format, *options)
                if format == "spdx3":
                    found = spdx_faults(text, validation)
                else:
                    error = JsonStrictValidator(CYCLONEDX[format]).validate_str(text)
                    found = [str(error)] if error else []
                faults += [f"{name}: {format}: {one}" for one in found]
                n_valid += not found
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(scanned(arguments.lantern))
    faults += [f"scan: {error}"] if error else []
    n_valid += not error
    schema = arguments.references / "osv-1.7.5" / "schema.json"
    if schema.exists():
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
        for seed in sorted((ROOT / "fuzz/corpus/osv").iterdir()):
            # Ecosystems of models are not in the schema's list yet; all else of our records is held against it.
            if seed.name.startswith(("hostile", "model_package")):
                continue
            found = [error.message for error in validator.iter_errors(json.loads(seed.read_text()))]
            faults += [f"{seed.name}: {one}" for one in found]
            n_valid += not found
    else:
        print(f"{schema}: not there, OSV records are not checked")
    print(f"{n_valid} documents valid")
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
