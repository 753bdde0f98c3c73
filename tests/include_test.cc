// The arrows of ARCHITECTURE.md, held against the sources: a room includes only what its
// arrow names.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>>& arrows() {
  static const std::map<std::string, std::set<std::string>> kArrows = {
      {"base", {}},
      {"quant", {"base"}},
      {"kernels", {"quant", "base"}},
      {"format", {"quant", "base"}},
      {"text", {"base"}},
      {"arch", {"kernels", "quant", "format", "base"}},
      {"engine", {"arch", "kernels", "quant", "text", "format", "base"}},
      {"supply", {"format", "quant", "text", "base"}},
      {"policy", {"base"}},
      {"sensor", {"format", "quant", "base"}},
      {"audit", {"base"}},
      {"delivery", {"base"}},
      {"gate",
       {"engine", "audit", "policy", "supply", "arch", "kernels", "quant", "text", "format",
        "base"}},
      // Engine and store reach the command line through gate/ alone (invariant 1).
      {"server", {"gate", "text", "base"}},
      {"cli", {"server", "gate", "sensor", "delivery", "text", "format", "base"}},
  };
  return kArrows;
}

std::vector<std::string> included_rooms(const fs::path& file) {
  static const std::regex kInclude("^\\s*#\\s*include\\s*\"([a-z]+)/");
  std::vector<std::string> rooms;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::smatch match;
    if (std::regex_search(line, match, kInclude)) rooms.push_back(match[1]);
  }
  return rooms;
}

TEST(Rooms, IncludeOnlyWhatTheirArrowsName) {
  int n_files = 0;
  const fs::path root = fs::path(LANTERN_SOURCE_DIR) / "src";
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cc") continue;
    ++n_files;
    const std::string room = fs::relative(entry.path(), root).begin()->string();
    ASSERT_TRUE(arrows().contains(room)) << "a room that ARCHITECTURE.md does not know: " << room;
    for (const std::string& other : included_rooms(entry.path()))
      EXPECT_TRUE(other == room || arrows().at(room).contains(other))
          << fs::relative(entry.path(), root) << " includes " << other << "/";
  }
  EXPECT_GT(n_files, 30);
}

// Kernels of an instruction set are compiled for more than the baseline: a standard-library
// template instantiated there would replace the baseline's copy at link time.
TEST(Rooms, KernelsOfAnInstructionSetIncludeOnlyPlainHeaders) {
  static const std::regex kAnyInclude("^\\s*#\\s*include\\s*[<\"]([^>\"]+)");
  static const std::set<std::string> kPlain = {"immintrin.h", "stdint.h", "stddef.h",
                                               "cstdint",     "cstddef",  "string.h"};
  int n_files = 0;
  for (const char* isa : {"avx2", "avxvnni", "avx512"}) {
    const fs::path folder = fs::path(LANTERN_SOURCE_DIR) / "src/kernels" / isa;
    if (!fs::exists(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      ++n_files;
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) {
        std::smatch match;
        if (!std::regex_search(line, match, kAnyInclude)) continue;
        const std::string header = match[1];
        EXPECT_TRUE(kPlain.contains(header) || header.starts_with("kernels/"))
            << entry.path() << " includes " << header;
      }
    }
  }
  EXPECT_GT(n_files, 0);
}

TEST(Rooms, KernelsOfAnInstructionSetHaveNoWeakSymbols) {
  int n_objects = 0;
  for (const auto& entry : fs::recursive_directory_iterator(LANTERN_BUILD_DIR)) {
    const std::string path = entry.path().string();
    static const std::regex kObject("/src/kernels/avx[^/]*/[^/]*\\.o$");
    if (!std::regex_search(path, kObject)) continue;
    ++n_objects;
    FILE* nm = popen(("nm --demangle '" + path + "'").c_str(), "r");
    ASSERT_NE(nm, nullptr);
    char line[1024];
    while (std::fgets(line, sizeof line, nm) != nullptr) {
      static const std::regex kWeak("^[0-9a-f]{16} [WVu] ");
      EXPECT_FALSE(std::regex_search(line, kWeak)) << path << ": " << line;
    }
    pclose(nm);
  }
  EXPECT_GT(n_objects, 0);
}

}  // namespace
