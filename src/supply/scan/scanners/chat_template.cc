// Jinja templates in files of their own.
#include <algorithm>
#include <string>

#include "supply/scan/pickle/walker.h"
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

/// What a file is for is told by its name: the engine renders chat_template.jinja, and nobody
/// renders a README that explains one.
bool is_template_by_name(const std::string& name) {
  return name.ends_with(".jinja") || name.ends_with(".jinja2") || name.ends_with(".j2");
}

/// A pickle of protocol 0 is text from end to end. Its strings are data, as those of the binary
/// protocols are, and what it runs is the pickle scanner's to say.
bool is_whole_pickle(const Input& input) {
  const PickleWalk walk = walk_pickle(input.source(), 0, {});
  return walk.stopped && !walk.malformed && walk.n_ops >= 2 && walk.end == input.size();
}

bool matches(const Input& input) {
  if (!input.looks_like_text() || input.size() == 0 || is_json_object(input.head())) return false;
  return has_template_tags(input.read(0, kTextBytesMax)) &&
         (is_template_by_name(input.name()) || !is_whole_pickle(input));
}

void run(const Input& input, Scan& scan) {
  const std::string& name = input.name();
  const bool is_template = is_template_by_name(name);
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
