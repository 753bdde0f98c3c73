#!/usr/bin/env python3
"""Calls of tools as templates write them: src/text/testdata/tool_calls.json.

For each template of src/text/testdata/tool_templates/ transformers renders conversations in which
tools are called with random arguments (its tojson is json.dumps, its string of a list Python's own
repr), and what stands where the assistant's answer stands is kept with the calls it was made from.
Templates that write no calls get theirs as the model's documentation spells them.

  tool_calls.py                    writes the file
  tool_calls.py compare TOOL PATH...   which syntax TOOL (template_tool) reads off every template
                                   under each PATH; prints one line each
"""

import json
import pathlib
import random
import sys

import templates

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "src" / "text" / "testdata"
TOOLS = ["weather", "get_time", "send-mail"]
TEXTS = ["Rome", "", "a \"quoted\" word", "it's", "back\\slash", "line\nbreak\ttab", "grüße 日本 🙂",
         "</tool_call>", "[TOOL_CALLS]", "{\"name\": 1}", "```", "100 % <b>", "\u0001"]


def value_of(rng, depth=0):
    kind = rng.randrange(9 if depth < 3 else 7)
    if kind < 3:
        return rng.choice(TEXTS)
    if kind == 3:
        return rng.choice([0, -7, 42, 10**12])
    if kind == 4:
        return rng.choice([0.5, -2.25, 1e30, 3.0])
    if kind == 5:
        return rng.choice([True, False])
    if kind == 6:
        return None
    if kind == 7:
        return [value_of(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(["a", "b b", "ü", "\"q\""]): value_of(rng, depth + 1) for _ in range(rng.randrange(3))}


def calls_of(rng, n, tools):
    names = ["city", "days", "note", "deep"]
    return [{"name": rng.choice(tools), "arguments": {k: value_of(rng) for k in names[:rng.randrange(5)]}}
            for _ in range(n)]


def rendered(module, source, messages):
    tools = [{"type": "function", "function": {"name": t, "description": "", "parameters": {"type": "object", "properties": {}}}}
             for t in TOOLS]
    return module.render_jinja_template(conversations=[messages], tools=tools, chat_template=source,
                                        bos_token="<s>", eos_token="</s>")[0][0]


def written(module, source, calls, content, reasoning):
    user = {"role": "user", "content": "QUESTION"}
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning, "tool_calls": [
        {"id": f"call{i:05d}", "type": "function", "function": c} for i, c in enumerate(calls)]}
    plain = rendered(module, source, [user, {"role": "assistant", "content": "@"}])
    head, tail = plain.split("@")
    whole = rendered(module, source, [user, {k: v for k, v in message.items() if v}])
    assert whole.startswith(head) and whole.endswith(tail), (head, tail, whole)
    return whole[len(head):len(whole) - len(tail)]


def phi(calls):
    return "<|tool_call|>" + json.dumps(calls, ensure_ascii=False) + "<|/tool_call|>"


def write():
    module = templates.reference()
    rng = random.Random(5)
    cases = []
    for path in sorted((DATA / "tool_templates").glob("*.jinja")):
        name = path.stem
        if name in ("none", "unknown"):
            continue
        # Python's names have no hyphen.
        tools = [t for t in TOOLS if "-" not in t] if name in ("pythonic", "lfm2", "gemma_tool_code") else TOOLS
        for i in range(12):
            calls = calls_of(rng, 1 if name == "llama" or i < 4 else rng.randrange(1, 4), tools)
            content = "Let me see." if name == "hermes" and i % 3 == 0 else ""
            reasoning = "It asks for\n\ntwo things." if name == "hermes" and i % 4 == 0 else ""
            text = phi(calls) if name == "phi" else written(module, path.read_text(), calls, content, reasoning)
            cases.append({"syntax": name, "text": text, "content": content, "reasoning": reasoning, "calls": calls})
    out = "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n"
    (DATA / "tool_calls.json").write_text(out)


def compare(tool, paths):
    found = [t for p in paths for t in templates.find_templates(p)]
    answers = templates.run_tool(tool, [{"template": source, "message_syntax": True,
                                         "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"}}
                                        for _, source in found])
    for (name, _), answer in zip(found, answers):
        print(f"{name}: {json.dumps(answer)}")


if sys.argv[1:2] == ["compare"]:
    compare(sys.argv[2], sys.argv[3:])
else:
    write()
