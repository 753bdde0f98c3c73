#!/usr/bin/env python3
"""The bill of materials of Lantern itself, CycloneDX 1.6: the source's revision, the Debian packages
whose libraries the program loads, and those whose headers are compiled in.

    tools/lib/sbom.py PROGRAM VERSION REVISION EPOCH >lantern.cdx.json

The same program, revision and packages give the same bytes; EPOCH (seconds) is the commit's time."""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

# Libraries of templates, and of the chat page: in the program, and not among what it loads.
HEADERS = ["nlohmann-json3-dev", "libcli11-dev", "libtomlplusplus-dev", "libjs-marked"]
FIELDS = "${binary:Package}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def libraries(program):
    """The shared libraries that the loader finds for it."""
    listed = output("ldd", program)
    paths = re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", listed, re.M)
    if not paths:
        sys.exit(f"{program}: ldd names no libraries: is it a program of this machine?")
    return paths


def owner(path):
    """The package of a file; since /lib moved under /usr, dpkg may know it by either name."""
    real = os.path.realpath(path)
    for name in (path, real, real.removeprefix("/usr"), "/usr" + path):
        if found := output("dpkg-query", "-S", name):
            return found.split(": ")[0].split(",")[0]
    sys.exit(f"{path}: no Debian package owns this library, so its version cannot be told")


def component(package, distribution, scope):
    line = output("dpkg-query", "-W", "-f", FIELDS, package).splitlines()
    if not line:
        return None
    _, name, version, architecture, source = line[0].split("\t")
    purl = f"pkg:deb/{distribution}/{name}@{version.replace('+', '%2B')}?arch={architecture}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": scope,
        "purl": purl,
        "properties": [{"name": "debian:source", "value": source}],
    }


def main():
    program, version, revision, epoch = sys.argv[1:]
    release = pathlib.Path("/etc/os-release").read_text()
    distribution = re.search(r'^ID="?(\w+)', release, re.M).group(1)
    packages = {owner(path) for path in libraries(program)}
    components = [component(package, distribution, "required") for package in packages]
    components += [component(package, distribution, "required") for package in HEADERS]
    components = sorted({c["bom-ref"]: c for c in components if c}.values(),
                        key=lambda c: c["bom-ref"])
    digest = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()
    own = f"pkg:generic/lantern@{version}?vcs_revision={revision}"
    time = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "lantern",
                "version": version,
                "purl": own,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [{"name": "lantern:source-revision", "value": revision}],
            },
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [c["bom-ref"] for c in components]}],
    }
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True))
    bom["serialNumber"] = f"urn:uuid:{name}"
    json.dump(bom, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
