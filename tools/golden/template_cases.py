"""Conversations that templates are tried with, and the committed cases."""

import itertools
import json

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place, as “measured” there.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "City & country"},
                    "days": {"type": "integer", "default": 1, "minimum": 0},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    "tags": {"type": "array", "items": {"type": "string"}, "nullable": True},
                    "at": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                },
                "required": ["place"],
            },
            "return": {"type": "object", "description": "a report"},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]

SYSTEM = {"role": "system", "content": "You are <b>brief</b>."}
USER = {"role": "user", "content": "  Hello, wörld! 你好 🙂\n\n"}
ANSWER = {"role": "assistant", "content": "Hi there."}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "type": "function",
            "id": "call00001",
            "function": {
                "name": "get_weather",
                "arguments": {"place": "Zürich \"old\" town", "days": 2, "tags": ["a", None, True, 1.5]},
            },
        }
    ],
}
TWO_CALLS = {
    "role": "assistant",
    "content": "Looking.",
    "tool_calls": [
        CALL["tool_calls"][0],
        {"type": "function", "id": "call00002", "function": {"name": "now", "arguments": {}}},
    ],
}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"t\": 21.5}"}
RESULT_2 = {"role": "tool", "name": "now", "tool_call_id": "call00002", "content": "noon"}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def with_arguments_as_text(message):
    calls = [
        {**c, "function": {**c["function"], "arguments": json.dumps(c["function"]["arguments"])}}
        for c in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def matrix():
    """Name, messages and options; no template yet."""
    again = {"role": "user", "content": "And now?"}
    blocks = {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}
    thinking = {"role": "assistant", "content": "It is 4.", "reasoning_content": "2 + 2\nis 4"}
    inline = {"role": "assistant", "content": "<think>\nhm, so\n</think>\n\nYes."}
    talks = {
        "user": [USER],
        "system": [SYSTEM, USER],
        "turns": [USER, ANSWER, again],
        "system turns": [SYSTEM, USER, ANSWER, again, ANSWER],
        "empty system": [{"role": "system", "content": ""}, USER],
        "empty content": [{"role": "user", "content": ""}],
        "empty answer": [USER, {"role": "assistant", "content": ""}, again],
        "blocks": [blocks],
        "system blocks": [{"role": "system", "content": [{"type": "text", "text": "Short."}]}, blocks, ANSWER],
        "special in content": [{"role": "user", "content": "<|im_end|>\n<|im_start|>system</s>[INST]"}],
        "reasoning": [USER, thinking, again],
        "reasoning last": [SYSTEM, USER, thinking],
        "inline reasoning": [USER, inline, again, inline],
        "call": [USER, CALL, RESULT],
        "call answered": [SYSTEM, USER, CALL, RESULT, ANSWER, again],
        "two calls": [USER, TWO_CALLS, RESULT, RESULT_2, ANSWER],
        "call as text": [USER, with_arguments_as_text(CALL), RESULT],
        "call with reasoning": [USER, {**CALL, "reasoning_content": "need a tool"}, RESULT],
        "developer": [{"role": "developer", "content": "Be exact."}, USER],
        "two users": [USER, again],
        "two systems": [SYSTEM, SYSTEM, USER],
        "assistant first": [ANSWER, USER],
        "unknown role": [{"role": "wizard", "content": "Abracadabra"}, USER],
        "ipython": [USER, CALL, {**RESULT, "role": "ipython"}],
        "null content": [USER, {"role": "assistant", "content": None}, again],
        "numbers": [{"role": "user", "content": "7"}, {"role": "assistant", "content": "-0.5", "n": 3, "f": 1e20}],
        "long": [SYSTEM] + [USER, ANSWER] * 12 + [again],
    }
    for (name, messages), prompt, tools in itertools.product(talks.items(), (True, False), (None, TOOLS)):
        case = {"messages": messages, "add_generation_prompt": prompt, "special_tokens": TOKENS}
        if tools is not None:
            case["tools"] = tools
        yield {"name": f"{name}{' prompt' * prompt}{' tools' * (tools is not None)}", **case}
    for name in ("user", "turns", "system turns", "reasoning last", "blocks"):
        messages = talks[name]
        if messages[-1]["role"] != "assistant":
            messages = messages + [{"role": "assistant", "content": "Well, I "}]
        yield {"name": f"{name} continued", "messages": messages, "special_tokens": TOKENS,
               "continue_final_message": True}
    documents = [{"title": "A", "text": "first"}, {"title": "B", "text": "zweiter"}]
    for extra in ({"enable_thinking": False}, {"enable_thinking": True}, {"thinking": True},
                  {"reasoning_effort": "high"}, {"custom_tools": TOOLS}, {"keep_past_thinking": True},
                  {"preserve_thinking": True}, {"model_identity": "I am a test."}, {"builtin_tools": ["python"]},
                  {"date_string": "05 Mar 2026"}, {"xml_tools": TOOLS}, {"tools_in_user_message": False}):
        for name in ("system turns", "reasoning", "call answered"):
            yield {"name": f"{name} {next(iter(extra))}={str(next(iter(extra.values())))[:5]}",
                   "messages": talks[name], "special_tokens": TOKENS, "add_generation_prompt": True,
                   "extra": extra}
    yield {"name": "documents", "messages": [SYSTEM, USER], "documents": documents,
           "special_tokens": TOKENS, "add_generation_prompt": True}
    yield {"name": "no tokens", "messages": [SYSTEM, USER, ANSWER]}


# Conversations that the committed templates are rendered with.
COMMITTED = ("user prompt", "system", "system turns prompt tools", "empty system prompt", "empty answer",
             "blocks prompt", "special in content prompt", "reasoning prompt", "reasoning last",
             "inline reasoning", "call prompt tools", "call answered prompt tools", "two calls tools",
             "call as text prompt tools", "developer prompt", "two users", "unknown role", "null content",
             "turns continued", "blocks continued", "system turns enable_thinking=False", "documents", "no tokens")

# Alone, with template_fuzz.CONTEXT as variables. Some must fail: see templates.json.
EXPRESSIONS = (
    # numbers
    "{{ 1 + 2 * 3 ** 2 - 7 // 2 % 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // -2 }} {{ -7.5 % 2 }} {{ 1 / 3 }}",
    "{{ -2 ** 2 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -n|abs }} {{ 1e16 }} {{ 1e15 }} {{ 1.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1e300 * 1e10 }}",
    "{{ 0.1 + 0.2 }} {{ 1e22 }} {{ 123456789012345678 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5_0 }} {{ 1.5e3 }}",
    "{{ true + 1 }} {{ true == 1 }} {{ 1 < 1.5 }} {{ 3 > 2 > 1 }} {{ 1 in [1.0] }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 15|round(-1) }} {{ 7|round }}",
    "{{ '42'|int }} {{ ' 4_2 '|int }} {{ '4.9'|int }} {{ 'x'|int(7) }} {{ 'ff'|int(0, 16) }} {{ '0x1f'|int(0, 16) }} {{ '٣٤'|int }} {{ none|int(3) }} {{ '1e3'|float }} {{ 'nan'|float }} {{ '-inf'|float }}",
    "{{ 1 // 0 }}", "{{ 1.0 / 0 }}", "{{ 5 % 0 }}", "{{ 0.0 ** -1 }}", "{{ missing + 1 }}", "{{ 'a' + 1 }}", "{{ [] + () }}", "{{ -'a' }}", "{{ none < 1 }}", "{{ [1] < ['a'] }}",
    # strings
    "{{ s|length }} {{ s[0] }}{{ s[2] }}{{ s[-3] }} {{ s[2:6] }} {{ s[::-1] }} {{ s[::3] }} {{ s[-4:] }} {{ s[99] }} {{ s[5:2] }}",
    "{{ 'straße'|upper }} {{ 'ΌΔΟΣ'.lower() }} {{ 'ǆ'.title() }} {{ 'ŉ'|upper }} {{ 'İ'.lower() }} {{ 'they are BILL'.title() }} {{ 'they\\'re-(bill)'|title }} {{ 'ßa'.capitalize() }}",
    "{{ '\\u2003x\\xa0\\x1c'.strip() }}| {{ 'xxabxx'.strip('x') }} {{ 'a\\r\\nb\\x0bc\\u2028d\\n'.splitlines() }} {{ 'a\\n\\nb'.splitlines(true) }}",
    "{{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b '.split() }} {{ ' a  b '.split(' ') }} {{ 'a  b c '.split(none, 1) }} {{ 'aaa'.split('aa') }} {{ 'aaa'.rsplit('aa') }} {{ ''.split() }} {{ ''.split(',') }}",
    "{{ 'banana'.replace('an', 'AN', 1) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.replace('', '-', 2) }} {{ 'banana'.count('a') }} {{ 'banana'.find('n', 3) }} {{ 'banana'.rfind('n') }} {{ 'банан'.find('н') }} {{ 'banana'.index('b') }} {{ ''.count('') }}",
    "{{ 'x'.join(['a', 'b']) }} {{ 'ab'.startswith(('x', 'a')) }} {{ 'ab'.endswith('b', 0, 1) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'ab'.partition('x') }} {{ 'ab'.center(7, '*') }} {{ 'ab'.center(6) }}| {{ '-5'.zfill(4) }} {{ 'aXb'.swapcase() }}",
    "{{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }} {{ 'é1'.isalnum() }} {{ ''.isalpha() }} {{ 'Ab'.istitle() }} {{ 'a1'.islower() }} {{ ' \\t'.isspace() }} {{ 'a'.isascii() }}",
    "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'abc' 'def' }} {{ 'a' * 3 }} {{ 2 * 'ab' }} {{ 'a' * -1 }} {{ 'b' in 'abc' }} {{ '' in 'abc' }}",
    "{{ '\\a\\q\\101\\x41\\u00e9\\U0001F642' }} {{ 'a\\\nb' }}", "{{ 'x'.join([1]) }}", "{{ ''.split('') }}", "{{ 'a'.index('b') }}", "{{ 1 in 'a' }}", "{{ 'a'.nope() }}", "{{ s[1:'x'] }}", "{{ 'abc'[::0] }}",
    # printf and format
    "{{ '%s|%r|%5s|%-5s|%.2s|%%' % ('a', 'b', 'c', 'd', 'efg') }} {{ '%d|%5d|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%i' % (1, 2, 3, 4, 5, 6, 255, 255, 255, 8, 9.9) }}",
    "{{ '%f|%.2f|%e|%g|%G|%.3g|%10.2f|%-10.1f|%+.1f' % (1.5, 2.345, 12345.678, 0.0001, 1e-10, 1234.5, 3.14159, 2.5, 2.25) }} {{ '%c%c' % ('a', 98) }} {{ '%(k)s-%(k)5s' % {'k': 'v'} }} {{ '%*d|%.*f' % (5, 42, 2, 1.0) }}",
    "{{ '%s' % none }} {{ '%s' % [1, 'a'] }} {{ '%s' % {} }} {{ '%d' % true }} {{ '%s %s'|format(1, 2) }} {{ '%(a)s'|format(a=1) }}",
    "{{ '{} {}'.format(1, 'a') }} {{ '{1} {0}'.format(1, 2) }} {{ '{a} {b[x]} {b[y][0]}'.format(a=1, b={'x': 2, 'y': [3]}) }} {{ '{{}}'.format() }} {{ '{!r:>6}'.format('a') }} {{ '{:{w}}|'.format('a', w=4) }}",
    "{{ '{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:+}|{:,}|{:_}|{:x}|{:#b}|{:e}|{:.2f}|{:%}|{:10.3}|{:g}'.format('a', 'b', 'c', 'd', 42, 7, 1234567, 1234567, 255, 5, 12345.678, 2.345, 0.25, 2.0, 1e10) }}",
    "{{ '%d' % 'a' }}", "{{ '%s %s' % ('a',) }}", "{{ '%s' % ('a', 'b') }}", "{{ '{} {}'.format(1) }}", "{{ '{} {0}'.format(1) }}", "{{ '{:d}'.format('a') }}", "{{ '%(a)s' % 1 }}", "{{ '%z' % 1 }}", "{{ '{'.format() }}",
    # lists, dicts, tuples
    "{{ [1, 2, 3][1:] }} {{ (1,) }} {{ () }} {{ (1, 2) + (3,) }} {{ [1] * 2 }} {{ {'a': 1, 'b': [none, true]} }} {{ {1: 2, 1.0: 3} }} {{ {}.get('x') }} {{ {'a': 1}.get('b', 'd') }} {{ [1, 2] == [1, 2.0] }} {{ (1, 2) < (1, 3) }}",
    "{{ d.keys() }} {{ d.values()|list }} {{ d.items()|list }} {{ d|list }} {{ d|items|list }} {{ d.b }} {{ d['b'] }} {{ d.get('é').x }} {{ 'A' in d }} {{ d|length }} {{ l.index(1) }} {{ l.count(1) }} {{ (1, 1).count(1) }}",
    "{{ d|dictsort }} {{ d|dictsort(true) }} {{ {'a': 3, 'b': 1}|dictsort(by='value', reverse=true) }} {{ {'x': {'y': [10, 20]}}.x.y[-1] }} {{ {'a.b': 1}['a.b'] }} {{ {(1, 2): 3}[(1, 2)] }}",
    "{{ {[]: 1} }}", "{{ d.missing.x }}", "{{ l.append(1) }}", "{{ d.update({}) }}", "{{ d.pop('b') }}", "{{ l.sort() }}", "{{ d.clear is defined }} {{ d.pop }}", "{{ range(100001) }}", "{{ range(1, 2, 0) }}", "{{ dict(1) }}", "{{ none.x.y }}", "{{ none.x is defined }} {{ n.real is defined if false }}",
    # filters
    "{{ q|sort }} {{ q|sort(case_sensitive=true) }} {{ q|sort(reverse=true) }} {{ r|sort(attribute='v', reverse=true)|map(attribute='k')|join }} {{ r|sort(attribute='k,v')|map(attribute='v')|list }} {{ q|unique|list }} {{ i|min }}{{ i|max }} {{ q|max }} {{ r|max(attribute='v') }}",
    "{{ i|sum }} {{ r|sum(attribute='v') }} {{ [[1], [2]]|sum(start=[]) }} {{ i|first }}{{ i|last }} {{ []|first is defined }} {{ []|max is undefined }} {{ 'abc'|first }} {{ 'abc'|last }} {{ d|first }} {{ range(5)|last }}",
    "{{ r|groupby('k') }} {% for g in r|groupby('k') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %} {{ [1, 2, 3, 4, 5]|batch(2, 0)|list }} {{ [1, 2, 3, 4, 5]|slice(2, 0)|list }} {{ i|reverse|list }} {{ 'añb'|reverse }} {{ 'añb'|list }}",
    "{{ r|map(attribute='k')|map('upper')|join(', ') }} {{ r|map(attribute='zz', default='-')|list }} {{ ['a', 'b']|map('replace', 'a', 'x')|list }} {{ [[1, 2], [3]]|map(attribute='0')|list }} {{ none|map('upper')|list }}",
    "{{ l|select('string')|list }} {{ l|reject('none')|list }} {{ l|select|list }} {{ r|selectattr('v', 'gt', 1)|map(attribute='k')|list }} {{ r|rejectattr('k', 'in', ['x', 'y'])|list }} {{ r|selectattr('v')|list|length }} {{ r|selectattr('k', 'eq', 'x')|first }}",
    "{{ [1, 'a', none, true, 1.5]|join('-') }} {{ r|join(',', attribute='k') }} {{ 'abc'|join('.') }} {{ missing|join }} {{ 5|string ~ 5 }} {{ missing|length }} {{ missing|default(1) }} {{ ''|default(1) }} {{ ''|default(1, true) }} {{ none|d('x') }}",
    "{{ 'a\\nb\\n\\nc'|indent }} {{ 'a\\nb'|indent(2, true) }} {{ 'a\\n\\nb\\n'|indent(1, blank=true) }}| {{ 'a\\nb'|indent('> ', first=true) }} {{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true, '!', 0) }} {{ 'a b c'|wordcount }} {{ '<a href=\"x\">&\\''|e }}",
    "{{ 'a b/ü&'|urlencode }} {{ {'a b': 'c/d', 'e': 1}|urlencode }} {{ 'x'|center(5) }}| {{ ('<'|e) + '<' }} {{ ('<b>'|safe) + '<' }} {{ '<' + ('<'|e) }} {{ [('<'|e)] }} {{ 'x'|attr('upper') is callable }} {{ d|attr('b') is defined }}",
    "{{ d|tojson }} {{ d|tojson(indent=2) }} {{ d|tojson(indent=0) }} {{ d|tojson(sort_keys=true, separators=(',', ':')) }} {{ '</é\\n\\x7f🙂>'|tojson }} {{ '</é\\n\\x7f🙂>'|tojson(ensure_ascii=true) }} {{ [1.0, 1e100, none, true, (1, 2), {1: 2, none: 3, true: 4, 1.5: 5}]|tojson }} {{ []|tojson(indent=2) }}",
    "{{ missing|tojson }}", "{{ {(1, 2): 3}|tojson }}", "{{ range(3)|tojson }}", "{{ 5|length }}", "{{ i|map('upper')|first|nope }}", "{{ none|join }}", "{{ [1, 'a']|sort }}", "{{ 5|items|list }}", "{{ 'a'|nope }}", "{% if false %}{{ 'a'|nope }}{% endif %}fine", "{{ 'a' is nope }}", "{{ ('a'|nope) if false else 'fine' }}", "{{ [d]|unique|list }}", "{{ 'a'|round }}", "{{ 3|indent }}",
    # tests
    "{{ 1 is integer }} {{ true is integer }} {{ true is number }} {{ 1.0 is float }} {{ 'a' is string }} {{ d is mapping }} {{ l is sequence }} {{ d is sequence }} {{ d.keys() is sequence }} {{ d.keys() is iterable }} {{ 5 is iterable }} {{ 's' is iterable }} {{ missing is iterable }} {{ namespace() is mapping }}",
    "{{ none is none }} {{ missing is none }} {{ missing is undefined }} {{ none is defined }} {{ false is false }} {{ 0 is false }} {{ 3 is odd }} {{ 4 is even }} {{ 6 is divisibleby 3 }} {{ 1 is eq 1.0 }} {{ 2 is gt(1) }} {{ 'a' is in ['a'] }} {{ 'a' is not in 'bc' }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ true is sameas true }} {{ 1 is sameas true }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ range is callable }}",
    # the sandbox
    "{{ ''.__class__ }}|", "{{ ''.__class__.__mro__ }}", "{{ ''['__class__'].x }}", "{{ d.__init__.__globals__ }}", "{{ range.__globals__.x }}", "{{ ''|attr('__class__')|attr('mro') }}", "{{ ('{0.__class__}').format(1) }}|", "{{ ('{0.__class__.__mro__}').format(1) }}", "{{ namespace(_x=1) }}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ [].__len__() }}", "{{ raise_exception('no') }}", "{{ raise_exception() }}", "{{ nothing() }}", "{{ 'a'() }}", "{% set d.x = 1 %}", "{{ strftime_now('%Y-%m-%d %H:%M:%S %j %a %B %-d %p %y %U %W %u %w %G-%V %e|%I|%c|%x|%X|%D|%F|%T|%R|%h|%%') }}",
    # syntax that is none
    "{{ }}", "{{ 1 + }}", "{% if %}{% endif %}", "{% for x %}{% endfor %}", "{% for x in l %}", "{% endfor %}", "{% set 1 = 2 %}", "{% set none = 2 %}", "{{ 'a }}", "{{ (1 }}", "{{ [1) }}", "{% unknown %}", "{# open", "{% raw %}open", "{{ a b }}", "{{ f(a=1, 2) }}", "{{ f(a=1, a=2) }}", "{{ 1 is odd is even }}", "{% break %}", "{% macro f(a=1, b) %}{% endmacro %}", "{% call 5 %}{% endcall %}", "{{ $ }}", "{{ a.'b' }}", "{{ {1: } }}", "{{ {1} }}", "{% if true %}{% else %}{% else %}{% endif %}", "{{ ! }}", "{{ 1 if }}", "{% for a, in [[1]] %}{{ a }}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}",
    # scopes that Jinja decides at compile time
    "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}", "{% for x in [1] %}{{ n }}{% endfor %}{% set n = 2 %}{{ n }}", "{% if n %}{% set n = 3 %}{% endif %}{{ n }}", "{% if false %}{% set n = 3 %}{% endif %}{% macro m() %}{{ n }}{% endmacro %}{{ m() }}", "{% filter upper %}{{ q|join }}{% endfilter %}{% set q = ['z'] %}{{ q }}",
)


def committed(folder):
    """(file, conversation) pairs; the conversations are those of matrix() by name."""
    for path in sorted(folder.glob("*.jinja")):
        for name in COMMITTED if "{%- for m" in path.read_text() or "in messages" in path.read_text() else ("user prompt",):
            yield path.name, name
