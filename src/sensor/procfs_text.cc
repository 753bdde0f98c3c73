#include "sensor/procfs_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace lantern::sensor {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
constexpr size_t kPathBytesMax = 4096;

template <typename T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view next_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

/// "\012" is how maps writes a line break in a name (seq_file's escapes).
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 4) == "\\012") {
      out += '\n';
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<MappedFile> parse_maps_line(std::string_view line) {
  const std::string_view range = next_word(line), rights = next_word(line),
                         offset = next_word(line), device = next_word(line),
                         inode = next_word(line);
  const size_t dash = range.find('-'), colon = device.find(':');
  if (dash == std::string_view::npos || colon == std::string_view::npos || rights.size() < 4)
    return std::nullopt;
  const auto begin = number<uint64_t>(range.substr(0, dash), 16),
             end = number<uint64_t>(range.substr(dash + 1), 16), at = number<uint64_t>(offset, 16),
             major = number<uint64_t>(device.substr(0, colon), 16),
             minor = number<uint64_t>(device.substr(colon + 1), 16), node = number<uint64_t>(inode);
  if (!begin || !end || !at || !major || !minor || !node || *node == 0 || *end <= *begin)
    return std::nullopt;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  // "/dev/zero (deleted)" is shared anonymous memory; "/memfd:name (deleted)" is a file like
  // others.
  if (line.empty() || line[0] != '/' || line.size() > kPathBytesMax) return std::nullopt;
  if (line.starts_with("/dev/zero")) return std::nullopt;
  MappedFile file{.id = {.device = (*major << 32) | *minor, .inode = *node},
                  .executable = rights[2] == 'x',
                  .bytes = *end - *begin,
                  .begin = *begin,
                  .end = *end,
                  .offset = *at};
  constexpr std::string_view kDeleted = " (deleted)";
  file.deleted = line.ends_with(kDeleted);
  if (file.deleted) line.remove_suffix(kDeleted.size());
  file.path = unescaped(line);
  return file;
}

}  // namespace

std::optional<StatLine> parse_stat(std::string_view text) {
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  StatLine stat{.name = std::string(text.substr(open + 1, close - open - 1))};
  std::string_view rest = text.substr(close + 1);
  // Fields from the third on: state ppid pgrp session tty tpgid flags ... utime(14) stime(15) ...
  // starttime(22) vsize rss rsslim startcode endcode startstack(28) ... start_data(45) ...
  // arg_start(48). Older kernels end before the last.
  std::array<std::string_view, 46> fields;
  size_t n_fields = 0;
  for (std::string_view word = next_word(rest); !word.empty() && n_fields < fields.size();
       word = next_word(rest))
    fields[n_fields++] = word;
  const auto field = [&](size_t number_of) { return fields[number_of - 3]; };
  if (n_fields < 24 - 2) return std::nullopt;
  const auto parent = number<int>(field(4));
  const auto flags = number<uint64_t>(field(9)), user = number<uint64_t>(field(14)),
             system = number<uint64_t>(field(15)), start = number<uint64_t>(field(22)),
             mapped = number<uint64_t>(field(23));
  const auto resident = number<int64_t>(field(24));  // a sum of counters, for a moment below 0
  if (!parent || !flags || !user || !system || !start || !mapped || !resident) return std::nullopt;
  stat.parent = *parent;
  stat.cpu_ticks = *user + *system;
  stat.start_ticks = *start;
  stat.mapped_bytes = *mapped;
  stat.resident_pages = static_cast<uint64_t>(std::max<int64_t>(*resident, 0));
  for (const size_t number_of : {26u, 28u, 45u, 48u})
    stat.image =
        stat.image * 0x9e3779b97f4a7c15ull + number<uint64_t>(field(number_of)).value_or(0);
  stat.kernel_thread = (*flags & kKernelThread) != 0;
  return stat;
}

uint64_t status_number(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (!line.starts_with(name) || line.substr(name.size(), 1) != ":") continue;
    line.remove_prefix(name.size() + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::string_view digits = line.substr(0, line.find_first_of(" \t"));
    const auto value = number<uint64_t>(digits);
    if (!value || *value > UINT64_MAX / 1024) return 0;
    return line.ends_with(" kB") ? *value * 1024 : *value;
  }
  return 0;
}

void MapsSummary::line(std::string_view text) {
  auto one = parse_maps_line(text);
  if (!one) return;
  const auto [at, is_new] = by_id_.try_emplace(one->id, std::move(*one));
  if (is_new) return;
  MappedFile& file = at->second;
  file.bytes += one->bytes;
  file.executable = file.executable || one->executable;
  if (one->offset < file.offset) {
    file.begin = one->begin;
    file.end = one->end;
    file.offset = one->offset;
  }
}

void MapsSummary::feed(std::string_view bytes) {
  for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (carry_.empty()) {
      line(bytes.substr(0, end));
    } else {
      line(carry_.append(bytes.substr(0, end)));
      carry_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  carry_.append(bytes);
}

std::vector<MappedFile> MapsSummary::finish() {
  if (!carry_.empty()) line(carry_);
  std::vector<MappedFile> files;
  files.reserve(by_id_.size());
  for (auto& [id, file] : by_id_) files.push_back(std::move(file));
  std::stable_sort(files.begin(), files.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return files;
}

std::vector<MappedFile> parse_maps(std::string_view text) {
  MapsSummary summary;
  summary.feed(text);
  return summary.finish();
}

std::vector<Listener> parse_tcp(std::string_view text) {
  std::vector<Listener> listeners;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    next_word(line);  // the slot
    const std::string_view local = next_word(line);
    next_word(line);  // the peer
    const std::string_view state = next_word(line);
    const size_t colon = local.rfind(':');
    if (state != "0A" || colon == std::string_view::npos) continue;  // 0A: TCP_LISTEN
    for (int i = 0; i < 5; ++i) next_word(line);  // queues, timer, retransmits, uid, timeout
    const auto port = number<uint16_t>(local.substr(colon + 1), 16);
    const auto inode = number<uint64_t>(next_word(line));
    if (!port || !inode) continue;
    const std::string_view address = local.substr(0, colon);
    // 127.0.0.1 and ::1, in the kernel's byte order of each word.
    listeners.push_back(
        {.port = *port,
         .loopback = (address.size() == 8 && address.ends_with("7F")) ||
                     address == "00000000000000000000000001000000" ||
                     (address.size() == 32 && address.starts_with("0000000000000000FFFF0000") &&
                      address.ends_with("7F")),
         .socket_inode = *inode});
  }
  return listeners;
}

std::optional<DrmUse> parse_drm_fdinfo(std::string_view text) {
  constexpr size_t kDriverNameBytesMax = 64;
  DrmUse use;
  uint64_t resident = 0, memory = 0;
  const auto add = [](uint64_t& sum, std::string_view value, std::string_view unit) {
    const size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
    const auto n = number<uint64_t>(value.substr(0, digits));
    value.remove_prefix(digits);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    const int shift = value == "KiB" ? 10 : value == "MiB" ? 20 : 0;
    const bool known = value == unit || (unit.empty() && shift > 0);
    if (n && known && *n <= (UINT64_MAX >> shift)) sum += std::min(*n << shift, UINT64_MAX - sum);
  };
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const size_t colon = line.find(':');
    if (!line.starts_with("drm-") || colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    line.remove_prefix(colon + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (key == "drm-driver") use.driver = line.substr(0, kDriverNameBytesMax);
    if (key.starts_with("drm-resident-")) add(resident, line, "");
    if (key.starts_with("drm-memory-")) add(memory, line, "");
    // "drm-engine-capacity-<name>" counts engines.
    if (key.starts_with("drm-engine-") && !key.starts_with("drm-engine-capacity-"))
      add(use.engine_ns, line, "ns");
  }
  if (use.driver.empty()) return std::nullopt;
  use.memory_bytes = resident > 0 ? resident : memory;
  return use;
}

std::string parse_cgroup(std::string_view text) {
  std::string_view last;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    // "0::/path" of version 2, else "N:controllers:/path": the longest path says most.
    const size_t slash = line.find(":/");
    if (slash == std::string_view::npos) continue;
    const std::string_view path = line.substr(slash + 1);
    if (path.size() >= last.size()) last = path;
  }
  return std::string(last.substr(0, kPathBytesMax));
}

}  // namespace lantern::sensor
