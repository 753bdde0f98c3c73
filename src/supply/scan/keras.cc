#include "supply/scan/keras.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "supply/scan/pickle/globals.h"
#include "supply/scan/text_codes.h"

namespace lantern::supply::scan {
namespace {

using base::Json;

std::string_view text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

/// Whether a Lambda's function is stored as marshalled code: a list whose first item is base64, or
/// {"class_name": "__lambda__", ...}.
bool carries_code(const Json& config) {
  const auto function = config.find("function");
  if (function == config.end()) return true;
  if (function->is_array()) return true;
  if (function->is_object())
    return text_of(*function, "class_name") == "__lambda__" ||
           text_of(*function, "class_name") == "function";
  // Source text; a name of a function is letters, digits, "_", "." and ">" alone.
  const std::string_view text = text_of(config, "function");
  const bool is_name = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '>';
  });
  return !is_name || text_of(config, "function_type") == "lambda";
}

void judge_lambda(const Json& object, Scan& scan) {
  const auto config = object.find("config");
  const bool has_code = config == object.end() || !config->is_object() || carries_code(*config);
  scan.add("keras", "keras-lambda", has_code ? Verdict::kMalicious : Verdict::kWarn,
           has_code ? "a Lambda layer: loading the model runs the Python code stored in it"
                    : "a Lambda layer that names a function of the loader's");
}

/// {"module": M, "class_name": C, "config": ...}: the loader imports M and takes C from it.
void judge_object(const Json& object, Scan& scan) {
  const std::string_view class_name = text_of(object, "class_name");
  std::string_view module = text_of(object, "module");
  if (class_name.empty()) return;
  if (class_name == "Lambda" || class_name == "__lambda__" || class_name.ends_with(">Lambda")) {
    judge_lambda(object, scan);
    return;
  }
  if (class_name == "TorchModuleWrapper") {
    scan.add("keras", "keras-pickle", Verdict::kMalicious,
             "a TorchModuleWrapper: loading it loads the pickle stored in it");
    return;
  }
  if (module.empty()) return;
  const std::string_view root = module.substr(0, module.find('.'));
  std::string_view name = class_name;
  if (class_name == "function" || class_name == "builtin_function_or_method") {
    name = text_of(object, "config");
    if (name.empty()) name = text_of(object, "registered_name");
  }
  if (root == "keras" || root == "tensorflow" || root == "tf_keras") {
    constexpr auto kFunctions = std::to_array<std::string_view>(
        {"get_file", "enable_unsafe_deserialization", "load_model", "load_weights", "load_img",
         "run_eagerly", "extract_archive", "py_func", "numpy_function", "read_file", "write_file",
         "load_library", "load_op_library"});
    if (std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end())
      scan.add("keras", "keras-dangerous-function", Verdict::kMalicious,
               fmt::format("makes the loader call {}.{}", module, name));
    return;
  }
  const GlobalVerdict verdict = judge_global(module, name, GlobalUse::kCalled);
  if (verdict.verdict == Verdict::kMalicious)
    scan.add("keras", "keras-dangerous-function", Verdict::kMalicious,
             fmt::format("makes the loader import {}.{}: {}", module, name, verdict.what));
  else if (root != "builtins" && root != "numpy")
    scan.add("keras", "keras-foreign-module", Verdict::kWarn,
             fmt::format("makes the loader import {}.{}", module, name));
}

void walk(const Json& value, Scan& scan) {
  if (value.is_object()) {
    judge_object(value, scan);
    for (const auto& [key, part] : value.items()) walk(part, scan);
  } else if (value.is_array()) {
    for (const Json& part : value) walk(part, scan);
  }
}

}  // namespace

void judge_keras_config(const Json& config, Scan& scan) {
  if (config.is_object() && (config.contains("class_name") || config.contains("layers") ||
                             config.contains("model_config")))
    walk(config, scan);
}

}  // namespace lantern::supply::scan
