#!/usr/bin/env python3
"""What another program reads of our syslog lines: the lines of src/audit/testdata/syslog.json,
which audit_test holds against src/audit/export.cc, parsed by syslog-rfc5424-parser."""

import json
import pathlib
import re

from syslog_rfc5424_parser import SyslogMessage

PATH = pathlib.Path(__file__).parents[2] / "src/audit/testdata/syslog.json"
FIELDS = ("severity", "facility", "version", "timestamp", "hostname", "appname", "procid", "msgid", "sd", "msg")


def unescape(value):
    """The parser leaves PARAM-VALUE as it stands: RFC 5424, section 6.3.3."""
    return re.sub(r'\\([\\"\]])', r"\1", value)


def main():
    records = json.loads(PATH.read_text())
    for record in records:
        parsed = SyslogMessage.parse(record["line"]).as_dict()
        parsed["sd"] = {
            identity: {name: unescape(value) for name, value in fields.items()}
            for identity, fields in parsed["sd"].items()
        }
        record["parsed"] = {field: parsed[field] for field in FIELDS}
    PATH.write_text(json.dumps(records, indent=1) + "\n")
    print(f"{PATH.name}: {len(records)} lines parsed")


if __name__ == "__main__":
    main()
