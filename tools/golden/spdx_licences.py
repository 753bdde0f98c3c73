"""Makes rules/spdx_licences.txt: the ids of the SPDX licence list, one a line, from the list that
CycloneDX's own schema accepts (PyPI: cyclonedx-python-lib). Bills of materials may name these alone.

    python tools/golden/spdx_licences.py [--check]
"""

import argparse
import json
import pathlib
import sys
from importlib import resources

RULES = pathlib.Path(__file__).resolve().parents[2] / "rules" / "spdx_licences.txt"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    schema = json.loads((resources.files("cyclonedx.schema._res") / "spdx.SNAPSHOT.schema.json").read_text())
    ids = sorted(set(schema["enum"]))
    text = "".join(f"{id}\n" for id in ids)
    if check:
        if RULES.read_text() != text:
            sys.exit(f"{RULES.name}: not what this version of cyclonedx-python-lib has")
    else:
        RULES.write_text(text)
    print(f"{len(ids)} ids")


if __name__ == "__main__":
    main()
