#include "sensor/recording.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "sensor/no_host.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kLatin = "/tmp/caf\xe9/\xff\xfe.gguf";  // no UTF-8

/// A machine whose every name is no UTF-8.
class LatinHost final : public Host {
 public:
  [[nodiscard]] std::vector<std::string> blind_spots() const override { return {}; }
  [[nodiscard]] int64_t now_s() const override { return 1'700'000'000; }
  Result<std::vector<Process>> processes() override {
    return std::vector<Process>{{.pid = 7,
                                 .name = name(),
                                 .command = {.program = name(),
                                             .script = name(),
                                             .flags = {{"--model", name()}},
                                             .variables = {"OLLAMA_HOST"}},
                                 .cgroup = name()}};
  }
  Result<std::string> executable(int) override { return name(); }
  Result<std::vector<MappedFile>> mapped_files(int) override {
    return std::vector<MappedFile>{{.id = {1, 2}, .path = name(), .bytes = 9, .end = 9}};
  }
  Result<std::vector<OpenDescriptor>> descriptors(int) override {
    return std::vector<OpenDescriptor>{
        {.fd = 3, .path = name(), .drm = DrmUse{.driver = "xe", .memory_bytes = 5, .engine_ns = 6}},
        {.fd = 4, .path = std::string("\0base64:eA==", 12)}};
  }
  Result<IoCounters> io(int) override { return IoCounters{.read_chars = 1, .read_bytes = 2}; }
  Result<Surroundings> surroundings(int) override {
    return Surroundings{.namespaces = {"net", "user"}, .owner = 1000};
  }
  Result<std::vector<Listener>> listeners() override {
    return std::vector<Listener>{{.port = 80, .socket_inode = 5, .own_network = false}};
  }
  Result<OpenedFile> ask(uint16_t, std::string_view) override { return none_.ask(0, ""); }
  Result<OpenedFile> open_mapped(int pid, const MappedFile& file) override {
    return none_.open_mapped(pid, file);
  }
  Result<OpenedFile> open_descriptor(int pid, const OpenDescriptor& one) override {
    return none_.open_descriptor(pid, one);
  }
  Result<std::vector<Home>> homes() override { return std::vector<Home>{{.path = name()}}; }
  Result<std::vector<DirectoryEntry>> list(const std::string&) override {
    return std::vector<DirectoryEntry>{{.name = "\xe9", .regular = true, .link = "\xe8"}};
  }
  Result<OpenedFile> open_file(const std::string& path) override { return none_.open_file(path); }

 private:
  static std::string name() { return std::string(kLatin); }
  NoHost none_;
};

TEST(RecordingTest, NamesThatAreNoUtf8ComeBackAsTheyWere) {
  const auto recorder = record(std::make_unique<LatinHost>());
  LatinHost real;
  ASSERT_TRUE(recorder->processes().ok());
  ASSERT_TRUE(recorder->executable(7).ok());
  ASSERT_TRUE(recorder->mapped_files(7).ok());
  ASSERT_TRUE(recorder->descriptors(7).ok());
  ASSERT_TRUE(recorder->surroundings(7).ok());
  ASSERT_TRUE(recorder->listeners().ok());
  ASSERT_TRUE(recorder->homes().ok());
  ASSERT_TRUE(recorder->list(std::string(kLatin)).ok());
  const std::string path = testing::TempDir() + "latin.json";
  ASSERT_TRUE(write_recording(*recorder, path).ok());
  const auto replay = open_recording(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(replay.ok()) << replay.error().message;

  const auto processes = (*replay)->processes();
  ASSERT_TRUE(processes.ok());
  EXPECT_EQ(processes->front().name, kLatin);
  EXPECT_EQ(processes->front().cgroup, kLatin);
  EXPECT_EQ(processes->front().command, real.processes()->front().command);
  EXPECT_EQ(*(*replay)->executable(7), kLatin);
  EXPECT_EQ((*replay)->mapped_files(7)->front().path, kLatin);
  const auto descriptors = (*replay)->descriptors(7);
  EXPECT_EQ(descriptors->front().path, kLatin);
  EXPECT_EQ(descriptors->front().drm, real.descriptors(7)->front().drm);
  EXPECT_EQ((*descriptors)[1].path, (*real.descriptors(7))[1].path) << "what looks like the mark";
  EXPECT_FALSE((*descriptors)[1].drm);
  EXPECT_EQ((*replay)->surroundings(7)->namespaces, real.surroundings(7)->namespaces);
  EXPECT_EQ((*replay)->surroundings(7)->owner, 1000u);
  EXPECT_FALSE((*replay)->listeners()->front().own_network);
  EXPECT_EQ((*replay)->homes()->front().path, kLatin);
  const auto entries = (*replay)->list(std::string(kLatin));
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ(entries->front().name, "\xe9");
  EXPECT_EQ(entries->front().link, "\xe8");
}

TEST(RecordingTest, AMarkWithoutBase64IsAName) {
  const auto replay = parse_recording(
      R"({"lantern_recording":1,"now_s":1,"blind_spots":[],"listeners":[[80,true,5]],"processes":[],
          "files":[],"folders":{},"homes":[[0,"\u0000base64:*"]]})",
      "test");
  ASSERT_TRUE(replay.ok()) << replay.error().message;
  EXPECT_EQ((*replay)->homes()->front().path, std::string("\0base64:*", 9));
  EXPECT_TRUE((*replay)->listeners()->front().own_network);
}

}  // namespace
}  // namespace lantern::sensor
