#!/usr/bin/env python3
"""Chat templates rendered by transformers' own environment, to hold Lantern's against.

  templates.py write            src/text/testdata/templates.json from the templates beside it
                                and from conversations and expressions in template_cases.py
  templates.py compare TOOL PATH...   every template under each PATH (*.jinja files, GGUF files,
                                tokenizer_config.json, and folders of them) over a matrix of
                                conversations, byte for byte; TOOL is the program template_tool
  templates.py fuzz TOOL [--seed N --count N]    random templates from a grammar

Needs transformers and jinja2 (versions in requirements.txt beside this file). Nothing of
the templates that `compare` reads is kept.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys

import template_cases
import template_fuzz

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "src" / "text" / "testdata"
DATE = (2026, 3, 5, 14, 7, 9)


def reference():
    """transformers' module, with the clock its strftime_now reads held still."""
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(*DATE)

    chat_template_utils.datetime = Clock
    return chat_template_utils


def expected(module, case):
    """What apply_chat_template gives, or None where it raises."""
    messages = [{k: v for k, v in m.items() if v is not None} for m in case["messages"]]
    names = {**case.get("special_tokens", {}), **case.get("extra", {})}
    try:
        rendered, _ = module.render_jinja_template(
            conversations=[messages],
            tools=case.get("tools"),
            documents=case.get("documents"),
            chat_template=case["template"],
            add_generation_prompt=case.get("add_generation_prompt", False),
            continue_final_message=case.get("continue_final_message", False),
            **names,
        )
        return rendered[0], None
    except RecursionError:
        return None, "RecursionError"
    except Exception as e:  # whatever a template makes Python raise
        return None, f"{type(e).__name__}: {e}"


def run_tool(tool, cases):
    lines = "".join(json.dumps({**c, "date": DATE}) + "\n" for c in cases)
    done = subprocess.run([tool], input=lines, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(cases):
        sys.exit(f"{tool} answered {len(answers)} of {len(cases)} cases, exit status "
                 f"{done.returncode}\n{done.stderr[-2000:]}")
    return answers


def find_templates(path):
    """(name, source) of each template under a path."""
    path = pathlib.Path(path)
    if path.is_dir():
        for child in sorted(path.rglob("*")):
            if child.suffix in (".jinja", ".jinja2", ".gguf") or child.name == "tokenizer_config.json":
                yield from find_templates(child)
    elif path.suffix == ".gguf":
        import gguf

        field = gguf.GGUFReader(path).fields.get("tokenizer.chat_template")
        if field is not None:
            yield path.name, field.contents()
    elif path.name == "tokenizer_config.json":
        template = json.loads(path.read_text()).get("chat_template")
        named = template if isinstance(template, list) else [{"name": "", "template": template}]
        for one in named:
            if one["template"]:
                yield f"{path.parent.name} {one['name']}".strip(), one["template"]
    else:
        yield path.stem, path.read_text()


def agree(ours, text, error):
    return ("error" in ours) if text is None else ours.get("text") == text


def show_difference(ours, text, error):
    if text is None:
        return f"reference fails ({error[:160]}), ours gives {ours['text'][:160]!r}"
    if "error" in ours:
        return f"ours fails: {ours['error'][:200]}"
    at = next((i for i, (a, b) in enumerate(zip(ours["text"], text)) if a != b),
              min(len(ours["text"]), len(text)))
    return f"at {at}: ours {ours['text'][max(at - 40, 0):at + 60]!r} reference {text[max(at - 40, 0):at + 60]!r}"


def compare(args):
    module = reference()
    n_cases = n_agree = n_rendered = 0
    families, failing = set(), set()
    for root in args.paths:
        for name, source in find_templates(root):
            cases = [{**c, "template": source} for c in template_cases.matrix()]
            results = [expected(module, c) for c in cases]
            differences = []
            for case, (text, error), ours in zip(cases, results, run_tool(args.tool, cases)):
                n_cases += 1
                n_rendered += text is not None
                if agree(ours, text, error):
                    n_agree += 1
                else:
                    differences.append((case["name"], show_difference(ours, text, error)))
            (failing if differences else families).add(name)
            if differences:
                print(f"{name}: {len(differences)} of {len(cases)} differ")
                for case_name, what in differences[: args.show]:
                    print(f"  {case_name}: {what}")
    print(f"{len(families)} templates agree over all conversations, {len(failing)} do not; "
          f"{n_agree} of {n_cases} renderings agree, {n_rendered} of them with text, "
          f"{n_cases - n_rendered} refused by the reference")
    return 1 if failing or len(families) < args.at_least else 0


def fuzz(args):
    module = reference()
    cases = template_fuzz.cases(args.seed, args.count)
    differences = texts = 0
    for case, ours in zip(cases, run_tool(args.tool, cases)):
        text, error = expected(module, case)
        texts += text is not None
        if not agree(ours, text, error):
            differences += 1
            if differences <= args.show:
                print(f"{case['template']!r}\n  {show_difference(ours, text, error)}")
    print(f"{len(cases) - differences} of {len(cases)} agree, {texts} with text")
    return 1 if differences else 0


def write(args):
    module = reference()
    conversations = {c["name"]: c for c in template_cases.matrix()}
    folder = TESTDATA / "templates"
    files = []
    for file, name in template_cases.committed(folder):
        text, _ = expected(module, {**conversations[name], "template": (folder / file).read_text()})
        files.append([file, name, text])
    alone = [{"template": t, "messages": [], "extra": template_fuzz.CONTEXT} for t in template_cases.EXPRESSIONS]
    alone += template_fuzz.cases(seed=1, count=args.random)
    expressions = [[c["template"], expected(module, c)[0]] for c in alone]
    used = {name: {k: v for k, v in conversations[name].items() if k != "name"} for _, name, _ in files}
    sections = {
        "date": json.dumps(DATE),
        "context": json.dumps(template_fuzz.CONTEXT, ensure_ascii=False),
        "conversations": "{\n%s\n}" % ",\n".join(
            f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in used.items()),
        "files": "[\n%s\n]" % ",\n".join(json.dumps(f, ensure_ascii=False) for f in files),
        "expressions": "[\n%s\n]" % ",\n".join(json.dumps(e, ensure_ascii=False) for e in expressions),
    }
    path = TESTDATA / "templates.json"
    path.write_text("{\n%s\n}\n" % ",\n".join(f'"{k}": {v}' for k, v in sections.items()))
    refused = sum(f[2] is None for f in files), sum(e[1] is None for e in expressions)
    print(f"{len(files)} renderings of templates ({refused[0]} refused), {len(expressions)} "
          f"expressions ({refused[1]} refused), {path.stat().st_size} bytes")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("write")
    p.add_argument("--random", type=int, default=350, help="random templates among them")
    p.set_defaults(run=write)
    p = commands.add_parser("compare")
    p.add_argument("tool")
    p.add_argument("paths", nargs="+")
    p.add_argument("--show", type=int, default=3, help="differences shown for each template")
    p.add_argument("--at-least", type=int, default=25, help="templates that must agree")
    p.set_defaults(run=compare)
    p = commands.add_parser("fuzz")
    p.add_argument("tool")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--show", type=int, default=20)
    p.set_defaults(run=fuzz)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
