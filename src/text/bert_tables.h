// The layout of the tables that tools/unicode/bert_tables.py makes. Only wordpiece.cc reads them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lantern::text::tables {

struct Range {
  char32_t first, last;
};
/// Characters first, first + step, ... last have their small letter `delta` further on.
struct LowerRun {
  char32_t first, last;
  uint8_t step;
  int32_t delta;
};

// All by `first`, none overlapping another (runs of every second letter may interleave).
extern const Range kBertRemoved[];
extern const size_t kBertRemovedCount;
extern const Range kBertSpaces[];
extern const size_t kBertSpacesCount;
extern const Range kBertPunctuation[];
extern const size_t kBertPunctuationCount;
extern const Range kBertMarks[];
extern const size_t kBertMarksCount;
extern const Range kBertIdeographs[];
extern const size_t kBertIdeographsCount;
extern const LowerRun kBertLower[];
extern const size_t kBertLowerCount;

}  // namespace lantern::text::tables
