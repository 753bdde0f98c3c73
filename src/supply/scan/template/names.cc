#include "supply/scan/template/names.h"

#include <algorithm>
#include <array>

namespace lantern::supply::scan {
namespace {

template <size_t N>
bool has(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool is_internal_attribute(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"mro",          "func_globals",  "func_code",
       "func_closure", "func_defaults", "gi_frame",
       "gi_code",      "gi_yieldfrom",  "cr_frame",
       "cr_code",      "cr_origin",     "ag_frame",
       "ag_code",      "f_globals",     "f_locals",
       "f_builtins",   "f_back",        "f_code",
       "tb_frame",     "tb_next",       "co_code",
       "co_consts",    "im_func",       "im_self",
       "im_class",     "_module",       "_TemplateReference__context"});
  if (name.find("__") != name.npos && name.find_first_not_of('_') != name.npos)
    return name.starts_with("__") || name.starts_with("_TemplateReference__");
  return has(kNames, name);
}

bool is_dangerous_function(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"eval", "exec", "execfile", "compile", "open", "file", "getattr", "setattr", "delattr",
       "globals", "locals", "vars", "breakpoint", "raw_input", "import_module", "popen", "system",
       "apply", "reload"});
  return name.starts_with("__") || has(kNames, name);
}

bool is_dangerous_module(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"os", "sys", "subprocess", "importlib", "builtins", "pty", "marshal", "pickle", "socket",
       "shutil", "ctypes", "runpy", "posix", "commands", "codecs", "pathlib", "platform"});
  return has(kNames, name);
}

bool is_dangerous_method(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"popen",        "system",      "eval",        "exec",
       "execv",        "execve",      "execvp",      "execl",
       "spawnl",       "spawnv",      "fork",        "import_module",
       "check_output", "check_call",  "getoutput",   "getstatusoutput",
       "Popen",        "startfile",   "unlink",      "rmtree",
       "urlopen",      "urlretrieve", "load_module", "exec_module",
       "find_module",  "from_object", "from_pyfile", "from_envvar",
       "run_code",     "run_path",    "posix_spawn", "create_subprocess_shell"});
  return has(kNames, name);
}

bool is_python_handle(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"lipsum", "cycler", "joiner", "namespace", "range", "dict", "self", "url_for",
       "get_flashed_messages", "raise_exception", "strftime_now"});
  return has(kNames, name);
}

std::string walking_field(std::string_view format) {
  for (size_t at = format.find('{'); at != format.npos; at = format.find('{', at + 1)) {
    const size_t end = format.find_first_of("}", at);
    const std::string_view field = format.substr(at, end == format.npos ? end : end - at + 1);
    const size_t step = field.find_first_of(".[");
    if (step == field.npos) continue;
    for (size_t from = step; from != field.npos; from = field.find_first_of(".[", from + 1)) {
      std::string_view name = field.substr(from + 1);
      name = name.substr(0, name.find_first_of(".[]!:}"));
      if (is_internal_attribute(name)) return std::string(field.substr(0, 80));
    }
  }
  return {};
}

bool is_words_key(std::string_view name) {
  return name == "content" || name == "text" || name == "prompt";
}

bool is_text_method(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"lower", "upper",  "title",      "capitalize", "strip",      "lstrip",     "rstrip",
       "split", "rsplit", "splitlines", "replace",    "casefold",   "startswith", "endswith",
       "find",  "count",  "index",      "partition",  "rpartition", "encode",     "swapcase"});
  return has(kNames, name);
}

bool is_plain_words(std::string_view text) {
  // The kinds of a message's parts: templates ask for them by the same comparison.
  constexpr auto kPartKinds = std::to_array<std::string_view>(
      {"text", "image", "video", "audio", "document", "data", "thinking", "file", "tool-result",
       "refusal", "url", "json", "string"});
  if (has(kPartKinds, text)) return false;
  size_t n_letters = 0;
  for (const char c : text) {
    if (is_letter(c))
      ++n_letters;
    else if (static_cast<unsigned char>(c) < 0x80 &&
             std::string_view(" '-.,?!0123456789").find(c) == std::string_view::npos)
      return false;
  }
  return n_letters >= 3;
}

}  // namespace lantern::supply::scan
