// A machine on which nothing runs: where the sensor is switched off.
#pragma once

#include "sensor/host.h"

namespace lantern::sensor {

class NoHost final : public Host {
 public:
  [[nodiscard]] std::vector<std::string> blind_spots() const override {
    return {"the sensor is switched off"};
  }
  [[nodiscard]] int64_t now_s() const override { return 0; }
  Result<std::vector<Process>> processes() override { return std::vector<Process>(); }
  Result<std::string> executable(int) override { return nothing(); }
  Result<std::vector<MappedFile>> mapped_files(int) override { return nothing(); }
  Result<std::vector<OpenDescriptor>> descriptors(int) override { return nothing(); }
  Result<IoCounters> io(int) override { return nothing(); }
  Result<Surroundings> surroundings(int) override { return nothing(); }
  Result<std::vector<Listener>> listeners() override { return std::vector<Listener>(); }
  Result<OpenedFile> ask(uint16_t, std::string_view) override { return nothing(); }
  Result<OpenedFile> open_mapped(int, const MappedFile&) override { return nothing(); }
  Result<OpenedFile> open_descriptor(int, const OpenDescriptor&) override { return nothing(); }
  Result<std::vector<Home>> homes() override { return std::vector<Home>(); }
  Result<std::vector<DirectoryEntry>> list(const std::string&) override { return nothing(); }
  Result<OpenedFile> open_file(const std::string&) override { return nothing(); }

 private:
  static Error nothing() { return make_error(ErrorCode::kNotFound, "nothing runs on this host"); }
};

}  // namespace lantern::sensor
