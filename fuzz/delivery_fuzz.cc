// What delivery reads: its config, its files of headers, addresses, and what lies in a spool; the
// first byte says which. What is checked besides memory: errors are one line, a form of an event is
// one line of UTF-8, and a spool takes and gives an event whatever was found in its place.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"
#include "base/sqlite.h"
#include "base/syslog.h"
#include "delivery/address.h"
#include "delivery/event.h"
#include "delivery/http_headers.h"
#include "delivery/receiver_config.h"
#include "delivery/spool.h"

namespace {

using namespace lantern;
namespace fs = std::filesystem;

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
bool is_good(const Result<T>& read) {
  if (!read.ok()) require(read.error().message.find('\n') == std::string::npos);
  return read.ok();
}

bool is_line(std::string_view text) {
  return base::is_utf8(text) && text.find_first_of("\r\n") == std::string_view::npos;
}

void check_forms(std::string_view text) {
  delivery::Event event{.id = delivery::new_event_id(1).value(),
                        .time_us = static_cast<int64_t>(text.size()),
                        .name = std::string(text.substr(0, 20)),
                        .text = std::string(text)};
  event.json["a"] = text;
  event.ocsf["a"] = text;
  event.params = {{"a", std::string(text)}};
  (void)is_good(delivery::check_event(event));
  for (const std::string& line : {delivery::event_line(event), delivery::ocsf_line(event)}) {
    require(is_line(line));
    require(base::Json::parse(line, nullptr, false).is_object());
  }
  require(is_line(base::syslog_line({.timestamp = "-",
                                     .hostname = text,
                                     .name = event.name,
                                     .params = event.params,
                                     .text = text},
                                    1000)));
}

/// A folder of this process's own, in memory where there is such a place: a spool syncs its file.
const fs::path& folder() {
  static const fs::path path = [] {
    std::error_code error;
    const bool in_memory = fs::is_directory("/dev/shm", error);
    std::string pattern = (in_memory ? "/dev/shm" : fs::temp_directory_path().string()) +
                          std::string("/lantern-fuzz-XXXXXX");
    require(mkdtemp(pattern.data()) != nullptr);
    static const std::string made = pattern;
    std::atexit([] {
      std::error_code ignored;
      fs::remove_all(made, ignored);
    });
    return fs::path(made);
  }();
  return path;
}

void check_spool() {
  auto spool = delivery::Spool::open(
      {.folder = folder() / "spool", .bytes_max = 1u << 20, .form = delivery::event_line});
  if (!is_good(spool)) return;  // written by a later version
  delivery::Event event{
      .id = delivery::new_event_id(1).value(), .time_us = 1, .name = "a", .text = "b"};
  const delivery::Spooled ours{event.id, event.time_us, delivery::event_line(event)};
  require((*spool)->append(std::span(&ours, 1)).ok());
  std::string last;
  for (int n = 0;; ++n) {
    require(n < 10'000);
    const auto taken = (*spool)->take(100, 1u << 20);
    require(is_good(taken));
    if (taken->empty()) break;
    for (const delivery::Spooled& one : *taken) require(is_line(one.payload));
    last = taken->back().id;
    require((*spool)->settle(taken->size(), delivery::Spool::Rest::kMayHaveArrived).ok());
  }
  require(last == ours.id);
}

void check_database(std::string_view bytes) {
  fs::remove_all(folder() / "spool");
  fs::create_directory(folder() / "spool");
  std::ofstream(folder() / "spool" / "spool.db", std::ios::binary) << bytes;
  check_spool();
}

/// Rows as nobody but another program would write them.
void check_rows(std::string_view text) {
  fs::remove_all(folder() / "spool");
  is_good(delivery::Spool::open({.folder = folder() / "spool", .form = delivery::event_line}));
  {
    const std::string_view none[] = {""};
    auto database = base::Database::open(folder() / "spool" / "spool.db", none);
    require(database.ok());
    const std::string_view id = text.substr(0, 36);
    const int64_t number = text.size() < 2 ? 0 : text[0] * 256 + text[1];
    for (const int64_t is_gap : {0, 1})
      (void)database
          ->run("INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                {is_gap + number, id, number, std::as_bytes(std::span(text)), is_gap, number,
                 number, number, number & 1})
          .ok();
  }
  check_spool();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c':
      if (const auto receivers = delivery::parse_receivers(text, "receivers"); is_good(receivers))
        for (const auto& receiver : *receivers)
          require(receiver.make != nullptr && is_line(receiver.target));
      break;
    case 'h':
      if (const auto headers = delivery::parse_headers(text, "headers"); is_good(headers))
        for (const std::string& header : *headers)
          require(header.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
      break;
    case 'a':
      if (const auto address = delivery::parse_address(text); is_good(address))
        require(is_line(delivery::address_label(*address)));
      break;
    case 'd':
      check_database(text);
      break;
    case 'r':
      check_rows(text);
      break;
    default:
      check_forms(text);
  }
  return 0;
}
