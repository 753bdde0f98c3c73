#include "supply/scan/pickle/globals.h"

#include <algorithm>
#include <array>
#include <span>

namespace lantern::supply::scan {
namespace {

using Names = std::span<const std::string_view>;

bool has(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "a.b.c" starts with the components of "a.b".
bool is_within(std::string_view dotted, std::string_view prefix) {
  return dotted.starts_with(prefix) &&
         (dotted.size() == prefix.size() || dotted[prefix.size()] == '.');
}

std::string_view first_component(std::string_view dotted) {
  return dotted.substr(0, dotted.find('.'));
}

std::string_view last_component(std::string_view dotted) {
  return dotted.substr(dotted.find_last_of('.') + 1);
}

/// Modules whose mere naming in a pickle is an attack: no model stores a reference into them.
struct DangerousModule {
  std::string_view module;
  std::string_view what;
};

constexpr auto kDangerousModules = std::to_array<DangerousModule>({
    {"os", "reaches the operating system"},
    {"posix", "reaches the operating system"},
    {"nt", "reaches the operating system"},
    {"subprocess", "runs programs"},
    {"_posixsubprocess", "runs programs"},
    {"commands", "runs programs"},
    {"popen2", "runs programs"},
    {"pty", "runs programs"},
    {"sys", "reaches the interpreter"},
    {"runpy", "runs Python files"},
    {"code", "runs Python code"},
    {"codeop", "compiles Python code"},
    {"pdb", "runs Python code"},
    {"bdb", "runs Python code"},
    {"cProfile", "runs Python code"},
    {"profile", "runs Python code"},
    {"trace", "runs Python code"},
    {"timeit", "runs Python code"},
    {"doctest", "runs Python code"},
    {"importlib", "imports modules"},
    {"imp", "imports modules"},
    {"pkgutil", "imports modules"},
    {"zipimport", "imports modules"},
    {"marshal", "loads code objects"},
    {"shutil", "copies and deletes files"},
    {"tempfile", "writes files"},
    {"glob", "lists files"},
    {"fileinput", "opens files"},
    {"linecache", "reads files"},
    {"socket", "opens network connections"},
    {"_socket", "opens network connections"},
    {"ssl", "opens network connections"},
    {"socketserver", "opens network connections"},
    {"asyncio", "runs programs and opens connections"},
    {"urllib", "opens network connections"},
    {"urllib2", "opens network connections"},
    {"http", "opens network connections"},
    {"httplib", "opens network connections"},
    {"ftplib", "opens network connections"},
    {"smtplib", "opens network connections"},
    {"poplib", "opens network connections"},
    {"imaplib", "opens network connections"},
    {"telnetlib", "opens network connections"},
    {"nntplib", "opens network connections"},
    {"xmlrpc", "opens network connections"},
    {"webbrowser", "runs programs"},
    {"ctypes", "calls native code"},
    {"_ctypes", "calls native code"},
    {"multiprocessing", "starts processes"},
    {"pickle", "loads a pickle within the pickle"},
    {"cPickle", "loads a pickle within the pickle"},
    {"_pickle", "loads a pickle within the pickle"},
    {"shelve", "loads a pickle within the pickle"},
    {"distutils", "runs programs"},
    {"ensurepip", "installs packages"},
    {"venv", "runs programs"},
    {"idlelib", "runs Python code"},
    {"lib2to3", "loads a pickle within the pickle"},
    {"signal", "signals processes"},
    {"mmap", "maps files"},
    {"sqlite3", "opens files and loads extensions"},
    {"pip", "installs packages"},
    {"setuptools", "runs programs"},
    {"pkg_resources", "imports modules"},
    {"IPython", "runs Python code"},
    {"ipykernel", "runs Python code"},
    {"requests", "opens network connections"},
    {"urllib3", "opens network connections"},
    {"httpx", "opens network connections"},
    {"aiohttp", "opens network connections"},
    {"paramiko", "opens network connections"},
    {"pexpect", "runs programs"},
    {"plumbum", "runs programs"},
    {"fabric", "runs programs"},
    {"invoke", "runs programs"},
    {"jsonpickle", "loads objects of any class"},
    {"torch.hub", "downloads and runs code"},
    {"torch.utils.collect_env", "runs programs"},
    {"torch.utils.bottleneck", "runs Python code"},
    {"torch.utils.cpp_extension", "compiles and loads native code"},
    {"torch.package", "runs packaged code"},
    {"torch.multiprocessing", "starts processes"},
    {"torch._inductor", "compiles and runs code"},
    {"torch._dynamo", "runs Python code"},
    {"torch.fx.experimental", "runs Python code"},
    {"torch.testing", "runs programs"},
    {"torch.serialization.load", "loads a pickle within the pickle"},
    {"numpy.testing", "runs Python code"},
    {"numpy.f2py", "evaluates Python expressions"},
    {"numpy.distutils", "runs programs"},
    {"numpy.ctypeslib", "calls native code"},
    {"numpy.lib.npyio", "loads a pickle within the pickle"},
    {"numpy.load", "loads a pickle within the pickle"},
    {"joblib.numpy_pickle.load", "loads a pickle within the pickle"},
    {"joblib.load", "loads a pickle within the pickle"},
    {"torch.load", "loads a pickle within the pickle"},
    {"torch.jit.load", "loads and runs TorchScript"},
    {"torch.ops.load_library", "loads native code"},
    {"torch.classes.load_library", "loads native code"},
    {"pandas.read_pickle", "loads a pickle within the pickle"},
    {"pandas.io.pickle", "loads a pickle within the pickle"},
    {"pandas.eval", "evaluates Python expressions"},
    {"pandas.core.computation", "evaluates Python expressions"},
    {"sympy.sympify", "evaluates Python expressions"},
    {"sympy.core.sympify", "evaluates Python expressions"},
    {"sympy.parse_expr", "evaluates Python expressions"},
    {"sympy.parsing", "evaluates Python expressions"},
    {"sympy.S", "evaluates Python expressions"},
    {"numexpr", "evaluates Python expressions"},
    {"fsspec", "opens files and network connections"},
    {"smart_open", "opens files and network connections"},
    {"nltk.data", "loads a pickle within the pickle"},
    {"nltk.load", "loads a pickle within the pickle"},
    {"tensorflow.python.framework.load_library", "loads native code"},
    {"tensorflow.load_library", "loads native code"},
    {"tensorflow.python.ops.io_ops", "reads and writes files"},
});

/// Single names of modules that also hold harmless ones.
constexpr auto kDangerousNames = std::to_array<DangerousModule>({
    {"builtins.eval", "runs Python code"},
    {"builtins.exec", "runs Python code"},
    {"builtins.execfile", "runs Python files"},
    {"builtins.compile", "compiles Python code"},
    {"builtins.open", "opens files"},
    {"builtins.file", "opens files"},
    {"builtins.__import__", "imports modules"},
    {"builtins.input", "waits for a terminal"},
    {"builtins.raw_input", "waits for a terminal"},
    {"builtins.breakpoint", "starts a debugger"},
    {"builtins.apply", "calls any function"},
    {"builtins.globals", "reaches a module's variables"},
    {"builtins.locals", "reaches a function's variables"},
    {"builtins.vars", "reaches an object's variables"},
    {"builtins.setattr", "changes objects"},
    {"builtins.delattr", "changes objects"},
    {"builtins.help", "starts a pager"},
    {"builtins.exit", "ends the program"},
    {"builtins.quit", "ends the program"},
    {"io.open", "opens files"},
    {"io.open_code", "opens files"},
    {"io.FileIO", "opens files"},
    {"_io.open", "opens files"},
    {"_io.open_code", "opens files"},
    {"_io.FileIO", "opens files"},
    {"codecs.open", "opens files"},
    {"types.CodeType", "builds executable code"},
    {"types.FunctionType", "builds executable code"},
    {"types.LambdaType", "builds executable code"},
    {"types.ModuleType", "builds a module"},
    {"functools.reduce", "calls any function"},
    {"operator.attrgetter", "reaches any attribute"},
    {"operator.methodcaller", "calls any method"},
    {"_operator.attrgetter", "reaches any attribute"},
    {"_operator.methodcaller", "calls any method"},
    {"copyreg.add_extension", "changes how pickles load"},
    {"logging.config", "imports and calls by name"},
    {"pydoc", "imports modules and runs programs"},
    {"pathlib.Path.unlink", "deletes files"},
    {"cloudpickle.cloudpickle._make_function", "builds executable code"},
    {"cloudpickle.cloudpickle._builtin_type", "builds executable code"},
    {"cloudpickle.cloudpickle._make_skel_func", "builds executable code"},
    {"cloudpickle.cloudpickle._fill_function", "builds executable code"},
    {"cloudpickle.cloudpickle.subimport", "imports modules"},
    {"cloudpickle.cloudpickle.dynamic_subimport", "builds a module from code"},
    {"dill._dill._create_function", "builds executable code"},
    {"dill._dill._create_code", "builds executable code"},
    {"dill._dill._import_module", "imports modules"},
    {"dill._dill._eval_repr", "evaluates Python expressions"},
    {"dill._dill._get_attr", "reaches any attribute"},
    {"dill._dill._create_filehandle", "opens files"},
    {"dill.dill._create_function", "builds executable code"},
    {"dill.dill._create_code", "builds executable code"},
    {"dill.loads", "loads a pickle within the pickle"},
    {"dill.load", "loads a pickle within the pickle"},
    {"cloudpickle.loads", "loads a pickle within the pickle"},
    {"cloudpickle.load", "loads a pickle within the pickle"},
    {"yaml.load", "builds objects of any class"},
    {"yaml.unsafe_load", "builds objects of any class"},
    {"yaml.full_load", "builds objects of any class"},
});

/// Of the standard library, those that only build data. A name ending in ".*" is a whole module.
constexpr auto kStandardData = std::to_array<std::string_view>({
    "_codecs.encode",
    "_collections.OrderedDict",
    "_collections.defaultdict",
    "_collections.deque",
    "_io.BytesIO",
    "_io.StringIO",
    "_operator.getitem",
    "argparse.Namespace",
    "array._array_reconstructor",
    "array.array",
    "builtins.Ellipsis",
    "builtins.NotImplemented",
    "builtins.bool",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.frozenset",
    "builtins.int",
    "builtins.list",
    "builtins.long",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "builtins.unicode",
    "builtins.xrange",
    "collections.ChainMap",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.UserDict",
    "collections.UserList",
    "collections.UserString",
    "collections.defaultdict",
    "collections.deque",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "datetime.timezone.utc",
    "decimal.Context",
    "decimal.Decimal",
    "fractions.Fraction",
    "io.BytesIO",
    "io.StringIO",
    "ipaddress.IPv4Address",
    "ipaddress.IPv6Address",
    "logging.Logger",
    "logging.RootLogger",
    "logging.getLogger",
    "operator.getitem",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "random.Random",
    "re._compile",
    "re.compile",
    "time.struct_time",
    "types.GenericAlias",
    "types.MappingProxyType",
    "types.SimpleNamespace",
    "uuid.SafeUUID",
    "uuid.UUID",
    "zoneinfo.ZoneInfo",
    "zoneinfo.ZoneInfo._unpickle",
});

/// Of the standard library, those that saved classes really use and that do no harm by
/// themselves; what they are given is judged in its own right.
constexpr auto kStandardGlue = std::to_array<std::string_view>({
    "_operator.itemgetter",  "_thread.RLock",
    "_thread.allocate_lock", "_thread.lock",
    "builtins.classmethod",  "builtins.enumerate",
    "builtins.filter",       "builtins.getattr",
    "builtins.hash",         "builtins.id",
    "builtins.isinstance",   "builtins.iter",
    "builtins.len",          "builtins.map",
    "builtins.max",          "builtins.min",
    "builtins.print",        "builtins.property",
    "builtins.repr",         "builtins.reversed",
    "builtins.sorted",       "builtins.sum",
    "builtins.super",        "builtins.type",
    "builtins.zip",          "collections.namedtuple",
    "functools.partial",     "itertools.chain",
    "itertools.count",       "itertools.cycle",
    "itertools.islice",      "itertools.repeat",
    "operator.itemgetter",   "string.Template",
    "threading.Lock",        "threading.RLock",
    "weakref.ref",           "abc.ABCMeta",
    "enum.EnumMeta",         "enum.EnumType",
});

/// Frameworks whose checkpoints are well known: a function of theirs that is called and builds no
/// data is no part of one.
constexpr auto kFrameworks = std::to_array<std::string_view>({
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "tensorflow",
    "keras",
    "transformers",
    "joblib",
    "jax",
    "flax",
    "tokenizers",
    "safetensors",
    "accelerate",
});

/// Functions and lower-case classes of frameworks that checkpoints call.
constexpr auto kFrameworkData = std::to_array<std::string_view>({
    "torch.device",
    "torch.dtype",
    "torch.finfo",
    "torch.iinfo",
    "torch.memory_format",
    "torch.layout",
    "torch.qscheme",
    "torch._tensor._rebuild_from_type_v2",
    "torch.serialization._get_layout",
    "torch.storage._load_from_bytes",
    "torch.jit._pickle",
    "torch._C._nn",
    "torch.nn.functional",
    "torch.nn.parameter",
    "torch._utils",
    "torch.sparse",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
    "numpy.core.records",
    "numpy.dtype",
    "numpy.dtypes",
    "numpy.ndarray",
    "numpy.matrix",
    "numpy.memmap",
    "numpy.random._pickle",
    "numpy.random.mtrand",
    "numpy.random.bit_generator",
    "numpy.ma.core",
    "numpy.core._ufunc_reconstruct",
    "numpy.core._multiarray_umath",
    "numpy._core._multiarray_umath",
    "numpy._core._ufunc_reconstruct",
    "scipy.sparse",
    "scipy.interpolate",
    "scipy.stats",
    "scipy.special._ufuncs",
    "scipy.spatial",
    "sklearn.neighbors",
    "sklearn.metrics",
    "sklearn._loss",
    "sklearn.linear_model",
    "sklearn.tree._tree",
    "sklearn.utils._bunch",
    "pandas._libs",
    "pandas.core.indexes",
    "pandas.core.internals",
    "pandas.core.arrays",
    "pandas.core.dtypes",
    "tensorflow.python.framework.dtypes.as_dtype",
    "keras.saving.pickle_utils.deserialize_model_from_bytecode",
    "keras.src.saving.pickle_utils.deserialize_model_from_bytecode",
});

/// Names that frameworks give the functions which put an object together again.
bool is_reconstructor(std::string_view name) {
  constexpr auto kWords = std::to_array<std::string_view>(
      {"_rebuild", "_reconstruct", "rebuild_", "_unpickle", "__pyx_unpickle", "__newobj", "_new_",
       "newObj", "_ctor", "scalar", "_frombuffer", "_from_numpy", "_restore"});
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return name.find(word) != std::string_view::npos;
  });
}

/// Python names classes in capitals, functions not; NumPy's scalar types are the exception.
bool is_class_name(std::string_view name) {
  const size_t letter = name.find_first_not_of('_');
  if (letter == std::string_view::npos) return false;
  if (name[letter] >= 'A' && name[letter] <= 'Z') return true;
  constexpr auto kScalars =
      std::to_array<std::string_view>({"float", "int", "uint", "bool", "complex", "str_", "bytes_",
                                       "void", "datetime64", "timedelta64", "object_", "longlong",
                                       "csr_", "csc_", "coo_", "dok_", "lil_", "bsr_", "dia_"});
  return std::any_of(kScalars.begin(), kScalars.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

/// Python 3's name of a module that Python 2 called otherwise.
std::string_view modern_module(std::string_view module) {
  if (module == "__builtin__" || module == "__builtins__" || module == "exceptions")
    return "builtins";
  if (module == "copy_reg") return "copyreg";
  if (module == "StringIO" || module == "cStringIO") return "io";
  if (module == "UserDict" || module == "UserList" || module == "UserString") return "collections";
  return module;
}

constexpr GlobalVerdict kClean = {};

GlobalVerdict malicious(std::string_view what) {
  return {Verdict::kMalicious, "pickle-dangerous-global", what};
}

/// A dotted name that leads through a module of the standard library (torch.os.system), or through
/// what Python keeps for itself (f.__globals__).
bool leads_away(std::string_view name) {
  for (bool is_first = true; !name.empty(); is_first = false) {
    const size_t dot = name.find('.');
    const std::string_view part = name.substr(0, dot);
    const bool is_last = dot == std::string_view::npos;
    if (part.starts_with("__") && part.ends_with("__") && part.size() > 4 && !(is_first && is_last))
      return true;
    if (!is_last && is_standard_module(part)) return true;
    if (is_last) break;
    name.remove_prefix(dot + 1);
  }
  return false;
}

GlobalVerdict judge_standard(std::string_view full, std::string_view name, GlobalUse use) {
  if (has(kStandardData, full)) return kClean;
  if (has(kStandardGlue, full))
    return {Verdict::kWarn, "pickle-unusual-global", "is unusual in a model"};
  if (full.starts_with("builtins.") && is_class_name(name)) return kClean;  // exceptions
  // typing's functions evaluate what annotations say (ForwardRef, get_type_hints).
  if (full.starts_with("typing.") && use != GlobalUse::kCalled) return kClean;
  if (use == GlobalUse::kCalled)
    return {Verdict::kMalicious, "pickle-dangerous-call",
            "is a function of Python's own library that builds no data"};
  return {Verdict::kWarn, "pickle-unusual-global", "is unusual in a model"};
}

GlobalVerdict judge_framework(std::string_view full, std::string_view name, GlobalUse use) {
  const std::string_view last = last_component(name);
  if (full == "numpy.memmap" && use != GlobalUse::kNamed)
    return {Verdict::kMalicious, "pickle-dangerous-call", "opens a file, for writing too"};
  for (const std::string_view known : kFrameworkData)
    if (is_within(full, known)) return kClean;
  if (is_reconstructor(last) || is_class_name(last)) return kClean;
  if (use != GlobalUse::kCalled) return kClean;
  return {Verdict::kMalicious, "pickle-dangerous-call",
          "is a function that no checkpoint of that framework calls"};
}

}  // namespace

GlobalVerdict judge_global(std::string_view module, std::string_view name, GlobalUse use) {
  module = modern_module(module);
  const std::string full = std::string(module) + "." + std::string(name);
  for (const DangerousModule& known : kDangerousNames)
    if (is_within(full, known.module)) return malicious(known.what);
  for (const DangerousModule& known : kDangerousModules)
    if (is_within(full, known.module)) return malicious(known.what);
  if (leads_away(name)) return malicious("reaches a module through another one's attributes");
  const std::string_view root = first_component(module);
  if (is_standard_module(root)) return judge_standard(full, name, use);
  if (has(kFrameworks, root)) return judge_framework(full, name, use);
  return {Verdict::kWarn, "pickle-foreign-global",
          "is code from elsewhere, which a loader would import"};
}

}  // namespace lantern::supply::scan
