// What a global named by a pickle is, and what calling it would do.
//
// Two errors are weighed. A pickle may call anything that is installed, so a list of known attacks
// never ends: instead, Python's standard library and the frameworks' functions are refused unless
// they are known to build data. What comes from a module that nobody here knows (a user's own
// classes) is a warning, or every saved model of a person's own class would be called an attack.
#pragma once

#include <string>
#include <string_view>

#include "supply/scan/report.h"

namespace lantern::supply::scan {

enum class GlobalUse {
  kNamed,        // fetched, as a function stored in an object is
  kCalled,       // REDUCE, INST, OBJ: its code runs
  kConstructed,  // NEWOBJ: __new__ alone runs
};

struct GlobalVerdict {
  Verdict verdict = Verdict::kClean;
  std::string_view rule;  // "pickle-dangerous-call"; empty where clean
  std::string_view what;  // "runs shell commands"
};

/// `module` and `name` as the pickle spells them, Python 2's names included.
GlobalVerdict judge_global(std::string_view module, std::string_view name, GlobalUse use);

/// A module of Python's standard library, 2.7 to 3.14.
bool is_standard_module(std::string_view top_level);

}  // namespace lantern::supply::scan
