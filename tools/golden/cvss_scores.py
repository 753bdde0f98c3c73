"""CVSS base scores by the PyPI package cvss (RedHatProductSecurity), for src/supply/advisories.

  cvss_scores.py --write    makes src/supply/testdata/cvss_scores.txt: a vector and its score a line

The first vectors are FIRST's own examples (CVSS v4.0 Examples; CVSS v3.1 Examples); the others are
drawn at random, so that every MacroVector that base metrics can reach is there.
"""

import itertools
import pathlib
import random
import sys

from cvss import CVSS2, CVSS3, CVSS4

OUT = pathlib.Path(__file__).resolve().parents[2] / "src/supply/testdata/cvss_scores.txt"
V4 = {"AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA", "VC": "HLN", "VI": "HLN",
      "VA": "HLN", "SC": "HLN", "SI": "HLN", "SA": "HLN"}
V3 = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "HLN", "I": "HLN",
      "A": "HLN"}
V2 = {"AV": "NAL", "AC": "LMH", "Au": "NSM", "C": "CPN", "I": "CPN", "A": "CPN"}
EXAMPLES = """
CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N
CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N
CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N
CVSS:4.0/AV:L/AC:L/AT:N/PR:N/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N
CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N
CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H
CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N
CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N
CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H
CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N
""".split()


def score(vector):
    if vector.startswith("CVSS:4.0/"):
        return CVSS4(vector).base_score
    return (CVSS3 if vector.startswith("CVSS:3") else CVSS2)(vector).scores()[0]


def drawn(metrics, n, rng):
    return {"/".join(f"{k}:{rng.choice(v)}" for k, v in metrics.items()) for _ in range(n)}


def main():
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    rng = random.Random(4)
    vectors = list(EXAMPLES)
    # Each class of EQ1, EQ2, EQ3 with EQ6 and EQ4, by its worst vector and by its mildest.
    for exploit, complexity, system, following in itertools.product(
        ("AV:N/PR:N/UI:N", "AV:N/PR:H/UI:A", "AV:A/PR:L/UI:N", "AV:P/PR:N/UI:N", "AV:L/PR:H/UI:A"),
        ("AC:L/AT:N", "AC:H/AT:P"),
        ("VC:H/VI:H/VA:N", "VC:L/VI:H/VA:N", "VC:N/VI:L/VA:N"),
        ("SC:H/SI:N/SA:N", "SC:N/SI:L/SA:N"),
    ):
        vectors.append(f"CVSS:4.0/{exploit}/{complexity}/{system}/{following}")
    vectors += ["CVSS:4.0/" + v for v in sorted(drawn(V4, 250, rng))]
    vectors += ["CVSS:3.1/" + v for v in sorted(drawn(V3, 100, rng))]
    vectors += sorted(drawn(V2, 60, rng))
    OUT.write_text("".join(f"{v} {float(score(v)):.1f}\n" for v in vectors))


main()
