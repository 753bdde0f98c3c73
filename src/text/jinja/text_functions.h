// Python's str functions, which methods and filters share. Each character keeps its kind.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

enum class Side { kLeft, kRight, kBoth };

Result<Value> slice_bytes(Runtime& rt, const Text& text, size_t begin, size_t end);
/// strip(), lstrip(), rstrip(): whitespace where `characters` is null.
Result<Value> strip(Runtime& rt, const Text& text, const Text* characters, Side side);
/// replace(); a negative `count` replaces all.
Result<Value> replace(Runtime& rt, const Text& text, const Text& from, const Text& to,
                      int64_t count);
/// split() and, with `from_right`, rsplit(): at whitespace where `separator` is null.
Result<std::vector<Value>> split(Runtime& rt, const Text& text, const Text* separator,
                                 int64_t splits_max, bool from_right);
Result<std::vector<Value>> split_lines(Runtime& rt, const Text& text, bool keep_ends);
/// separator.join(str(item) for each item).
Result<Value> join(Runtime& rt, const Text& separator, const std::vector<Value>& items);
/// Padded with `fill` to `width` code points; kBoth centers as Python does.
Result<Value> pad(Runtime& rt, const Text& text, int64_t width, std::string_view fill,
                  Side text_at);
/// Appends `fill`, one character, `count` times; at once full where the builder cannot hold that.
void append_fill(TextBuilder& out, std::string_view fill, int64_t count);
/// Appends a string with & < > ' and " as HTML entities, or as it is where it is markup.
void append_escaped(TextBuilder& out, const Value& text);
/// Python's int(text, base): nothing where it is no number; kInvalidArgument where it does not
/// fit 64 bits.
Result<std::optional<int64_t>> parse_integer(std::string_view text, int base);
/// Python's float(text).
std::optional<double> parse_real(std::string_view text);

}  // namespace lantern::text::jinja
