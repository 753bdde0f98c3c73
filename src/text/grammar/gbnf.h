// GBNF, the notation that llama.cpp's users write grammars in.
//
//   root  ::= "yes" | "no, " reason{1,3}     # a comment
//   reason ::= [a-z]+ "."
//
// A rule is a name of letters, digits and hyphens (and underscores), ::=, and alternatives of
// sequences: "text", [class], [^class], . (any character), names, (groups), each with * + ? {m}
// {m,} {m,n}. Text and classes know \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH. A rule goes on
// over the end of a line until the next name ::=.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/grammar/network.h"

namespace lantern::text::grammar {

/// The rule `root`. kInvalidArgument with the line; kUnsupported left recursion; kTooLarge.
Result<Network> compile_gbnf(std::string_view text);

}  // namespace lantern::text::grammar
