// JSON: chat templates in tokenizer and processor configurations, code that a configuration asks
// for (auto_map), Keras models.
#include "base/json.h"

#include <string>

#include "supply/scan/keras.h"
#include "supply/scan/scanner.h"
#include "supply/scan/template/analyze.h"

namespace lantern::supply::scan {
namespace {

using base::Json;

constexpr uint64_t kJsonBytesMax = 128u << 20;

bool matches(const Input& input) {
  const std::string_view head = input.head();
  size_t at = head.starts_with("\xef\xbb\xbf") ? 3 : 0;
  at = head.find_first_not_of(" \t\r\n", at);
  if (at == head.npos || !input.looks_like_text()) return false;
  if (head[at] != '{' && head[at] != '[') return false;
  const size_t next = head.find_first_not_of(" \t\r\n", at + 1);
  if (next == head.npos) return false;
  // Not "{{" and "{%" of a template, not "[text]" of Markdown.
  return head[at] == '{' ? head[next] == '"' || head[next] == '}'
                         : std::string_view("[{\"]-0123456789tfn").find(head[next]) != head.npos;
}

void judge(const Json& value, std::string_view key, Scan& scan) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const bool is_template = key.find("template") != key.npos;
    if (!has_template_tags(text)) return;
    const Scan::Place place(scan, key);
    scan_template(text, scan,
                  is_template && key.find("chat") != key.npos ? TemplateRole::kTemplate
                                                              : TemplateRole::kText);
    return;
  }
  if (key == "auto_map" && value.is_object() && !value.empty())
    scan.add("json", "config-remote-code", Verdict::kWarn,
             "auto_map asks a loader to run Python code that comes with the model");
  if (value.is_object())
    for (const auto& [name, part] : value.items()) {
      // [{"name": "default", "template": "..."}], as tokenizer_config.json lists them.
      const bool is_listed = key.find("chat_template") != key.npos && name == "template";
      judge(part, is_listed ? "chat_template" : name, scan);
    }
  if (value.is_array())
    for (const Json& part : value) judge(part, key, scan);
}

void run(const Input& input, Scan& scan) {
  if (input.size() > kJsonBytesMax || input.cut()) {
    scan.add("json", "json-unreadable", Verdict::kInconclusive,
             fmt::format("JSON of more than {} bytes", kJsonBytesMax));
    return;
  }
  std::string text = input.read(0, input.size());
  std::string_view view = text;
  if (view.starts_with("\xef\xbb\xbf")) view.remove_prefix(3);
  auto json = base::parse_json(view, "JSON", {.bytes_max = kJsonBytesMax, .depth_max = 200});
  if (!json.ok()) {
    // Lines of JSON, notebooks with comments and the like are nobody's configuration.
    const bool is_configuration = input.name().ends_with(".json");
    scan.add("json", "json-unreadable", is_configuration ? Verdict::kInconclusive : Verdict::kWarn,
             json.error().message);
    if (has_template_tags(view)) scan_template(view, scan, TemplateRole::kText);
    return;
  }
  judge(*json, "", scan);
  judge_keras_config(*json, scan);
}

}  // namespace

extern const Scanner k_json;
const Scanner k_json = {.name = "json", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
