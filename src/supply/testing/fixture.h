// What the tests of this room share: a store of their own, models' bytes, contexts that do not
// wait.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/hash.h"
#include "supply/pull.h"

namespace lantern::supply::testing {

/// `bytes` bytes that begin as a GGUF file does and differ by `seed`.
inline std::string gguf_bytes(size_t bytes, uint32_t seed = 1) {
  std::string text = "GGUF";
  uint32_t state = seed * 2654435761u + 1;
  while (text.size() < bytes) {
    state = state * 1664525u + 1013904223u;
    text += static_cast<char>(state >> 24);
  }
  text.resize(bytes);
  return text;
}

inline std::string hex_of(std::string_view bytes) { return base::to_hex(base::sha256(bytes)); }

inline std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_all(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(text.data(), static_cast<std::streamsize>(text.size()));
}

/// Sets environment variables (nullptr: unsets) and puts them back.
class ScopedEnvironment {
 public:
  ScopedEnvironment(std::initializer_list<std::pair<const char*, const char*>> values) {
    for (auto [name, value] : values) {
      const char* old = ::getenv(name);
      saved_.push_back({name, old ? std::optional<std::string>(old) : std::nullopt});
      value ? ::setenv(name, value, 1) : ::unsetenv(name);
    }
  }
  ~ScopedEnvironment() {
    for (const auto& [name, value] : saved_)
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> saved_;
};

/// A folder for the test, with a store in it; both gone at the end.
class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : root_(make_root()), store_(root_ / "store") {}
  ~StoreTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  /// Retries at once, gives up after three attempts in a row, and collects notices.
  PullContext context() {
    return PullContext{.store = store_,
                       .stop = stop_.get_token(),
                       .notice = [this](std::string_view line) { notices_.emplace_back(line); },
                       .http = {.connect_timeout_s = 5,
                                .stall_timeout_s = 1,
                                .attempts_max = 3,
                                .backoff_ms = 1,
                                .redirects_max = 5}};
  }

  /// What an aborted pull must leave: no model, no blob, nothing staged.
  void expect_nothing_admitted() {
    EXPECT_TRUE(store_.list()->models.empty());
    EXPECT_EQ(count("blobs/sha256"), 0u);
    EXPECT_EQ(count("staging"), 0u);
  }
  size_t count(const char* folder) {
    std::error_code code;
    size_t n = 0;
    for (std::filesystem::directory_iterator it(store_.root() / folder, code), end;
         !code && it != end; ++it)
      ++n;
    return n;
  }

  std::filesystem::path root_;
  Store store_;
  std::stop_source stop_;
  std::vector<std::string> notices_;

 private:
  static std::filesystem::path make_root() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lantern-supply-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) std::abort();
    return pattern;
  }
};

}  // namespace lantern::supply::testing
