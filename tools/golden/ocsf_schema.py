#!/usr/bin/env python3
"""Makes tests/data/ocsf-1.8.0.json: the published OCSF 1.8.0 schema, as ocsf-lib compiles it, as a
JSON Schema of the classes, objects and attributes that `lantern audit export --format ocsf` and `lantern scan --ocsf` use.
An attribute that is required (of the class itself, or of a profile that a record names) is required
there, and one that the export does not use yet is not allowed, so that a new one is looked at.

Needs a checkout of https://github.com/ocsf/ocsf-schema at 1.8.0 in OCSF_SCHEMA (or as argument)."""
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/data/ocsf-1.8.0.json"
BASE = ["class_uid", "class_name", "category_uid", "activity_id", "activity_name", "type_uid",
        "severity_id", "time", "message", "metadata", "status_id", "unmapped"]
STATUS = ["status_code", "status_detail"]
CLASSES = {
    "api_activity": BASE + STATUS + ["actor", "api", "src_endpoint", "ai_model", "resources",
                                     "action_id", "policy"],
    "data_security_finding": BASE + ["finding_info", "actor", "resources"],
    "detection_finding": BASE + ["finding_info", "resources", "confidence_id", "device", "evidences"],
    "software_info": BASE + STATUS + ["actor", "device", "package", "sbom"],
}
OBJECTS = {
    "metadata": ["version", "product", "uid", "sequence", "log_name", "original_time", "profiles"],
    "product": ["name", "vendor_name", "version"],
    "actor": ["app_name", "user"],
    "user": ["name", "uid", "credential_uid"],
    "api": ["operation", "service"],
    "service": ["name"],
    "network_endpoint": ["name", "svc_name"],
    "ai_model": ["ai_provider", "name", "uid", "version"],
    "resource_details": ["type", "uid", "name"],
    "finding_info": ["uid", "title", "desc", "created_time", "types"],
    "device": ["type_id", "name"],
    "package": ["name", "version", "hash"],
    "fingerprint": ["algorithm_id", "value"],
    "policy": ["name"],
    "evidences": ["process", "file", "data"],
    "process": ["pid", "name", "created_time", "user", "file"],
    "file": ["name", "path", "type_id", "size", "hashes"],
    "sbom": ["package", "software_components", "type_id", "type", "created_time"],
    "software_component": ["name", "version", "type_id", "type"],
}
PROFILES = {"api_activity": {"ai_operation", "security_control"}}
JSON_TYPES = {"string_t": "string", "integer_t": "integer", "long_t": "integer",
              "boolean_t": "boolean", "float_t": "number"}


def own_attributes(folder, name):
    """Attributes that the class itself lays claim to, whatever profile has them too."""
    for path in folder.glob("events/**/*.json"):
        source = json.loads(path.read_text())
        if source.get("name") == name:
            return {k for k, v in source.get("attributes", {}).items()
                    if isinstance(v, dict) and "profile" in v and v["profile"] is None}
    raise SystemExit(f"{name}: no such class")


def json_schema(schema, attribute):
    if attribute.type in schema.objects:
        out = ({"$ref": f"#/definitions/{attribute.type}"} if attribute.type in OBJECTS
               else {"type": "object"})
    else:
        base = attribute.type
        while base not in JSON_TYPES and base in schema.types:
            base = schema.types[base].type
        out = {"type": JSON_TYPES[base]} if base in JSON_TYPES else {}
        if attribute.enum and out.get("type") == "integer":
            out["enum"] = sorted(int(k) for k in attribute.enum)
    return {"type": "array", "minItems": 1, "items": out} if attribute.is_array else out


def described(schema, what, used, required):
    unknown = [name for name in used if name not in what.attributes]
    unused = [name for name in required if name not in used]
    if unknown or unused:
        raise SystemExit(f"{what.name}: not in the schema: {unknown}; required and unused: {unused}")
    out = {"type": "object", "additionalProperties": False, "required": sorted(required),
           "properties": {n: json_schema(schema, what.attributes[n]) for n in sorted(used)}}
    for one_of in [(getattr(what, "constraints", None) or {}).get("at_least_one", [])]:
        if one_of:
            out["anyOf"] = [{"required": [n]} for n in one_of if n in used]
    return out


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("OCSF_SCHEMA")
    if not source:
        print("ocsf_schema.py: skipped: OCSF_SCHEMA names no checkout of the OCSF schema")
        return
    folder = pathlib.Path(source)
    version = json.loads((folder / "version.json").read_text())["version"]
    if version != "1.8.0":
        raise SystemExit(f"{folder}: version {version}, 1.8.0 is needed")
    from ocsf.compile import Compilation
    from ocsf.repository import read_repo

    schema = Compilation(read_repo(str(folder))).build()
    classes = []
    for name, used in CLASSES.items():
        event, own = schema.classes[name], own_attributes(folder, name)
        applied = PROFILES.get(name, set())
        required = [n for n, a in event.attributes.items() if a.requirement == "required"
                    and (a.profile is None or n in own or a.profile in applied)]
        classes.append(described(schema, event, used, required))
    definitions = {}
    for name, used in OBJECTS.items():
        what = schema.objects[name]
        definitions[name] = described(
            schema, what, used,
            [n for n, a in what.attributes.items()
             if a.requirement == "required" and a.profile is None])
    OUT.write_text(json.dumps(
        {"$schema": "http://json-schema.org/draft-07/schema#",
         "title": "OCSF 1.8.0, the part that lantern audit export and scan use (tools/golden/ocsf_schema.py)",
         "definitions": definitions, "oneOf": classes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
