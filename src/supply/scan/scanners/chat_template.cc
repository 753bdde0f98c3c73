// Jinja templates in files of their own.
#include <algorithm>
#include <string>

#include "supply/scan/scanner.h"
#include "supply/scan/template/analyze.h"

namespace lantern::supply::scan {
namespace {

constexpr uint64_t kTextBytesMax = 4u << 20;

bool is_json_object(std::string_view head) {
  const size_t at = head.find_first_not_of(" \t\r\n");
  if (at == head.npos || (head[at] != '{' && head[at] != '[')) return false;
  const size_t next = head.find_first_not_of(" \t\r\n", at + 1);
  return next != head.npos && (head[next] == '"' || head[next] == '}' || head[next] == '{') &&
         !head.substr(at).starts_with("{{");
}

bool matches(const Input& input) {
  if (!input.looks_like_text() || input.size() == 0 || is_json_object(input.head())) return false;
  return has_template_tags(input.read(0, kTextBytesMax));
}

void run(const Input& input, Scan& scan) {
  // What a file is for is told by its name: the engine renders chat_template.jinja, and nobody
  // renders a README that explains one.
  const std::string& name = input.name();
  const bool is_template =
      name.ends_with(".jinja") || name.ends_with(".jinja2") || name.ends_with(".j2");
  const bool is_prose = name.ends_with(".md") || name.ends_with(".rst") || name.ends_with(".py") ||
                        name.ends_with(".html") || name.ends_with(".tex") || name.ends_with(".bib");
  if (is_prose) return;
  scan_template(input.read(0, kTextBytesMax + 1), scan,
                is_template ? TemplateRole::kTemplate : TemplateRole::kText);
}

}  // namespace

extern const Scanner k_chat_template;
const Scanner k_chat_template = {.name = "template", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
