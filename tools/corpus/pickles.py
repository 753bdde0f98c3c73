"""Pickles written opcode by opcode: what a loader would do is only ever described."""

import base64
import collections
import datetime
import decimal
import fractions
import pickle
import struct
import uuid


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def by_global(module, name, *arguments, protocol=2):
    return (b"\x80" + bytes([protocol]) + f"c{module}\n{name}\n".encode() + tuple_of(*arguments) + b"R.")


def by_stack_global(module, name, *arguments):
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + tuple_of(*arguments) + b"R."


def by_memo(module, name, *arguments):
    """Names put into the memo first, and fetched from it."""
    return (b"\x80\x04" + text(name) + b"\x940" + text(module) + b"\x940" + b"h\x01h\x00\x93" +
            tuple_of(*arguments) + b"R.")


def by_inst(module, name, *arguments):
    return b"(" + b"".join(arguments) + f"i{module}\n{name}\n.".encode()


def by_obj(module, name, *arguments):
    return b"(" + f"c{module}\n{name}\n".encode() + b"".join(arguments) + b"o."


def by_protocol0(module, name, argument="id"):
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


COMMAND = text("echo corpus")
CALLS = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("subprocess", "call"),
    ("subprocess", "check_output"), ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"),
    ("builtins", "__import__"), ("builtins", "compile"), ("builtins", "open"), ("os", "popen"),
    ("os", "execv"), ("importlib", "import_module"), ("runpy", "run_path"), ("runpy", "_run_code"),
    ("pty", "spawn"), ("socket", "create_connection"), ("urllib.request", "urlopen"),
    ("webbrowser", "open"), ("shutil", "rmtree"), ("ctypes", "CDLL"), ("pickle", "loads"),
    ("_pickle", "loads"), ("marshal", "loads"), ("timeit", "timeit"), ("cProfile", "run"),
    ("pdb", "run"), ("code", "interact"), ("bdb", "Bdb.run"), ("doctest", "debug_script"),
    ("idlelib.pyshell", "ModifiedInterpreter.runcode"), ("lib2to3.pgen2.pgen", "ParserGenerator.make_label"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"), ("distutils.file_util", "write_file"),
    ("pydoc", "pipepager"), ("imaplib", "IMAP4_stream"), ("uuid", "_get_command_stdout"),
    ("ensurepip", "_run_pip"), ("pip", "main"), ("smtplib", "SMTP"), ("ftplib", "FTP"),
    ("http.client", "HTTPSConnection"), ("requests.api", "get"), ("torch", "load"),
    ("torch.hub", "load"), ("torch.utils.collect_env", "run"), ("torch.jit", "load"),
    ("torch.utils._config_module", "load_config"), ("torch._dynamo.guards", "GuardBuilder.get"),
    ("torch.serialization", "load"), ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "getlincoef"), ("numpy", "load"), ("numpy.f2py.diagnose", "run_command"),
    ("joblib", "load"), ("pandas", "read_pickle"), ("operator", "attrgetter"), ("operator", "methodcaller"),
    ("functools", "reduce"), ("types", "CodeType"), ("types", "FunctionType"), ("logging", "FileHandler"),
    ("io", "FileIO"), ("_io", "open"), ("zipfile", "ZipFile"), ("sqlite3", "connect"),
    ("torch", "os.system"), ("collections", "_sys.exit"), ("test.support.script_helper", "assert_python_ok"),
]


def make_malicious():
    out = {}
    shapes = [by_global, by_stack_global, by_memo, by_inst, by_obj]
    for i, (module, name) in enumerate(CALLS):
        shape = shapes[i % len(shapes)]
        out[f"{shape.__name__}_{module}_{name}".replace(".", "_")] = shape(module, name, COMMAND)
    for module, name in (("os", "system"), ("builtins", "eval"), ("commands", "getoutput")):
        out[f"protocol0_{module}_{name}"] = by_protocol0(module, name)
    # builtins.getattr(os-like object, name)(...)
    out["getattr_chain"] = (b"\x80\x02c__builtin__\ngetattr\n" +
                            tuple_of(b"c__builtin__\nglobals\n)R", text("get")) + b"R" +
                            tuple_of(text("os")) + b"R.")
    out["build_on_module_attribute"] = b"\x80\x02cbuiltins\nprint\n}" + text("__call__") + b"Nsb."
    # The name is what another call returned.
    out["computed_name"] = (b"\x80\x04" + text("os") + b"cbuiltins\nstr\n" + tuple_of(text("system")) +
                            b"R\x93" + tuple_of(COMMAND) + b"R.")
    out["only_named"] = b"\x80\x02]cos\nsystem\na."
    out["newobj_popen"] = b"\x80\x02csubprocess\nPopen\n" + tuple_of(COMMAND) + b"\x81."
    out["newobj_ex"] = b"\x80\x04" + text("subprocess") + text("Popen") + b"\x93)}\x92."
    out["in_dict_of_weights"] = (b"\x80\x02}(" + text("w") + b"G" + bytes(8) + text("x") +
                                 by_global("os", "system", COMMAND)[2:-1] + b"u.")
    return out


def nested(payload, how):
    if how == "raw":
        value = b"B" + struct.pack("<I", len(payload)) + payload
    else:
        encoded = base64.b64encode(payload).decode() if how == "base64" else payload.hex()
        value = text(encoded)
    return b"\x80\x03}(" + text("state") + value + b"u."


def broken(payload):
    """Everything but the end: a loader fails there, after it has run what came before."""
    return payload[:-1] + b"\xff\xfe garbage"


def numpy_array(n=4):
    """What numpy's __reduce__ writes."""
    dtype = b"cnumpy\ndtype\n" + tuple_of(text("f4"), b"\x89", b"\x88") + b"R"
    state = tuple_of(b"K\x01", tuple_of(b"K" + bytes([n])), dtype, b"\x89", b"C" + bytes([4 * n]) + bytes(4 * n))
    return (b"cnumpy.core.multiarray\n_reconstruct\n" +
            tuple_of(b"cnumpy\nndarray\n", tuple_of(b"K\x00"), b"C\x01b") + b"R" + state + b"b")


def torch_state(names=("weight", "bias")):
    out = b"\x80\x02ccollections\nOrderedDict\n)R("
    for i, name in enumerate(names):
        storage = tuple_of(text("storage"), b"ctorch\nFloatStorage\n", text(str(i)), text("cpu"), b"K\x04") + b"Q"
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
            storage, b"K\x00", tuple_of(b"K\x04"), tuple_of(b"K\x01"), b"\x89",
            b"ccollections\nOrderedDict\n)R") + b"R"
    return out + b"u."


def instance(module, name, state=b"}"):
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81" + state + b"b."


def make_benign():
    values = {
        "empty_dict": {},
        "numbers": {"epoch": 3, "loss": .25, "steps": [1, 2, 10**12, -5]},
        "ordered": collections.OrderedDict(a=1, b=[1, 2]),
        "defaults": collections.defaultdict(list, {"x": [1]}),
        "counter": collections.Counter("abca"),
        "queue": collections.deque([1, 2, 3], 5),
        "sets": {"a": {1, 2}, "b": frozenset((3, 4))},
        "bytes": {"raw": b"\x00\x01\x02" * 20, "array": bytearray(b"abc")},
        "dates": [datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), datetime.timedelta(3)],
        "decimals": [decimal.Decimal("1.5"), fractions.Fraction(1, 3)],
        "identifier": uuid.UUID(int=5),
        "words": ["os.system", "__reduce__", "eval(1)", "c os\nsystem\n(S'id'", "import os\nos.system('id')"],
        "range": [range(5), slice(1, 2), complex(1, 2)],
        "unicode": {"é": "你好", "long": "x" * 2000},
    }
    out = {}
    for name, value in values.items():
        for protocol in (0, 2, 4):
            out[f"{name}_p{protocol}" if protocol != 2 else name] = pickle.dumps(value, protocol)
    out["state_dict"] = torch_state()
    out["state_dict_large"] = torch_state([f"layers.{i}.weight" for i in range(20)])
    out["numpy_array"] = b"\x80\x03" + numpy_array() + b"."
    out["numpy_dict"] = b"\x80\x03}(" + text("a") + numpy_array(2) + text("b") + numpy_array(8) + b"u."
    out["own_class"] = instance("my_model.net", "Net")
    out["main_class"] = instance("__main__", "Net")
    out["torch_module"] = instance("torch.nn.modules.linear", "Linear", b"}(" + text("in_features") + b"K\x04u")
    out["torch_function_named"] = instance("torch.nn.modules.activation", "GELU", b"}(" + text("f") +
                                           b"ctorch.nn.functional\ngelu\nu")
    out["sklearn_model"] = instance("sklearn.linear_model._logistic", "LogisticRegression", b"}(" + text("C") + b"K\x01u")
    out["sklearn_tree"] = (b"\x80\x03csklearn.tree._tree\nTree\n" + tuple_of(b"K\x02", numpy_array(), b"K\x01") + b"R}(" +
                           text("max_depth") + b"K\x03ub.")
    out["random_state"] = (b"\x80\x03cnumpy.random._pickle\n__randomstate_ctor\n" + tuple_of(text("MT19937")) + b"R.")
    out["namespace"] = instance("argparse", "Namespace", b"}(" + text("lr") + b"G" + bytes(8) + b"u")
    out["path"] = b"\x80\x02cpathlib\nPosixPath\n" + tuple_of(text("data"), text("x")) + b"R."
    out["numpy_scalar"] = (b"\x80\x03cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" +
                           tuple_of(text("f8"), b"\x89", b"\x88") + b"RC\x08" + bytes(8) + b"\x86R.")
    out["torch_device"] = b"\x80\x02ctorch\ndevice\n" + tuple_of(text("cpu")) + b"R."
    out["torch_size"] = b"\x80\x02ctorch\nSize\n" + tuple_of(tuple_of(b"K\x02", b"K\x03")) + b"R."
    out["torch_parameter"] = (b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + tuple_of(b"N", b"\x88", b"ccollections\nOrderedDict\n)R") + b"R.")
    out["pandas_index"] = (b"\x80\x03cpandas.core.indexes.base\n_new_Index\n" +
                           tuple_of(b"cpandas.core.indexes.base\nIndex\n", b"}") + b"R.")
    out["old_object"] = (b"ccopy_reg\n_reconstructor\n(cmy_model\nNet\nc__builtin__\nobject\nNtR(dS'a'\nI1\nsb.")
    out["compiled_pattern"] = b"\x80\x03cre\n_compile\n" + tuple_of(text("a+"), b"K\x20") + b"R."
    out["latin_bytes"] = b"\x80\x02c_codecs\nencode\n" + tuple_of(text("abc"), text("latin1")) + b"R."
    return out


MALICIOUS_PICKLES = make_malicious()
BENIGN_PICKLES = make_benign()
