// What the tests of this room share: a scratch folder, a log with its keys and anchor.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "audit/log.h"
#include "audit/verify.h"
#include "base/file.h"

namespace lantern::audit {

/// An empty folder, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "audit-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Event sample_event(int64_t number) {
  return {.action = Action::kLoad,
          .decision = number % 3 == 0 ? Decision::kDeny : Decision::kAllow,
          .actor = {.user = "ada", .uid = 1000, .program = "/usr/bin/bash"},
          .model = ModelRef{.id = std::string(64, static_cast<char>('0' + number % 10)),
                            .name = "smollm2"},
          .rule = "default",
          .facts = {{"number", number}}};
}

/// A log in a scratch folder.
struct Fixture {
  Scratch scratch;
  base::PrivateKey key = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  std::filesystem::path folder = scratch.path() / "log";
  std::filesystem::path anchor = scratch.path() / "anchor" / "checkpoint";

  [[nodiscard]] LogOptions options() const {
    return {.folder = folder,
            .anchor = anchor,
            .spool = scratch.path() / "spool",
            .origin = "test.invalid/log",
            .keys = {.signer = key},
            .journal_entries_max = 300};
  }
  /// Appends `n` events, in batches of `batch`.
  void fill(uint64_t n, uint64_t batch = 64) const {
    auto log = Log::open(options());
    ASSERT_TRUE(log.ok()) << log.error().message;
    const auto first = static_cast<int64_t>((*log)->head().size);
    for (uint64_t done = 0; done < n;) {
      std::vector<Event> events;
      for (uint64_t i = 0; i < std::min(batch, n - done); ++i)
        events.push_back(sample_event(first + static_cast<int64_t>(done + i)));
      auto index = (*log)->append(events);
      ASSERT_TRUE(index.ok()) << index.error().message;
      done += events.size();
    }
  }
  [[nodiscard]] Result<Verdict> verify(std::vector<Anchor> anchors = {}) const {
    return verify_log(
        {.folder = folder, .keys = {key.public_key()}, .anchors = std::move(anchors)});
  }
  [[nodiscard]] std::string read(const std::filesystem::path& path) const {
    return base::read_text_file(path, 64u << 20).value();
  }
};

inline std::string faults_of(const Verdict& verdict) {
  std::string names;
  for (const Finding& finding : verdict.findings) {
    const std::string name(fault_name(finding.fault));
    if (names.find(name) == std::string::npos) names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

}  // namespace lantern::audit
