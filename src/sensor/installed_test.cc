#include "sensor/installed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <set>

#include "sensor/no_host.h"

namespace lantern::sensor {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// A machine of folders and files alone, with one home.
class FolderHost final : public Host {
 public:
  explicit FolderHost(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  [[nodiscard]] std::vector<std::string> blind_spots() const override { return {}; }
  [[nodiscard]] int64_t now_s() const override { return 0; }
  Result<std::vector<Process>> processes() override { return none_.processes(); }
  Result<std::string> executable(int pid) override { return none_.executable(pid); }
  Result<std::vector<MappedFile>> mapped_files(int pid) override { return none_.mapped_files(pid); }
  Result<std::vector<OpenDescriptor>> descriptors(int pid) override {
    return none_.descriptors(pid);
  }
  Result<IoCounters> io(int pid) override { return none_.io(pid); }
  Result<Surroundings> surroundings(int pid) override { return none_.surroundings(pid); }
  Result<std::vector<Listener>> listeners() override { return none_.listeners(); }
  Result<OpenedFile> ask(uint16_t port, std::string_view path) override {
    return none_.ask(port, path);
  }
  Result<OpenedFile> open_mapped(int pid, const MappedFile& file) override {
    return none_.open_mapped(pid, file);
  }
  Result<OpenedFile> open_descriptor(int pid, const OpenDescriptor& one) override {
    return none_.open_descriptor(pid, one);
  }
  Result<std::vector<Home>> homes() override {
    return std::vector<Home>{{.uid = 1000, .path = "/home/u"}};
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& folder) override {
    std::set<std::pair<std::string, bool>> names;
    const std::string below = folder + "/";
    for (const auto& [path, text] : files_) {
      if (!path.starts_with(below)) continue;
      const size_t slash = path.find('/', below.size());
      names.emplace(path.substr(below.size(), slash - below.size()), slash != std::string::npos);
    }
    if (names.empty()) return make_error(ErrorCode::kNotFound, "no folder");
    std::vector<DirectoryEntry> entries;
    for (const auto& [name, is_folder] : names)
      entries.push_back({.name = name, .folder = is_folder, .regular = !is_folder});
    return entries;
  }
  Result<OpenedFile> open_file(const std::string& path) override {
    const auto file = files_.find(path);
    if (file == files_.end()) return make_error(ErrorCode::kNotFound, "no file");
    base::UniqueFd fd(::memfd_create("file", MFD_CLOEXEC));
    const std::string& text = file->second;
    EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return OpenedFile{.fd = std::move(fd), .size = text.size(), .have = text.size(), .how = path};
  }

 private:
  std::map<std::string, std::string> files_;
  NoHost none_;
};

/// "kind rule name version uid", of everything found.
std::vector<std::string> found_in(std::map<std::string, std::string> files) {
  FolderHost host(std::move(files));
  const auto rules = read_runtime_rules();
  EXPECT_TRUE(rules.ok());
  const auto all = find_installed(host, *rules, {});
  EXPECT_TRUE(all.ok());
  std::vector<std::string> lines;
  EXPECT_THAT(all->left_out, IsEmpty());
  for (const Installed& one : all->found)
    lines.push_back(
        fmt::format("{} {} {} {} {}", one.kind, one.rule, one.name, one.version, one.uid));
  return lines;
}

TEST(Installed, PythonPackages) {
  EXPECT_THAT(
      found_in({{"/usr/lib/python3/dist-packages/requests-2.0.dist-info/METADATA", ""},
                {"/usr/local/lib/python3.11/site-packages/gpt4all-2.8.2.dist-info/METADATA", ""},
                {"/home/u/.local/lib/python3.12/site-packages/vllm-0.9.1.dist-info/RECORD", ""},
                {"/home/u/work/a/.venv/pyvenv.cfg", ""},
                {"/home/u/work/a/.venv/lib/python3.11/site-packages/"
                 "llama_cpp_python-0.3.36.dist-info/METADATA",
                 ""},
                {"/home/u/.local/share/pipx/venvs/aider/lib/python3.13/site-packages/"
                 "aider_chat-0.86.dist-info/METADATA",
                 ""},
                {"/home/u/e/pyvenv.cfg", ""},
                {"/home/u/e/lib64/python3.9/site-packages/transformers-4.1-py3.9.egg-info/x", ""},
                {"/home/u/e/lib64/python3.9/site-packages/torch/version.py", ""},
                {"/home/u/a/b/c/d/e/pyvenv.cfg", ""},
                {"/home/u/a/b/c/d/e/lib/python3.9/site-packages/vllm-1.dist-info/x", ""}}),
      UnorderedElementsAre("package aider aider_chat 0.86 1000", "package vllm vllm 0.9.1 1000",
                           "package transformers transformers 4.1 1000",
                           "package llama_cpp llama_cpp_python 0.3.36 1000",
                           "package gpt4all gpt4all 2.8.2 0"));
}

TEST(Installed, Units) {
  const std::string folder = "/etc/systemd/system/";
  EXPECT_THAT(
      found_in({{folder + "a.service", "[Service]\nExecStart=-/usr/local/bin/ollama serve\n"},
                {folder + "b.service",
                 "[Service]\nExecStart = /usr/bin/python3 \\\n -m vllm.entrypoints.x\n"},
                {folder + "c.service",
                 "[Service]\nExecStart=/bin/sh -c 'exec llama-server -m \"x y\"'\n"},
                {folder + "d.service",
                 "[Service]\nExecStart=/usr/bin/docker run --rm ollama/ollama:0.9\n"},
                {folder + "e.container", "[Container]\nImage=docker.io/vllm/vllm-openai:v1\n"},
                {"/home/u/.config/systemd/user/f.service",
                 "[Service]\nExecStart=@!llama-server llama\n"},
                // None: a comment, another key, an argument of a program that starts none.
                {folder + "g.service",
                 "#ExecStart=ollama\nDescription=ollama\nExecStart=/bin/cat ollama\n"},
                {folder + "h.service", "[Container]\nImage=ollama/ollama\n"},
                {folder + "i.timer", "ExecStart=ollama\n"},
                {folder + "j.service",
                 std::string("\0=\n\\\nExecStart=\nExecStart=   \nExecStart", 38)}}),
      UnorderedElementsAre("unit ollama a.service  0", "unit vllm b.service  0",
                           "unit llama_cpp c.service  0", "unit ollama d.service  0",
                           "unit vllm e.container v1 0", "unit llama_cpp f.service  1000"));
}

TEST(Installed, ImagesAndContainers) {
  const std::string images =
      R"({"Repositories":{"ollama/ollama":{"ollama/ollama:latest":"sha256:1",)"
      R"("ollama/ollama@sha256:22":"sha256:1"},"nginx":{"nginx:1":"sha256:2"},"x":7}})";
  const std::string podman =
      R"([{"id":"1","names":["docker.io/vllm/vllm-openai:v0.9","localhost/x:1",7]},{"names":"x"},3])";
  const std::string containers =
      R"([{"metadata":"{\"image-name\":\"docker.io/ollama/ollama:latest\"}"},{"metadata":"{"},{}])";
  EXPECT_THAT(
      found_in({{"/var/lib/docker/image/overlay2/repositories.json", images},
                {"/var/lib/docker/containers/1/config.v2.json",
                 R"({"Config":{"Image":"lmsysorg/sglang:v1","Env":["KEY=secret"]}})"},
                {"/var/lib/docker/containers/2/config.v2.json", "{\"Config\":"},
                {"/home/u/.local/share/containers/storage/overlay-images/images.json", podman},
                {"/home/u/.local/share/containers/storage/overlay-containers/containers.json",
                 containers},
                {"/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
                 std::string("\0\1docker.io/ollama/ollama:0.9\0x\3docker.io/ollama/ollama:0.9\2"
                             "docker.io/ollama/ollama@sha",
                             85)}}),
      UnorderedElementsAre("container ollama docker.io/ollama/ollama latest 1000",
                           "container sglang lmsysorg/sglang v1 0",
                           "image vllm docker.io/vllm/vllm-openai v0.9 1000",
                           "image ollama docker.io/ollama/ollama 0.9 0",
                           "image ollama ollama/ollama latest 0"));
}

TEST(Installed, ExtensionsAndBrowsers) {
  const std::string profile = "/home/u/.config/google-chrome/";
  EXPECT_THAT(
      found_in({{"/home/u/.vscode/extensions/continue.continue-1.0.4-linux-x64/package.json", ""},
                {"/home/u/.cursor/extensions/saoudrizwan.claude-dev-3.2.1/package.json", ""},
                {"/home/u/.vscode/extensions/ms-python.python-2026.1/package.json", ""},
                {"/home/u/.vscode/extensions/github.copilot-chat-0.30/package.json", ""},
                {"/home/u/.local/share/JetBrains/IdeaIC2026.1/intellij-tabby/lib/x.jar", ""},
                {profile + "OptGuideOnDeviceModel/2024.9.25.2033/weights.bin", ""},
                {profile + "Default/Service Worker/CacheStorage/0f/index.txt",
                 "\n\x12webllm/model\x12$1b4"},
                {profile + "Default/Service Worker/CacheStorage/1f/index.txt", "\n\x05static-v1"},
                {"/home/u/.mozilla/firefox/x.default/storage/default/https+++a/cache/caches.sqlite",
                 "SQLite format 3 transformers-cache"}}),
      UnorderedElementsAre("browser gemini_nano OptGuideOnDeviceModel 2024.9.25.2033 1000",
                           "browser webllm webllm/model  1000",
                           "browser transformers_js transformers-cache  1000",
                           "extension cline saoudrizwan.claude-dev 3.2.1 1000",
                           "extension tabbyml intellij-tabby  1000",
                           "extension continue continue.continue 1.0.4-linux-x64 1000",
                           "extension copilot_cli github.copilot-chat 0.30 1000"));
}

TEST(Installed, NothingOnAnEmptyMachine) { EXPECT_THAT(found_in({}), IsEmpty()); }

TEST(Installed, WhatIsLeftOutIsSaid) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < 5'000; ++i) files[fmt::format("/etc/systemd/system/{}.service", i)] = "";
  FolderHost host(std::move(files));
  const auto report = find_installed(host, {}, {});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->left_out, testing::ElementsAre(testing::HasSubstr("(unit)")));
}

/// Whatever a record holds, what it says is bounded, of rules that are known, and never an abort.
TEST(Installed, DamagedRecordsSayNothing) {
  const auto rules = read_runtime_rules();
  ASSERT_TRUE(rules.ok());
  const std::string deep(100'000, '[');
  for (const InstalledKind* kind : installed_kinds()) {
    if (kind->read == nullptr) continue;
    for (const std::string& text :
         {std::string(), std::string("\0", 1), std::string("null"), deep, std::string("{\"a\":"),
          std::string("[{\"names\":[\"\"]}]"), std::string("\xff\xfe=\xff\nExecStart=\xff")})
      EXPECT_THAT(kind->read("/x.service", text, *rules), IsEmpty()) << kind->kind;
  }
}

TEST(Installed, ImagesAreSplitAtTheirTags) {
  using Pair = std::pair<std::string_view, std::string_view>;
  EXPECT_EQ(split_image("ollama/ollama:latest"), Pair("ollama/ollama", "latest"));
  EXPECT_EQ(split_image("r:5000/a/b"), Pair("r:5000/a/b", ""));
  EXPECT_EQ(split_image("a@sha256:1"), Pair("a", "sha256:1"));
  EXPECT_EQ(split_image(""), Pair("", ""));
  EXPECT_EQ(split_image("a:"), Pair("a", ""));
}

}  // namespace
}  // namespace lantern::sensor
