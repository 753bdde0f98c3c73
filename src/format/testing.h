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
#include "format/temporary_folder.h"

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

}  // namespace lantern::format
