#include "supply/scan/scanner.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace lantern::supply::scan {
namespace {

constexpr size_t kHeadBytes = 4096;
constexpr size_t kMessageBytesMax = 600;

/// One line, UTF-8, no longer than a message may be: names in it came from outside.
std::string one_line(std::string_view text, size_t bytes_max) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= bytes_max) {
      out += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string shown_path(std::string_view path) { return one_line(path, 4096); }

Input::Input(const format::Source& source, std::string name, bool cut)
    : source_(source), cut_(cut) {
  name_ = name.substr(name.find_last_of("/\\") + 1);
  std::transform(name_.begin(), name_.end(), name_.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  head_ = read(0, kHeadBytes);
}

std::string Input::read(uint64_t offset, uint64_t n) const {
  if (offset >= size()) return {};
  std::string out(std::min(n, size() - offset), '\0');
  if (!source_.read_at(offset, std::as_writable_bytes(std::span(out))).ok()) return {};
  return out;
}

bool Input::looks_like_text() const {
  return std::none_of(head_.begin(), head_.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f' &&
           byte != 0x1b;
  });
}

Scan::Scan(const Limits& limits)
    : limits_(limits), deadline_(std::chrono::steady_clock::now() + limits.time_max) {}

Scan::Place::Place(Scan& scan, std::string_view part)
    : scan_(scan), size_before_(scan.nested_.size()) {
  if (!scan.nested_.empty()) scan.nested_ += '!';
  scan.nested_ += one_line(part, 256);
}

void Scan::begin_file(const std::string& path) {
  file_ = shown_path(path);
  nested_.clear();
  depth_ = 0;
}

void Scan::add(std::string_view scanner, std::string_view rule, Verdict verdict,
               std::string message, std::optional<uint64_t> offset) {
  if (report_.findings.size() >= limits_.findings) {
    // The worst must not be lost to a flood of lesser ones.
    ++report_.n_findings_dropped;
    if (verdict != Verdict::kMalicious) return;
    auto lesser = std::find_if(report_.findings.begin(), report_.findings.end(),
                               [](const Finding& f) { return f.verdict != Verdict::kMalicious; });
    if (lesser == report_.findings.end()) return;
    report_.findings.erase(lesser);
  }
  report_.findings.push_back({.scanner = std::string(scanner),
                              .rule = std::string(rule),
                              .verdict = verdict,
                              .where = {.file = file_, .nested = nested_, .offset = offset},
                              .message = one_line(message, kMessageBytesMax)});
}

void Scan::unreadable(std::string_view scanner, const Error& error) {
  add(scanner, fmt::format("{}-unreadable", scanner), Verdict::kInconclusive, error.message);
}

Status Scan::check_time() const {
  if (std::chrono::steady_clock::now() > deadline_)
    return make_error(ErrorCode::kTooLarge, "the scan took longer than {} s and was ended",
                      std::chrono::duration_cast<std::chrono::seconds>(limits_.time_max).count());
  return {};
}

Status Scan::spend_read(uint64_t bytes) {
  read_bytes_ += bytes;
  if (read_bytes_ > limits_.read_bytes)
    return make_error(ErrorCode::kTooLarge, "more than {} bytes to read", limits_.read_bytes);
  return check_time();
}

Status Scan::spend_extracted(uint64_t bytes) {
  extracted_bytes_ += bytes;
  if (extracted_bytes_ > limits_.extracted_bytes)
    return make_error(ErrorCode::kTooLarge, "archives unpack to more than {} bytes",
                      limits_.extracted_bytes);
  return check_time();
}

Status Scan::spend_entry() {
  if (++entries_ > limits_.entries)
    return make_error(ErrorCode::kTooLarge, "more than {} entries in archives", limits_.entries);
  return check_time();
}

std::vector<std::string> Scan::judge(const Input& input) {
  ++report_.n_objects;
  std::vector<std::string> formats;
  if (auto status = check_time(); !status.ok()) {
    unreadable("limits", status.error());
    return formats;
  }
  for (const Scanner* scanner : all_scanners()) {
    if (!scanner->matches(input)) continue;
    formats.emplace_back(scanner->name);
    scanner->scan(input, *this);
  }
  if (!formats.empty() || input.size() == 0) return formats;
  if (input.looks_like_text()) return {"text"};
  // What a weight file of its own kind holds needs no name; a whole file does.
  if (depth_ == 0)
    add("format", "format-unknown", Verdict::kUnsupported,
        "data of no format that Lantern knows: it was not looked into");
  return formats;
}

void Scan::judge_nested(const std::string& name, const format::Source& source, bool cut) {
  const Place place(*this, name);
  if (depth_ >= limits_.depth_max) {
    add("limits", "limits-depth", Verdict::kInconclusive,
        fmt::format("nested deeper than {} levels: not looked into", limits_.depth_max));
    return;
  }
  ++depth_;
  judge(Input(source, name, cut));
  --depth_;
}

void Scan::judge_nested(const std::string& name, std::string_view bytes, bool cut) {
  judge_nested(name, format::MemorySource(name, std::as_bytes(std::span(bytes))), cut);
}

}  // namespace lantern::supply::scan
