// GGUF: the header by format/'s own reader, and the templates in it, also where that reader
// refuses.
#include "format/gguf.h"

#include <algorithm>
#include <string>
#include <variant>

#include "supply/scan/scanner.h"
#include "supply/scan/template/analyze.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) { return input.head().starts_with("GGUF"); }

void judge_string(std::string_view key, std::string_view value, Scan& scan) {
  // tokenizer.chat_template, tokenizer.chat_template.NAME and whatever else a runtime may render.
  const bool is_template = key.find("template") != key.npos;
  if (!is_template && !has_template_tags(value)) return;
  const Scan::Place place(scan, key);
  scan_template(value, scan, is_template ? TemplateRole::kTemplate : TemplateRole::kText);
}

/// The strings of a header that the strict reader refuses, as far as they can be found: a runtime
/// that is less strict would still render them.
class LooseReader {
 public:
  LooseReader(const format::Source& source, Scan& scan)
      : reader_(source, format::GgufLimits{}.header_bytes), scan_(scan) {}

  Status run() {
    LANTERN_TRY(reader_.read<uint32_t>("magic"));
    LANTERN_ASSIGN(const uint32_t version, reader_.read<uint32_t>("version"));
    is_short_ = version == 1;
    LANTERN_TRY(length("tensor count"));
    LANTERN_ASSIGN(const uint64_t n_keys, length("key count"));
    for (uint64_t i = 0; i < std::min<uint64_t>(n_keys, 1u << 16); ++i) {
      LANTERN_TRY(scan_.check_time());
      LANTERN_ASSIGN(const std::string key, text("key", 1u << 16));
      LANTERN_ASSIGN(const uint32_t type, reader_.read<uint32_t>("type"));
      LANTERN_TRY(value(key, type, 0));
    }
    return {};
  }

 private:
  Result<uint64_t> length(std::string_view field) {
    if (!is_short_) return reader_.read<uint64_t>(field);
    LANTERN_ASSIGN(const uint32_t n, reader_.read<uint32_t>(field));
    return uint64_t{n};
  }
  Result<std::string> text(std::string_view field, uint64_t bytes_max) {
    LANTERN_ASSIGN(const uint64_t n, length(field));
    if (n > bytes_max) return make_error(ErrorCode::kCorrupt, "{}: {} bytes", field, n);
    LANTERN_ASSIGN(const std::string_view bytes, reader_.read_bytes(n, field));
    return std::string(bytes);
  }
  Status value(const std::string& key, uint32_t type, int depth) {
    constexpr uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    constexpr uint32_t kString = 8, kArray = 9;
    if (type >= std::size(kBytes) || depth > 4)
      return make_error(ErrorCode::kCorrupt, "{}: type {}", key, type);
    if (type == kString) {
      LANTERN_ASSIGN(const std::string bytes, text(key, 64u << 20));
      judge_string(key, bytes, scan_);
      return {};
    }
    if (type == kArray) {
      LANTERN_ASSIGN(const uint32_t element, reader_.read<uint32_t>("element type"));
      LANTERN_ASSIGN(const uint64_t n, length("elements"));
      for (uint64_t i = 0; i < n; ++i) LANTERN_TRY(value(key, element, depth + 1));
      return {};
    }
    auto skipped = reader_.read_bytes(kBytes[type], key);
    if (!skipped.ok()) return std::move(skipped).error();
    return {};
  }

  format::SourceReader reader_;
  Scan& scan_;
  bool is_short_ = false;
};

void run(const Input& input, Scan& scan) {
  auto header = format::parse_gguf(input.source());
  if (!header.ok()) {
    const bool is_unsupported = header.error().code == ErrorCode::kUnsupported;
    const Status rest = LooseReader(input.source(), scan).run();
    const Verdict verdict =
        is_unsupported && rest.ok() ? Verdict::kUnsupported : Verdict::kInconclusive;
    scan.add("gguf", is_unsupported ? "gguf-unsupported" : "gguf-unreadable", verdict,
             header.error().message);
    return;
  }
  for (const auto& [key, entry] : header->metadata.all()) {
    if (const auto* text = std::get_if<std::string>(&entry.value)) judge_string(key, *text, scan);
    // Tokens may look like tags; a list of templates would be named one.
    if (const auto* list = std::get_if<format::StringArray>(&entry.value);
        list != nullptr && key.find("template") != key.npos && key != "tokenizer.chat_templates")
      for (const std::string_view text : *list) judge_string(key, text, scan);
  }
}

}  // namespace

extern const Scanner k_gguf;
const Scanner k_gguf = {.name = "gguf", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
