#include "supply/scan/template/analyze.h"

#include <memory>
#include <string>

#include "supply/scan/template/analyzer.h"
#include "supply/scan/template/names.h"
#include "text/jinja/parser.h"
#include "text/jinja/text.h"
#include "text/jinja/token.h"

namespace lantern::supply::scan {
namespace {

constexpr size_t kTemplateBytesMax = 4u << 20;

/// A template that does not parse here might elsewhere: its tokens still show an attribute walk.
/// Returns whether they do.
bool judge_tokens(std::string_view source, Scan& scan) {
  auto tokens = text::jinja::tokenize(source);
  if (!tokens.ok()) return false;
  using text::jinja::TokenType;
  bool found = false;
  for (size_t i = 0; i < tokens->size(); ++i) {
    const auto& token = (*tokens)[i];
    if (token.type != TokenType::kName && token.type != TokenType::kString) continue;
    if (!is_internal_attribute(token.text)) continue;
    const bool is_reached =
        i > 0 && ((*tokens)[i - 1].is_operator(".") || (*tokens)[i - 1].is_operator("[") ||
                  (*tokens)[i - 1].is_operator("("));
    if (!is_reached && token.type != TokenType::kName) continue;
    scan.add("template", "template-attribute-walk", Verdict::kMalicious,
             fmt::format("reaches {}, the way from a template into Python and to running code",
                         token.text),
             token.line);
    found = true;
    break;
  }
  return found;
}

}  // namespace

bool has_template_tags(std::string_view text) {
  return text.find("{{") != text.npos || text.find("{%") != text.npos;
}

void scan_template(std::string_view source, Scan& scan, TemplateRole role) {
  if (source.size() > kTemplateBytesMax) {
    if (role == TemplateRole::kTemplate)
      scan.add("template", "template-unreadable", Verdict::kInconclusive,
               fmt::format("a template of {} bytes, at most {} are read", source.size(),
                           kTemplateBytesMax));
    return;
  }
  if (!text::jinja::is_utf8(source)) {
    if (role == TemplateRole::kTemplate)
      scan.add("template", "template-unreadable", Verdict::kInconclusive,
               "a template that is not UTF-8");
    return;
  }
  auto parsed = text::jinja::parse_template(source);
  if (parsed.ok()) {
    TemplateAnalyzer(**parsed, scan).run();
    return;
  }
  judge_tokens(source, scan);
  if (role == TemplateRole::kTemplate)
    scan.add("template", "template-unreadable", Verdict::kInconclusive, parsed.error().message);
}

}  // namespace lantern::supply::scan
