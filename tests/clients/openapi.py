"""schemathesis over /openapi.json of a running `lantern serve`: whatever is sent, no answer is a 5xx.

    python tests/clients/openapi.py [--examples N] [--seconds S]

The document says of a model's name that it is a text; here it is one that is served in most requests, so that
they get as far as an answer.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from common import Service

# These fetch from other machines, or end what the others ask.
LEFT_OUT = "^/api/(pull|push|create|copy|delete|blobs)"


def with_names(node, names):
    """The document with the names of models in the place of any text."""
    if isinstance(node, dict):
        out = {key: with_names(value, names) for key, value in node.items()}
        properties = out.get("properties")
        if isinstance(properties, dict) and properties.get("model") == {"type": "string"}:
            properties["model"] = {"enum": names}
        return out
    return [with_names(value, names) for value in node] if isinstance(node, list) else node


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=240)
    arguments = parser.parse_args()
    # A short context bounds an answer without a limit of its own.
    with Service("--context", "192") as service, tempfile.TemporaryDirectory() as folder:
        with urllib.request.urlopen(service.url + "/openapi.json") as answer:
            document = json.load(answer)
        n_paths = len(document["paths"])
        assert n_paths >= 15, n_paths
        schema = pathlib.Path(folder, "openapi.json")
        schema.write_text(json.dumps(with_names(document, ["smollm2", "smollm2:latest", "nobody"])))
        command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", str(schema), "--url", service.url,
                   "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--mode", "all",
                   "--max-examples", str(arguments.examples), "--seed", "7", "--workers", "1",
                   "--exclude-path-regex", LEFT_OUT, "--suppress-health-check", "all", "--no-color",
                   "--request-timeout", "60", "--max-time", str(arguments.seconds)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.seconds + 90, cwd=folder)
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output, status = (late.stdout or b"").decode() + "\nit did not end in its time\n", 1
        failed = status != 0 or "Server error" in output
        if failed:
            print(output[-6000:])
        with urllib.request.urlopen(service.url + "/healthz") as answer:
            assert answer.status == 200
    if failed:
        sys.exit("schemathesis: a server error, or no end")
    print(f"openapi: {n_paths} paths, ok")


main()
