// Objects of src/kernels/<isa>/ define no weak symbol: the linker would keep one copy of an inline
// function for the whole program, perhaps the one compiled for AVX-512, and older processors crash.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>

namespace lantern {
namespace {

std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  while (size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), n);
  return pclose(pipe) == 0 ? output : std::string();
}

TEST(IsaSymbols, NoWeakSymbolInAnInstructionSetsObjects) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers add weak symbols of their own";
#endif
  for (const char* isa : {"avx2", "avxvnni", "avx512"}) {
    auto folder = std::filesystem::path(LANTERN_BUILD_DIR) / "CMakeFiles/lantern_kernels.dir" /
                  "src/kernels" / isa;
    int n_objects = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".o") continue;
      ++n_objects;
      std::string symbols = output_of("nm -P '" + entry.path().string() + "'");
      EXPECT_FALSE(symbols.empty()) << "nm said nothing of " << entry.path();
      std::istringstream lines(symbols);
      // nm -P: name, type, value, size.
      for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string name, type;
        fields >> name >> type;
        EXPECT_FALSE(type == "W" || type == "V" || type == "u")
            << name << " is weak in " << entry.path();
      }
    }
    EXPECT_GT(n_objects, 0) << folder;
  }
}

}  // namespace
}  // namespace lantern
