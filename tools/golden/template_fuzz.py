"""Random small templates from a grammar, typed so that most of them mean something.

What the two sides cannot agree on is left out: integers past 64 bits and the addresses in
the text of functions and generators.
"""

import random

CONTEXT = {
    "n": 7,
    "f": -2.5,
    "s": "Grüße, ǅungla! <b>&\n\tΑΣ 你好 'x' \"y\"",
    "w": "  one Two-three  four_five ",
    "l": [3, 1, 2.5, "b", "A", None, True],
    "q": ["b", "A", "c", "a"],
    "i": [5, -3, 0, 12, 5],
    "d": {"b": 1, "A": [1, 2], "é": {"x": None}},
    "r": [{"k": "x", "v": 1}, {"k": "y", "v": 2.0}, {"k": "X", "v": 3}],
}


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.depth = 0

    def pick(self, *options):
        return self.rng.choice(options)

    def deep(self):
        return self.depth > 3

    def make(self, kind):
        # Now and then a value of another type, so that errors are compared too.
        if self.rng.random() < 0.04:
            kind = self.pick("text", "integer", "real", "items", "mapping", "truth", "nothing")
        self.depth += 1
        out = getattr(self, kind)()
        self.depth -= 1
        return out

    def nothing(self):
        return self.pick("none", "missing", "d.missing", "''", "l[99]")

    def any(self):
        return self.make(self.pick("text", "text", "integer", "real", "items", "mapping", "truth"))

    def integer(self):
        if self.deep() or self.rng.random() < 0.3:
            return self.pick("0", "1", "2", "3", "-1", "10", "n", "255", "1_000")
        a = lambda: self.make("integer")
        return self.pick(
            lambda: f"({a()} {self.pick('+', '-', '*', '//', '%')} {a()})",
            lambda: f"{self.make('text')}|length",
            lambda: f"{self.make('items')}|count",
            lambda: f"({a()})|abs",
            lambda: f"({self.make('real')})|int",
            lambda: f"({self.make('text')})|int({self.pick('', '0', '-1', '5, 16')})",
            lambda: f"{self.make('text')}.find({self.short()})",
            lambda: f"({self.make('text')}).count({self.short()})",
            lambda: f"({self.make('numbers')}|{self.pick('sum', 'max', 'min', 'first', 'last')})",
            lambda: f"({a()} if {self.make('truth')} else {a()})",
            lambda: f"({self.make('text')}|wordcount)",
            lambda: f"2 ** {self.pick('0', '3', '10')}",
            lambda: f"-{a()}",
        )()

    def real(self):
        if self.deep() or self.rng.random() < 0.3:
            return self.pick("0.5", "-1.25", "1e3", "f", "2.0", "1e-7", "123456789.125", "3.14159")
        a = lambda: self.make("real")
        return self.pick(
            lambda: f"({a()} {self.pick('+', '-', '*', '/', '//', '%')} {self.pick(a, lambda: self.make('integer'))()})",
            lambda: f"({self.make('integer')} / {self.make('integer')})",
            lambda: f"({a()})|round({self.pick('', '1', '2', '0', chr(39).join(['1, ', 'floor', '']), chr(39).join(['2, ', 'ceil', ''])).strip()})",
            lambda: f"({self.make('text')})|float",
            lambda: f"({a()})|abs",
            lambda: f"({a()} ** 2)",
        )()

    def short(self):
        return self.pick("'a'", "'o'", "' '", "'ß'", "'x'", "'\\n'", "','", "'e'", "'好'", "'an'")

    def text(self):
        if self.deep() or self.rng.random() < 0.25:
            return self.pick("s", "w", "'abc'", "'ÀÉ ñ'", "''", "'a,b,,c'", "'x\\ny\\r\\n z'", "\"it's\"",
                             "'%d%%'", "r[0].k", "d['b']|string", "'MiXed ΣΑΣ'", "'-42'", "'0x1F'", "' 3.5 '")
        t = lambda: self.make("text")
        return self.pick(
            lambda: f"({t()} + {t()})",
            lambda: f"({t()} ~ {self.any()})",
            lambda: f"({t()})|{self.pick('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e')}|string",
            lambda: f"({t()} ~ '')|reverse",
            lambda: f"({t()}).{self.pick('upper()', 'lower()', 'title()', 'capitalize()', 'strip()', 'lstrip()', 'rstrip()', 'swapcase()')}",
            lambda: f"({t()}).{self.pick('strip', 'lstrip', 'rstrip')}({self.pick(self.short(), chr(39) + ' abo' + chr(39))})",
            lambda: f"({t()})|replace({self.short()}, {self.short()}{self.pick('', ', 1', ', 2')})",
            lambda: f"({t()}).replace({self.pick(self.short(), chr(39) * 2)}, {self.short()}{self.pick('', ', 1', ', 3')})",
            lambda: f"({t()} ~ '')[{self.slice()}]",
            lambda: f"({t()})[{self.make('integer')}]",
            lambda: f"({self.make('items')})|join({self.pick('', self.short(), chr(39) + ', ' + chr(39))})",
            lambda: f"{self.short()}.join({self.make('words')})",
            lambda: f"({self.any()})|tojson({self.pick('', 'indent=2', 'sort_keys=true', 'ensure_ascii=true', 'separators=(' + chr(39) + ',' + chr(39) + ', ' + chr(39) + ':' + chr(39) + ')', 'indent=1')})",
            lambda: f"({self.any()})|string",
            lambda: f"'%{self.pick('s', '5s', '-7s|', '.2s', 'r')}' % ({self.any()},)",
            lambda: f"'%{self.pick('d', '05d', '+d', '-4d|', 'x', '#o', 'X')}' % {self.make('integer')}",
            lambda: f"'%{self.pick('.2f', 'e', 'g', '08.3f', '+.0f', 'd')}' % {self.make('real')}",
            lambda: f"'%s and %s'|format({self.any()}, {self.any()})",
            lambda: f"'{{}}-{{}}'.format({self.any()}, {self.any()})",
            lambda: f"'{{:{self.pick('>8', '^9', '*<6', '.2', '')}}}'.format({t()})",
            lambda: f"'{{:{self.pick('d', '5d', '05', ',', '+', 'x', '#b', '_', '^7')}}}'.format({self.make('integer')})",
            lambda: f"'{{:{self.pick('.2f', '.1%', '10.3e', 'g', ',.2f', '.3', '+', '08.1f')}}}'.format({self.make('real')})",
            lambda: f"'{{0[k]}} {{0[v]:>4}} {{x!r}}'.format(r[{self.pick('0', '1', '2')}], x={t()})",
            lambda: f"({t()})|indent({self.pick('', '2', '3, true', '2, blank=true', chr(39) + '> ' + chr(39) + ', true, true')})",
            lambda: f"({t()})|truncate({self.pick('5', '8, true', '6, false, ' + chr(39) + '..' + chr(39) + ', 0', '10')})",
            lambda: f"({t()})|center({self.pick('9', '10', '3')})",
            lambda: f"({t()}).{self.pick('center(9, ' + chr(39) + '*' + chr(39) + ')', 'ljust(6)', 'rjust(7, ' + chr(39) + '.' + chr(39) + ')', 'zfill(5)')}",
            lambda: f"({t()})|default({t()}{self.pick('', ', true')})",
            lambda: f"({t()} * {self.pick('0', '1', '2', '3')})",
            lambda: f"({t()} if {self.make('truth')} else {t()})",
            lambda: f"({t()}).{self.pick('removeprefix', 'removesuffix')}({self.short()})",
            lambda: f"({t()})|urlencode",
            lambda: f"({self.make('items')}|first)",
            lambda: f"({self.make('truth')} {self.pick('and', 'or')} {t()})",
        )()

    def slice(self):
        part = lambda: self.pick("", "", "1", "2", "-1", "-3", "0", "100", "-100")
        return self.pick(lambda: f"{part()}:{part()}", lambda: f"{part()}:{part()}:{self.pick('1', '2', '-1', '-2', '')}")()

    def numbers(self):
        return self.pick("i", "[1, 2, 3]", "range(4)", "range(5, 0, -2)", "i|sort", "i|unique|list", "[n, f]",
                         "r|map(attribute='v')|list")

    def words(self):
        t = lambda: self.make("text")
        return self.pick(lambda: "q", lambda: f"({t()}).split({self.pick('', self.short(), 'none, 1')})",
                         lambda: f"({t()}).rsplit({self.pick('', self.short() + ', 1', 'none, 1')})",
                         lambda: f"({t()}).splitlines({self.pick('', 'true')})", lambda: f"({t()}).partition({self.short()})",
                         lambda: f"({t()}).rpartition({self.short()})", lambda: f"({t()})|list",
                         lambda: f"q|map({self.pick(chr(39) + 'upper' + chr(39), chr(39) + 'replace' + chr(39) + ', ' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + 'o' + chr(39))})|list",
                         lambda: "r|map(attribute='k')|list")()

    def items(self):
        if self.deep() or self.rng.random() < 0.25:
            return self.pick("l", "q", "i", "[]", "[1, [2, 'x'], (3,)]", "(n, 'b')", "r")
        x = lambda: self.make("items")
        return self.pick(
            lambda: f"({x()} + {x()})",
            lambda: f"({x()}|list)[{self.slice()}]",
            lambda: f"({x()})|list",
            lambda: f"[{self.any()}, {self.any()}]",
            lambda: f"({self.any()}, {self.any()})",
            lambda: self.make("words"),
            lambda: self.make("numbers"),
            lambda: f"({x()})|reverse|list",
            lambda: f"({self.make('words')})|sort({self.pick('', 'reverse=true', 'case_sensitive=true')})",
            lambda: f"r|sort(attribute={self.pick('chr', 'k', 'v', 'k,v')!r}{self.pick('', ', reverse=true')})",
            lambda: f"({x()})|unique|list",
            lambda: f"({x()})|{self.pick('select', 'reject')}({self.pick('', *map(repr, ('string', 'number', 'none', 'defined', 'mapping', 'iterable', 'sequence')))})|list",
            lambda: f"({self.make('numbers')})|{self.pick('select', 'reject')}({self.pick(*map(repr, ('odd', 'even')))})|list",
            lambda: f"({self.make('numbers')})|select({self.pick(chr(39) + 'gt' + chr(39), chr(39) + '<=' + chr(39), chr(39) + 'divisibleby' + chr(39))}, 2)|list",
            lambda: f"r|{self.pick('selectattr', 'rejectattr')}({self.pick(*map(repr, ('k', 'v')))}{self.pick('', ', ' + repr('equalto') + ', ' + repr('x'), ', ' + repr('in') + ', [1, ' + repr('y') + ']')})|list",
            lambda: f"({self.make('mapping')})|{self.pick('items|list', 'dictsort', 'dictsort(true)', 'dictsort(reverse=true)', 'list')}",
            lambda: f"({self.make('mapping')}).{self.pick('keys()', 'values()', 'items()')}|list",
            lambda: f"({x()})|{self.pick('batch(2)', 'slice(2)', 'batch(3, 0)', 'slice(3, none)')}|map('list')|list",
            lambda: f"r|groupby('k'{self.pick('', ', case_sensitive=true')})",
            lambda: f"({x()}) * {self.pick('0', '1', '2')}",
        )()

    def mapping(self):
        if self.deep() or self.rng.random() < 0.4:
            return self.pick("d", "{}", "r[1]", "{'x': 1, 'y': [2]}", "{1: 'a', true: 'b', none: 0, (1, 2): 'c'}", "d['é']")
        return self.pick(
            lambda: f"{{{self.make('text')}: {self.any()}, 'z': {self.any()}}}",
            lambda: f"dict({self.make('mapping')}, extra={self.any()})",
            lambda: f"dict(r|map(attribute='k')|map('list')|map('first')|batch(2)|map('list')|list)",
            lambda: f"({self.make('mapping')} or {self.make('mapping')})",
        )()

    def truth(self):
        if self.deep() or self.rng.random() < 0.2:
            return self.pick("true", "false", "n", "missing", "s", "l", "none")
        return self.pick(
            lambda: f"({self.make('integer')} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.make('real')})",
            lambda: f"({self.make('text')} {self.pick('<', '==', '!=', '>=')} {self.make('text')})",
            lambda: f"({self.any()} == {self.any()})",
            lambda: f"({self.short()} {self.pick('in', 'not in')} {self.make('text')})",
            lambda: f"({self.any()} {self.pick('in', 'not in')} {self.make('items')})",
            lambda: f"('x' in {self.make('mapping')})",
            lambda: f"({self.any()} is {self.pick('', 'not ')}{self.pick('string', 'number', 'integer', 'float', 'mapping', 'sequence', 'iterable', 'boolean', 'none', 'defined', 'undefined', 'true', 'false', 'callable')})",
            lambda: f"({self.make('integer')} is {self.pick('odd', 'even', 'divisibleby 3', 'divisibleby(2)', 'gt(2)', 'in [1, 2, 7]')})",
            lambda: f"({self.make('text')} is {self.pick('lower', 'upper')})",
            lambda: f"({self.make('text')}).{self.pick('isdigit', 'isalpha', 'isalnum', 'isspace', 'isupper', 'islower', 'istitle', 'isnumeric')}()",
            lambda: f"({self.make('text')}).{self.pick('startswith', 'endswith')}({self.pick(self.short(), '(' + self.short() + ', ' + self.short() + ')')})",
            lambda: f"(not {self.make('truth')})",
            lambda: f"({self.make('truth')} {self.pick('and', 'or')} {self.make('truth')})",
            lambda: f"({self.make('integer')} < {self.make('integer')} < {self.make('integer')})",
        )()

    # Statements.

    def tag(self, body):
        return "{%" + self.pick("", "", "", "-", "+") + f" {body} " + self.pick("", "", "", "-", "+") + "%}"

    def data(self):
        return self.pick("", " ", "\n", "\n\n", "text", "  \n", "\n    ", "a\n  b", "\t", " x ", "{", "}", "#", "% }")

    def output(self):
        return "{{" + self.pick("", "", "-", "+") + f" {self.any()} " + self.pick("", "", "-") + "}}"

    def block(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randint(1, 3)))

    def statement(self, depth):
        if depth > 2:
            return self.data() + self.output()
        body = lambda: self.data() + self.block(depth + 1) + self.data()
        kind = self.rng.randrange(14)
        if kind < 4:
            return self.data() + self.output() + self.data()
        if kind == 4:
            return (self.tag(f"if {self.make('truth')}") + body() + self.tag(f"elif {self.make('truth')}") + body()
                    + self.tag("else") + body() + self.tag("endif"))
        if kind == 5:
            loop = self.pick("loop.index", "loop.last", "loop.length", "loop.revindex0", "loop.previtem", "loop.nextitem",
                             "loop.cycle('a', 'b')", "loop.changed(v is string)", "loop.depth", "loop.first")
            condition = self.pick("", "", f" if v is {self.pick('string', 'number', 'defined')}")
            other = self.pick("", self.tag("else") + self.data() + self.output())
            leave = self.pick("", "", self.tag("if loop.index > 2") + self.tag(self.pick("break", "continue")) + self.tag("endif"))
            return (self.tag(f"for v in {self.make('items')}{condition}") + leave + "{{ v }}/{{ " + loop + " }}" + body() + other
                    + self.tag("endfor"))
        if kind == 6:
            return (self.tag(f"for k, v in ({self.make('mapping')})|dictsort") + "{{ k }}={{ v }}" + self.data()
                    + self.tag("endfor"))
        if kind == 7:
            return self.tag(f"set {self.pick('x', 'n', 's')} = {self.any()}") + self.data() + "{{ x }}"
        if kind == 8:
            return self.tag("set x" + self.pick("", " | upper", " | trim")) + body() + self.tag("endset") + "[{{ x }}]"
        if kind == 9:
            return (self.tag(f"macro m(a, b={self.any()})") + "<{{ a }}|{{ b }}>" + self.data() + self.tag("endmacro")
                    + "{{ m(" + self.pick("", "1", self.any(), f"{self.any()}, b={self.any()}", "1, 2, 3") + ") }}")
        if kind == 10:
            return (self.tag("macro c(t)") + "{{ t }}:{{ caller(" + self.pick("", "'in'") + ") }}" + self.tag("endmacro")
                    + self.tag(f"call{self.pick('', '(u)', '(u=3)')} c({self.any()})") + "{{ u }}" + body() + self.tag("endcall"))
        if kind == 11:
            return (self.tag(f"with x = {self.any()}, y = {self.any()}") + "{{ x }}{{ y }}" + body() + self.tag("endwith"))
        if kind == 12:
            return (self.tag("filter " + self.pick("upper", "trim", "replace('a', 'b')|title", "indent(2)")) + body()
                    + self.tag("endfilter"))
        return self.pick(
            lambda: "{#" + self.pick("", "-", "+") + " note " + self.pick("", "-", "+") + "#}" + self.data(),
            lambda: self.tag("raw").replace("+", "") + "{{ no }}{% if %}" + self.data() + self.tag("endraw"),
            lambda: (self.tag("set ns = namespace(a=0)") + self.tag("for v in i") + self.tag("set ns.a = ns.a + v")
                     + self.tag("endfor") + "{{ ns.a }}"),
            lambda: self.tag("generation") + body() + self.tag("endgeneration"),
            lambda: (self.tag("for v in [1, [2, [3]]] recursive") + "{{ loop(v) if v is not number else v }}"
                     + self.data() + self.tag("endfor")),
        )()


def cases(seed, count):
    rng = random.Random(seed)
    out = []
    for i in range(count):
        maker = Maker(rng)
        template = maker.output() if i % 2 == 0 else maker.data() + maker.block(0) + maker.data()
        out.append({"name": f"random {seed}/{i}", "template": template, "messages": [], "extra": CONTEXT})
    return out
