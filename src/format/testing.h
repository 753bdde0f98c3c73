// For tests of the rooms below gate/ only: a stand-in for gate::Admission, so that they can read
// tensor data. A program that links gate/ must not include it (tests/admission/ checks who does).
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "format/admitted_model.h"
#include "format/checkpoint.h"

namespace lantern::gate {

class Admission {
 public:
  static format::AdmittedModel admit(std::shared_ptr<const format::Checkpoint> checkpoint) {
    return format::AdmittedModel(std::move(checkpoint), {}, "test",
                                 std::make_shared<format::Standing>());
  }
};

}  // namespace lantern::gate

namespace lantern::format {

inline AdmittedModel admit_for_test(std::shared_ptr<const Checkpoint> checkpoint) {
  return gate::Admission::admit(std::move(checkpoint));
}

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A folder of the test's own, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lantern-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary).write(content.data(), std::ssize(content));
    return path;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace lantern::format
