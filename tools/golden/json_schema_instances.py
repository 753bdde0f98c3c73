"""Makes src/text/testdata/json_schema_instances.json: schemas, and values that jsonschema finds valid
or not.

    python tools/golden/json_schema_instances.py > src/text/testdata/json_schema_instances.json

The values are pools of each type and changes of them (a member left out, added, or replaced; an item
more or less), the same for every schema, so both answers are common. Values that cannot be written in
canonical form differently from another (1.0 and 1) are there once.
"""
import json
import random

from jsonschema import Draft202012Validator

SCALARS = [None, True, False, 0, 1, 2, 3, -1, 7, 10, 12, 99, 100, 101, 0.5, 1.5, -2.25, 12.75, 99.99, 100.01,
           "", "a", "b", "ab", "abc", "abcd", "aaaaaa", "x-1", "A1", "é", "日本語", "a\"b", "a\\b", "a\nb", "\u0001",
           "2024-02-29", "2023-02-29", "127.0.0.1", "256.1.1.1"]
OBJECTS = [{}, {"a": 1}, {"a": "x"}, {"b": True}, {"a": 1, "b": True}, {"a": 1, "b": True, "c": None},
           {"a": 2.5, "c": "x"}, {"type": "circle", "r": 2}, {"type": "square", "side": 3},
           {"type": "circle", "side": 3}, {"x-1": 1, "a": 2}, {"name": "n", "children": []},
           {"name": "n", "children": [{"name": "m", "children": []}]},
           {"name": "n", "children": [{"name": 3, "children": []}]}, {"a": {"a": 1}}, {"d": 4, "e": 5, "f": 6}]
ARRAYS = [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], ["a"], ["a", 1], ["a", 1, True], ["a", 1, True, None], [[1], []],
          [{"a": 1}], [0.5], [None, None]]

SCHEMAS = [
    {}, {"type": "integer"}, {"type": "number"}, {"type": ["string", "null"]},
    {"type": "integer", "minimum": 1, "maximum": 100}, {"type": "number", "exclusiveMinimum": -1, "maximum": 12.75},
    {"type": "number", "multipleOf": 0.25}, {"type": "integer", "multipleOf": 3},
    {"type": "string", "minLength": 2, "maxLength": 3}, {"type": "string", "pattern": "^[a-z]+$"},
    {"type": "string", "pattern": "b"}, {"pattern": "^a", "maxLength": 4, "minLength": 2},
    {"type": "boolean", "not": {"const": True}}, {"not": {"enum": [True, "a", None]}},
    {"type": "integer", "not": {"enum": [1, 10, -1]}}, {"type": "number", "not": {"const": 0}},
    {"type": "integer", "minimum": 1, "maximum": 100, "not": {"enum": [7, 99, 100]}},
    {"properties": {"b": {"type": "boolean"}, "a": {"type": "integer"}},
     "if": {"properties": {"b": {"const": True}}, "required": ["b"]}, "then": {"required": ["a"]}},
    {"properties": {"a": {"type": "integer"}, "c": {"type": "null"}},
     "if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["c"]}},
    {"enum": [1, "a", None, [1, 2], {"a": 1}]}, {"const": "日本語"}, {"const": {"a": 1, "b": True}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "boolean"}},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
    {"type": "array", "minItems": 2}, {"items": {"items": {"const": 1}}},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object", "patternProperties": {"^[a-c]$": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "maxProperties": 1}, {"type": "object", "minProperties": 1},
    {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "additionalProperties": False, "minProperties": 2},
    {"type": "object", "propertyNames": {"pattern": "^.$"}}, {"required": ["a"]},
    {"anyOf": [{"type": "integer"}, {"minLength": 2}]}, {"allOf": [{"minimum": 1}, {"maximum": 10}], "type": "number"},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"oneOf": [{"type": "number", "minimum": 0}, {"type": "number", "maximum": 7}]},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
    {"oneOf": [{"properties": {"type": {"const": "circle"}, "r": {"type": "integer"}}, "required": ["type", "r"]},
               {"properties": {"type": {"const": "square"}, "side": {"type": "integer"}},
                "required": ["type", "side"]}], "type": "object"},
    {"type": "string", "not": {"enum": ["a", "abc"]}}, {"type": "object", "not": {"required": ["a"]}},
    {"not": {"type": ["object", "array", "number"]}},
    {"type": "object", "if": {"properties": {"type": {"const": "circle"}}, "required": ["type"]},
     "then": {"required": ["r"]}, "else": {"maxProperties": 2}},
    {"type": "object", "dependentRequired": {"a": ["b"]}},
    {"type": "object", "properties": {"name": {"type": "string"}, "children": {"type": "array",
     "items": {"$ref": "#"}}}, "required": ["name", "children"], "additionalProperties": False},
    {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"a": {"$ref": "#/$defs/y"}}},
                                    "y": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/x"}]}}},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"minimum": 2}}, "required": ["a"]}]},
    {"oneOf": [{"type": "integer", "minimum": 2}, {"type": "number", "maximum": 50}]},
    {"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "integer"}}]},
    {"oneOf": [{"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"], "additionalProperties": False},
               {"properties": {"a": {}, "c": {}}, "required": ["a"], "additionalProperties": False}],
     "type": "object"},
    {"oneOf": [{"type": "object", "additionalProperties": {"type": "integer"}},
               {"type": "object", "additionalProperties": {"type": "string"}}]},
    {"type": "object", "not": {"patternProperties": {"^[ab]$": {"type": "integer"}}},
     "properties": {"a": {}, "b": {}, "zz": {}}, "additionalProperties": False},
    {"type": "object", "not": {"properties": {"a": {}, "b": {}}, "additionalProperties": False}},
    {"type": "array", "not": {"prefixItems": [{"type": "string"}], "items": False}, "maxItems": 3},
    {"not": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 7}, {"type": "array"}, {"type": "object"}]}},
    {"not": {"if": {"type": "integer"}, "then": {"minimum": 7}, "else": {"type": "string"}},
     "type": ["number", "string", "null"]},
]


def pool():
    rng = random.Random(5)
    values = SCALARS + OBJECTS + ARRAYS
    for value in OBJECTS + ARRAYS:
        for _ in range(3):
            copy = json.loads(json.dumps(value))
            if isinstance(copy, list):
                copy.insert(rng.randrange(len(copy) + 1), rng.choice(SCALARS))
            else:
                copy[rng.choice(["a", "b", "c", "r", "side", "name", "zz"])] = rng.choice(SCALARS)
            values.append(copy)
    unique = {json.dumps(v, sort_keys=True): v for v in values}
    return list(unique.values())


def main():
    values = pool()
    cases = []
    for schema in SCHEMAS:
        Draft202012Validator.check_schema(schema)
        judge = Draft202012Validator(schema)
        cases.append({"schema": schema, "valid": [i for i, v in enumerate(values) if judge.is_valid(v)]})
    print("{\"values\": [")
    print(",\n".join(json.dumps(v, ensure_ascii=False) for v in values))
    print("], \"cases\": [")
    print(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases))
    print("]}")


main()
