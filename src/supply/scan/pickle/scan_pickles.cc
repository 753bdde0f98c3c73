#include <algorithm>
#include <array>
#include <string>

#include "supply/scan/pickle/globals.h"
#include "supply/scan/pickle/walker.h"

namespace lantern::supply::scan {
namespace {

constexpr int kStreamsMax = 1000;  // pickles one after another in a file

bool starts_with_mark(const format::Source& source, uint64_t begin) {
  std::array<std::byte, 2> head;
  if (source.size() < begin || source.size() - begin < 3) return false;
  if (!source.read_at(begin, head).ok()) return false;
  const auto protocol = std::to_integer<unsigned>(head[1]);
  return std::to_integer<unsigned>(head[0]) == 0x80 && protocol >= 1 && protocol <= 5;
}

/// A pickle that its walker could not follow to the end may still hide a global line or a short
/// string pair in what is left; a loader that is more lenient would run it.
void search_rest(const format::Source& source, uint64_t begin, Scan& scan,
                 std::string_view scanner) {
  constexpr uint64_t kSearchBytesMax = 16u << 20;
  constexpr size_t kLineBytesMax = 160;  // of module and name
  const uint64_t n = std::min(source.size() - std::min(begin, source.size()), kSearchBytesMax);
  std::string rest(n, '\0');
  if (n == 0 || !source.read_at(begin, std::as_writable_bytes(std::span(rest))).ok()) return;
  for (size_t at = rest.find('c'); at != rest.npos; at = rest.find('c', at + 1)) {
    const std::string_view lines = std::string_view(rest).substr(at + 1, kLineBytesMax);
    const size_t first = lines.find('\n');
    if (first == lines.npos) continue;
    const size_t second = lines.find('\n', first + 1);
    if (second == lines.npos) continue;
    const std::string_view module = lines.substr(0, first);
    const std::string_view name = lines.substr(first + 1, second - first - 1);
    const auto is_identifier = [](std::string_view text) {
      return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.';
      });
    };
    if (!is_identifier(module) || !is_identifier(name)) continue;
    const GlobalVerdict verdict = judge_global(module, name, GlobalUse::kNamed);
    if (verdict.verdict != Verdict::kMalicious) continue;
    scan.add(scanner, verdict.rule, verdict.verdict,
             fmt::format("names {}.{} behind the place where the pickle breaks: {}", module, name,
                         verdict.what),
             begin + at);
    return;
  }
}

}  // namespace

bool is_pickle(const format::Source& source, uint64_t begin) {
  if (source.size() < begin || source.size() - begin < 2) return false;
  const PickleWalk walk = walk_pickle(source, begin, {});
  if (walk.stopped && !walk.malformed) return walk.n_ops >= 2;
  if (starts_with_mark(source, begin)) return walk.n_ops >= 3 || walk.stopped;
  return walk.names_danger || (walk.n_globals > 0 && walk.n_sound_calls > 0);
}

void scan_pickles(const format::Source& source, uint64_t begin, Scan& scan,
                  std::string_view scanner, int nesting) {
  uint64_t at = begin;
  bool is_torch = false;
  for (int i = 0; i < kStreamsMax; ++i) {
    const PickleWalk walk =
        walk_pickle(source, at, {.scan = &scan, .scanner = scanner, .nesting = nesting});
    is_torch = is_torch || walk.is_torch_magic;
    if (!walk.stopped) {
      // After a whole pickle, what does not read as one is data (a storage's bytes).
      if (i > 0 && walk.n_calls == 0) return;
      search_rest(source, walk.end, scan, scanner);
      scan.add(scanner, "pickle-unreadable", Verdict::kInconclusive,
               walk.fault ? walk.fault->message : "the pickle does not end", walk.end);
      return;
    }
    if (walk.malformed && i == 0)
      scan.add(scanner, "pickle-malformed", Verdict::kInconclusive,
               "opcodes that use what is not there: a loader fails midway, after what came before",
               at);
    at = walk.end;
    if (at >= source.size()) return;
    if (!is_torch && !is_pickle(source, at)) return;
    if (is_torch && i >= 4) return;  // magic, version, system, object, storage keys: then raw data
  }
  scan.add(scanner, "pickle-many", Verdict::kInconclusive,
           fmt::format("more than {} pickles in one file", kStreamsMax));
}

}  // namespace lantern::supply::scan
