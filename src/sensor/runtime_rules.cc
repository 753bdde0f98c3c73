#include "sensor/runtime_rules.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "base/toml_reader.h"
#include "sensor/command_line.h"

namespace lantern::sensor {
namespace {

constexpr size_t kRuleBytesMax = 64u << 10;
constexpr size_t kSamplesMax = 64;
constexpr size_t kStringBytesMin = 6;  // shorter ones stand in any program
constexpr size_t kSlots = 1u << 16;

constexpr std::pair<RuntimeClass, std::string_view> kClasses[] = {
    {RuntimeClass::kRuntime, "runtime"},
    {RuntimeClass::kLibrary, "library"},
    {RuntimeClass::kFrontEnd, "front-end"},
    {RuntimeClass::kAgent, "agent"},
    {RuntimeClass::kOwn, "own"}};

std::optional<RuntimeClass> class_from_name(std::string_view name) {
  for (const auto& [value, known] : kClasses)
    if (name == known) return value;
  return std::nullopt;
}

std::string any_line(std::string_view text) {
  if (text.empty() || text.size() > 300) return "a text of 1 to 300 bytes is needed";
  return text.find_first_of("\r\n") == std::string_view::npos ? "" : "one line is needed";
}

std::string code_string(std::string_view text) {
  if (text.size() < kStringBytesMin) return "too short to tell a program by";
  return any_line(text);
}

std::vector<std::string> texts(base::TomlTable& table, std::string_view key,
                               const base::TextCheck& check) {
  if (!table.has(key)) return {};
  return table.texts(key, check).value_or(std::vector<std::string>());
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return lower;
}

/// PEP 503: runs of '-', '_' and '.' are one '-', letters are small.
std::string package_name(std::string_view name) {
  std::string normal;
  for (const char c : lower_case(name)) {
    const bool between = c == '-' || c == '_' || c == '.';
    if (!between || !normal.ends_with('-')) normal += between ? '-' : c;
  }
  return normal;
}

RuleSample read_sample(base::TomlTable& table) {
  RuleSample sample;
  table.require("match");
  sample.match = table.boolean("match").value_or(true);
  sample.process = table.text("process", any_line).value_or("");
  sample.script = table.text("script", any_line).value_or("");
  sample.library = table.text("library", any_line).value_or("");
  sample.text = table.text("text", any_line).value_or("");
  sample.package = table.text("package", any_line).value_or("");
  sample.image = table.text("image", any_line).value_or("");
  sample.extension = table.text("extension", any_line).value_or("");
  sample.cache = table.text("cache", any_line).value_or("");
  sample.profile_folder = table.text("profile_folder", any_line).value_or("");
  sample.port = static_cast<uint16_t>(table.integer("port", 1, 65535).value_or(0));
  table.finish();
  return sample;
}

}  // namespace

std::string_view runtime_class_name(RuntimeClass value) {
  for (const auto& [known, name] : kClasses)
    if (known == value) return name;
  return "runtime";
}

Result<RuntimeRule> parse_runtime_rule(const RuleText& text) {
  LANTERN_ASSIGN(const std::unique_ptr<base::TomlDocument> document,
                 base::TomlDocument::parse(text.toml, text.name, kRuleBytesMax));
  base::TomlTable root = document->root();
  RuntimeRule rule{.id = std::string(text.name.substr(0, text.name.rfind('.')))};
  root.require("name");
  root.require("class");
  rule.name = root.text("name", any_line).value_or("");
  const std::string kind = root.text("class",
                                     [](std::string_view name) {
                                       return class_from_name(name) ? "" : "no class of runtimes";
                                     })
                               .value_or("runtime");
  rule.kind = class_from_name(kind).value_or(RuntimeClass::kRuntime);
  rule.homepage = root.text("homepage", any_line).value_or("");
  for (const std::string& port : texts(root, "ports", [](std::string_view digits) {
         const bool good = !digits.empty() && digits.size() <= 5 &&
                           digits.find_first_not_of("0123456789") == std::string_view::npos &&
                           std::stoi(std::string(digits)) <= 65535;
         return good ? "" : "no port";
       }))
    rule.ports.push_back(static_cast<uint16_t>(std::stoi(port)));
  rule.folders = texts(root, "folders", any_line);
  rule.processes = texts(root, "processes", any_line);
  rule.scripts = texts(root, "scripts", any_line);
  rule.libraries = texts(root, "libraries", any_line);
  rule.packages = texts(root, "packages", any_line);
  rule.images = texts(root, "images", code_string);
  rule.extensions = texts(root, "extensions", any_line);
  rule.caches = texts(root, "caches", code_string);
  rule.profile_folders = texts(root, "profile_folders", any_line);
  rule.strings = texts(root, "strings", code_string);
  const auto n_strings = static_cast<int64_t>(rule.strings.size());
  if (n_strings > 0) root.require("strings_min");
  if (root.has("strings_min"))
    rule.strings_min = static_cast<uint32_t>(
        root.integer("strings_min", std::min<int64_t>(2, n_strings), n_strings).value_or(0));
  if (root.has("rank")) rule.rank = root.integer("rank", 0, 2).value_or(2);
  root.require("samples");
  for (base::TomlTable& table : root.tables("samples", kSamplesMax))
    rule.samples.push_back(read_sample(table));
  root.finish();
  LANTERN_TRY(document->status());
  return rule;
}

Result<std::vector<RuntimeRule>> read_runtime_rules() {
  std::vector<RuntimeRule> rules;
  for (const RuleText& text : runtime_rule_texts()) {
    LANTERN_ASSIGN(RuntimeRule rule, parse_runtime_rule(text));
    rules.push_back(std::move(rule));
  }
  std::sort(rules.begin(), rules.end(),
            [](const RuntimeRule& a, const RuntimeRule& b) { return a.id < b.id; });
  return rules;
}

bool matches_process(const RuntimeRule& rule, std::string_view name) {
  name = base_name(name);
  return std::find(rule.processes.begin(), rule.processes.end(), name) != rule.processes.end();
}

bool matches_script(const RuntimeRule& rule, std::string_view script) {
  if (script.empty()) return false;
  return std::any_of(rule.scripts.begin(), rule.scripts.end(), [&](std::string_view known) {
    // A path's end ("ComfyUI/main.py"), a file's name, or a module and what is below it.
    if (known.find('/') != std::string_view::npos)
      return script == known || script.ends_with("/" + std::string(known));
    return base_name(script) == known || script == known ||
           script.starts_with(std::string(known) + ".");
  });
}

bool matches_library(const RuntimeRule& rule, std::string_view path) {
  return std::any_of(rule.libraries.begin(), rule.libraries.end(), [&](std::string_view known) {
    if (known.find('/') != std::string_view::npos)
      return path.find(known) != std::string_view::npos;
    return base_name(path).starts_with(known);
  });
}

bool matches_package(const RuntimeRule& rule, std::string_view name) {
  if (rule.packages.empty()) return false;
  const std::string normal = package_name(name);
  return std::any_of(rule.packages.begin(), rule.packages.end(),
                     [&](const std::string& known) { return package_name(known) == normal; });
}

bool matches_image(const RuntimeRule& rule, std::string_view name) {
  // From a component's beginning on: "registry.corp/ollama/ollama", not "not-ollama/ollama".
  const std::string path = "/" + std::string(name);
  return std::any_of(rule.images.begin(), rule.images.end(), [&](const std::string& known) {
    const std::string part = "/" + known;
    return known.ends_with('/') ? path.find(part) != std::string::npos : path.ends_with(part);
  });
}

bool matches_extension(const RuntimeRule& rule, std::string_view name) {
  const std::string lower = lower_case(name);
  return std::any_of(rule.extensions.begin(), rule.extensions.end(),
                     [&](const std::string& known) { return lower_case(known) == lower; });
}

CodeSearch::CodeSearch(std::span<const RuntimeRule> rules)
    : rules_(rules), by_slot_(kSlots), filled_(kSlots) {
  for (size_t i = 0; i < rules.size(); ++i)
    for (const std::string& text : rules[i].strings) {
      const size_t at = slot(text.data());
      by_slot_[at].push_back(static_cast<uint32_t>(patterns_.size()));
      filled_[at] = 1;
      patterns_.push_back({.text = text, .rule = i});
      longest_ = std::max(longest_, text.size());
    }
  found_.resize(patterns_.size());
}

size_t CodeSearch::slot(const char* at) {
  uint32_t four = 0;
  std::memcpy(&four, at, 4);
  return (four * 2654435761u) >> 16;  // Knuth's multiplicative hash
}

void CodeSearch::search(std::string_view bytes) {
  if (bytes.size() < kStringBytesMin) return;
  for (size_t i = 0; i + 4 <= bytes.size(); ++i) {
    const size_t at = slot(bytes.data() + i);
    if (filled_[at] == 0) continue;
    for (const uint32_t pattern : by_slot_[at])
      if (!found_[pattern] && bytes.substr(i).starts_with(patterns_[pattern].text))
        found_[pattern] = true;
  }
}

void CodeSearch::feed(std::string_view bytes) {
  if (longest_ == 0) return;
  // Where the last piece and this one meet.
  const size_t joint = std::min(bytes.size(), longest_ - 1);
  carry_.append(bytes.substr(0, joint));
  search(carry_);
  search(bytes);
  if (bytes.size() >= longest_ - 1) {
    carry_.assign(bytes.substr(bytes.size() - (longest_ - 1)));
  } else if (carry_.size() > longest_ - 1) {
    carry_.erase(0, carry_.size() - (longest_ - 1));
  }
}

std::vector<std::string_view> CodeSearch::strings_found() const {
  std::vector<std::string_view> texts;
  for (size_t i = 0; i < patterns_.size(); ++i)
    if (found_[i]) texts.push_back(patterns_[i].text);
  return texts;
}

std::vector<CodeSearch::Match> CodeSearch::finish() {
  std::vector<uint32_t> n_found(rules_.size());
  for (size_t i = 0; i < patterns_.size(); ++i)
    if (found_[i]) ++n_found[patterns_[i].rule];
  std::vector<Match> matches;
  for (size_t i = 0; i < rules_.size(); ++i)
    if (rules_[i].strings_min > 0 && n_found[i] >= rules_[i].strings_min)
      matches.push_back({.rule = i, .n_found = n_found[i]});
  found_.assign(found_.size(), false);
  carry_.clear();
  return matches;
}

}  // namespace lantern::sensor
