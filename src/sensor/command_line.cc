#include "sensor/command_line.h"

#include <algorithm>
#include <array>

namespace lantern::sensor {
namespace {

constexpr size_t kArgumentsMax = 512;
constexpr size_t kValueBytesMax = 512;

// Flags whose value says which model runs and where it listens; every other one is dropped.
constexpr auto kPathFlags = std::to_array<std::string_view>({"-m",
                                                             "--model",
                                                             "--model-path",
                                                             "--model_path",
                                                             "--model-dir",
                                                             "--models-dir",
                                                             "--mmproj",
                                                             "--lora",
                                                             "--draft-model",
                                                             "-md",
                                                             "--checkpoint",
                                                             "--ckpt",
                                                             "--hf-repo",
                                                             "-hf",
                                                             "--hf-file",
                                                             "--model-id",
                                                             "--model_name",
                                                             "--model-name",
                                                             "--served-model-name",
                                                             "--alias",
                                                             "--tokenizer"});
constexpr auto kNumberFlags = std::to_array<std::string_view>(
    {"--port", "-p", "--http_port", "--http-port", "--grpc-port", "-c", "--ctx-size", "-ngl",
     "--n-gpu-layers", "--gpu-layers", "--tensor-parallel-size", "-t", "--threads"});
// Switches without a value.
constexpr auto kSwitches = std::to_array<std::string_view>(
    {"--no-mmap", "--mlock", "--embedding", "--jinja", "--nowebui"});
constexpr auto kWeightEndings = std::to_array<std::string_view>(
    {".gguf", ".safetensors", ".bin", ".onnx", ".pt", ".pth", ".tflite", ".pte", ".llamafile"});
constexpr auto kInterpreters = std::to_array<std::string_view>(
    {"python", "pypy", "node", "nodejs", "bun", "deno", "ruby", "java"});
constexpr auto kVariables = std::to_array<std::string_view>({"OLLAMA_",
                                                             "LLAMA_ARG_",
                                                             "LLAMA_CACHE",
                                                             "HF_HOME",
                                                             "HF_HUB_CACHE",
                                                             "TRANSFORMERS_CACHE",
                                                             "VLLM_",
                                                             "SGLANG_",
                                                             "LMSTUDIO_",
                                                             "GPT4ALL_",
                                                             "LOCALAI_",
                                                             "MODEL_PATH",
                                                             "CUDA_VISIBLE_DEVICES",
                                                             "HIP_VISIBLE_DEVICES",
                                                             "GGML_",
                                                             "TRTLLM_",
                                                             "NIM_",
                                                             "ANTHROPIC_",
                                                             "OPENAI_",
                                                             "LITELLM_"});

bool is_one_of(std::string_view text, const auto& all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A path, a repository or a module: no blanks, and no sign that sentences and keys in URLs have.
bool is_name(std::string_view text) {
  if (text.find("://") != std::string_view::npos && text.find('@') != std::string_view::npos)
    return false;
  return !text.empty() && text.size() <= kValueBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  static_cast<unsigned char>(c) >= 0x80 ||
                  std::string_view("._-/:+~,@").find(c) != std::string_view::npos;
         });
}

/// `git commit -m fix` is no model: a path, a repository, or a file of weights.
bool is_model(std::string_view text) {
  if (!is_name(text)) return false;
  if (text.find('/') != std::string_view::npos) return true;
  return std::any_of(kWeightEndings.begin(), kWeightEndings.end(),
                     [&](std::string_view ending) { return text.ends_with(ending); });
}

bool is_interpreter(std::string_view program) {
  std::string_view name = base_name(program);
  while (!name.empty() && ((name.back() >= '0' && name.back() <= '9') || name.back() == '.'))
    name.remove_suffix(1);
  return is_one_of(name, kInterpreters);
}

bool is_script(std::string_view argument) {
  if (argument.starts_with('-') || !is_name(argument)) return false;
  if (argument.starts_with('/') || argument.starts_with("./")) return true;
  return argument.ends_with(".py") || argument.ends_with(".js") || argument.ends_with(".mjs") ||
         argument.ends_with(".cjs") || argument.ends_with(".ts");
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty() && parts.size() < kArgumentsMax) {
    const size_t end = std::min(text.find('\0'), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view CommandLine::flag(std::string_view name) const {
  for (const auto& [one, value] : flags)
    if (one == name) return value;
  return {};
}

CommandLine cut_command_line(std::string_view arguments) {
  const std::vector<std::string_view> words = split(arguments);
  CommandLine line;
  if (words.empty()) return line;
  line.program = words[0].substr(0, std::min(words[0].find_first_of(" \t\n"), kValueBytesMax));
  size_t first = 1;
  if (is_interpreter(line.program) && words.size() > 1) {
    if (words[1] == "-m" && words.size() > 2 && is_name(words[2])) {
      line.script = words[2];
      first = 3;
    } else if (is_script(words[1])) {
      line.script = words[1];
      first = 2;
    }
  }
  for (size_t i = first; i < words.size(); ++i) {
    std::string_view name = words[i], value;
    const size_t equals = name.find('=');
    const bool joined = name.starts_with("--") && equals != std::string_view::npos;
    if (joined) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    } else if (i + 1 < words.size()) {
      value = words[i + 1];
    }
    const bool kept = (is_one_of(name, kPathFlags) && is_model(value)) ||
                      (is_one_of(name, kNumberFlags) && is_number(value));
    if (kept) {
      line.flags.emplace_back(name, value);
      if (!joined) ++i;
    } else if (is_one_of(name, kSwitches)) {
      line.flags.emplace_back(name, "");
    }
  }
  return line;
}

std::vector<std::string> cut_environment(std::string_view environment) {
  std::vector<std::string> names;
  for (const std::string_view entry : split(environment)) {
    const std::string_view name = entry.substr(0, entry.find('='));
    if (name.size() == entry.size() || name.size() > 64 || !is_name(name)) continue;
    if (std::any_of(kVariables.begin(), kVariables.end(),
                    [&](std::string_view known) { return name.starts_with(known); }))
      names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lantern::sensor
