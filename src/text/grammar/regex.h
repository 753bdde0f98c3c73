// Regular expressions, ECMA-262's syntax with its Unicode flag, as far as they are regular.
//
// Alternation, groups (captures mean nothing here), classes, . \d \w \s and their opposites, \p{L}
// \p{Lu} \p{Ll} \p{Lt} \p{Lm} \p{Lo} \p{M} \p{N} and their opposites, \t \n \v \f \r \0 \cX \xHH
// \uHHHH \u{...}, quantifiers ? * + {m} {m,} {m,n} (lazy ones match the same), ^ and $ at the
// text's begin and end. Not regular, or not supported, and refused by name: back references,
// look-around, \b \B, inline flags.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/grammar/char_dfa.h"

namespace lantern::text::grammar {

enum class RegexMatch {
  kWhole,     // the text as a whole matches
  kAnywhere,  // some part of it does (JSON schema's `pattern`)
};

/// kInvalidArgument for what is no regular expression, kUnsupported by name, kTooLarge.
Result<CharDfa> compile_regex(std::string_view pattern, RegexMatch match, Budget& budget);

/// The character or class that an escape after a backslash stands for, as in a regular expression;
/// `text` begins after the backslash and is moved past it.
Result<CharSet> parse_escape(std::string_view& text, bool in_class);
/// [...]: `text` begins after the bracket and is moved past the closing one.
Result<CharSet> parse_class(std::string_view& text);

}  // namespace lantern::text::grammar
