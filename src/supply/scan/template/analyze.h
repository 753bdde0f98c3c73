// What a chat template could reach, told from its syntax tree.
//
// Nothing is rendered. Expressions are folded where their parts are constants (so that
// '__cl' ~ 'ass__', {{ '%c'|format(95) }}, slices, joins and dict(a=1)|join are what they come to),
// variables keep the set of constants that any assignment gives them, and every attribute, item,
// filter and call is judged by the name that arrives there. A name that only stands in a text,
// which no attribute access reaches, is text.
#pragma once

#include <string_view>

#include "supply/scan/scanner.h"

namespace lantern::supply::scan {

enum class TemplateRole {
  kTemplate,  // the engine would render it: what cannot be read is inconclusive
  kText,      // text that has tags in it: only what reads as a template counts
};

/// Findings of rules "template-...": offsets are line numbers.
void scan_template(std::string_view source, Scan& scan, TemplateRole role);

/// Whether Jinja tags stand in it.
bool has_template_tags(std::string_view text);

}  // namespace lantern::supply::scan
