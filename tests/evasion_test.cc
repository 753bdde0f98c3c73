// The sensor's recall and its false positives, as a table on standard output: an engine of our own
// that uses a model in every way that hides it, in every place that hides it, must be found, and
// programs that are no AI must raise no alert. (Real runtimes and real bystanders, from package
// indexes: tests/evasion/run.)
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "evasion_programs.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// One process that hides a model, and what its case is called in each dimension.
struct Hidden {
  Hidden(std::vector<std::string> ways_to_hide, const std::vector<std::string>& arguments)
      : ways(std::move(ways_to_hide)), running(arguments), pid(running.innermost()) {}
  std::vector<std::string> ways;
  Running running;
  int pid;
  bool in_container = false, other_network = false;
};

std::string little_endian(uint64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// An archive of one stored member, behind `before` other bytes: local header, directory, end
/// (APPNOTE.TXT 4.3).
std::string zip_of(const std::string& name, const std::string& content, size_t before = 0) {
  const auto number = [](uint32_t value, size_t bytes) {
    return std::string(reinterpret_cast<const char*>(&value), bytes);
  };
  const auto n = static_cast<uint32_t>(content.size());
  const auto named = static_cast<uint32_t>(name.size());
  const std::string common = number(20, 2) + number(0, 2) + number(0, 2) + number(0, 4) +
                             number(0, 4) + number(n, 4) + number(n, 4) + number(named, 2) +
                             number(0, 2);
  const std::string local = "PK\x03\x04" + common + name + content;
  const std::string directory = "PK\x01\x02" + number(20, 2) + common + number(0, 2) +
                                number(0, 2) + number(0, 2) + number(0, 4) +
                                number(static_cast<uint32_t>(before), 4) + name;
  return local + directory + "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) +
         number(static_cast<uint32_t>(directory.size()), 4) +
         number(static_cast<uint32_t>(before + local.size()), 4) + number(0, 2);
}

class EvasionTest : public testing::Test {
 protected:
  EvasionTest() : home_("evasion"), folder_(scratch_folder() / "evasion") {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "root");
    // Others may go through it: in a user namespace root is nobody.
    fs::permissions(scratch_folder(), fs::perms::others_exec, fs::perm_options::add);
    model_ = write_model(folder_ / "model.gguf");
    fs::permissions(model_, fs::perms::others_read, fs::perm_options::add);
  }
  ~EvasionTest() override { fs::remove_all(folder_); }

  /// Why this machine runs no containers; empty: it does.
  std::string no_containers() {
    const std::string command = evasion("evasion_container") + " user,net,pivot " +
                                (folder_ / "root").string() + " /true 2>&1";
    copy_as("evasion_engine_static", folder_ / "root/true");
    // The engine without arguments ends with 2: it was run.
    const int status = std::system(command.c_str());  // NOLINT(cert-env33-c): a test's own paths
    return WIFEXITED(status) && WEXITSTATUS(status) == 2 ? "" : "no namespaces of one's own here";
  }

  fs::path file(const std::string& name, std::string_view head, size_t bytes = 20u << 20) {
    std::mt19937_64 random(bytes + head.size());
    std::string content(bytes, '\0');
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
      const uint64_t word = random();
      content.replace(at, 8, reinterpret_cast<const char*>(&word), 8);
    }
    content.replace(0, head.size(), head);
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  ScopedHome home_;
  fs::path folder_, model_;
};

TEST_F(EvasionTest, HiddenModelsAreFound) {
  const std::string no_places = no_containers();
  std::list<Hidden> all;
  size_t n = 0;
  const auto hide = [&](const std::string& program, const std::string& file,
                        const std::string& mode, const std::string& place) {
    const bool inside = place.find("container") != std::string::npos;
    const bool is_static = program.find("static") != std::string::npos;
    const fs::path at = inside ? folder_ / "root" : folder_;
    const std::string engine_name =
        fmt::format("{}{}", program == "as it is" ? "engine" : "systemd-helper", ++n);
    const fs::path engine =
        copy_as(is_static ? "evasion_engine_static" : "evasion_engine", at / engine_name);
    const fs::path model = at / fmt::format("{}{}", file == "named" ? "m.gguf" : "blob", n);
    fs::create_hard_link(model_, model);
    const std::string shown = inside ? "" : at.string();
    std::vector<std::string> arguments = {shown + "/" + engine_name, mode,
                                          shown + "/" + model.filename().string()};
    const bool network = place.find("network") != std::string::npos;
    if (network) arguments.push_back("45123");
    if (place != "here") {
      const std::string ways = std::string(network ? "net," : "") +
                               (place.find("user") != std::string::npos ? "user," : "") +
                               (inside ? "pivot" : "-");
      arguments.insert(arguments.begin(), {evasion("evasion_container"), ways, at.string()});
    }
    all.emplace_back(std::vector<std::string>{program, file + " file", mode, place}, arguments);
    all.back().in_container = inside;
    all.back().other_network = network;
    if (file == "deleted") fs::remove(model);
    if (program == "static, deleted") fs::remove(engine);
  };
  for (const std::string file : {"named", "nameless", "deleted"}) {
    for (const std::string mode : {"map", "read", "open"}) {
      for (const std::string program : {"as it is", "renamed", "static", "static, deleted"})
        hide(program, file, mode, "here");
      if (!no_places.empty()) continue;
      hide("renamed", file, mode, "network, odd port");
      hide("static", file, mode, "network, odd port");
      hide("static", file, mode, "container");
      hide("static", file, mode, "user, container, network");
      hide("static, deleted", file, mode, "user, container, network");
    }
    // Each holds a copy of its own: fewer of them.
    for (const std::string mode : {"copy", "shared", "memfd"}) {
      hide("renamed", file, mode, "here");
      if (no_places.empty()) hide("static, deleted", file, mode, "user, container, network");
    }
  }

  const Json report = scan_json({"--disk", folder_.string()});
  struct Row {
    int n = 0, found = 0, identified = 0;
  };
  std::map<std::string, Row> table;
  for (const Hidden& one : all) {
    SCOPED_TRACE(testing::PrintToString(one.ways));
    const Json finding = finding_of(report, one.pid);
    const bool found = finding.is_object() && finding["level"] == "alert";
    EXPECT_TRUE(found) << finding.dump(1);
    const bool identified = found && !finding["weights"].empty() &&
                            attribute(finding["weights"][0], "architecture") == "llama";
    EXPECT_TRUE(identified) << finding.dump(1);
    std::vector<std::string> rows = one.ways;
    rows.emplace_back("all");
    for (const std::string& way : rows) {
      Row& row = table[way];
      row = {row.n + 1, row.found + found, row.identified + identified};
    }
    if (!found) continue;
    const Json& container = finding["container"];
    ASSERT_EQ(container.is_object(), one.in_container || one.other_network);
    if (container.is_object()) {
      EXPECT_THAT(container["namespaces"], Contains("pid"));
    }
    if (one.in_container) {
      // In the container's own view: a file in the root folder.
      EXPECT_EQ(finding["program"].get<std::string>().rfind('/'), 0u) << finding["program"];
    }
    if (one.other_network) {
      EXPECT_THAT(finding["ports"], Contains(45123));
    }
  }
  std::string text = "recall               of  found  identified\n";
  for (const auto& [way, row] : table)
    text += fmt::format("{:<26} {:>3} {:>6} {:>11}\n", way, row.n, row.found, row.identified);
  fmt::print("{}", text);
  if (!no_places.empty()) GTEST_SKIP() << no_places << ": without containers";
}

/// The model is on no disk any more: the engine is found, and what it holds is not named.
TEST_F(EvasionTest, AModelThatIsGoneIsNotNamedAndItsEngineIsFound) {
  const fs::path engine = copy_as("evasion_engine_static", folder_ / "kworker");
  const Running read({engine.string(), "read", model_.string()});
  const Running mapped({engine.string(), "map", model_.string()});
  fs::remove(model_);
  const Json report = scan_json({"--disk", folder_.string()});
  Json finding = finding_of(report, read.pid());
  ASSERT_TRUE(finding.is_object());
  EXPECT_EQ(finding["level"], "alert");
  finding = finding_of(report, mapped.pid());
  ASSERT_TRUE(finding.is_object());
  ASSERT_EQ(finding["weights"].size(), 1u);
  EXPECT_EQ(attribute(finding["weights"][0], "name"), "Evasive 8M");
  EXPECT_EQ(finding["weights"][0]["deleted"], true);
}

/// Files that hostile or careless people name and shape like others.
TEST_F(EvasionTest, NamesAreNotBelieved) {
  std::list<Running> all;
  for (const std::string name : {"holiday.jpg", "a\n\x1b[2Jb (deleted)", "\xff\xfe.bin"}) {
    fs::create_hard_link(model_, folder_ / name);
    all.emplace_back(std::vector<std::string>{
        copy_as("evasion_engine", folder_ / fmt::format("e{}", all.size())).string(), "map",
        (folder_ / name).string()});
  }
  const Json report = scan_json({"--fast"});
  for (const Running& one : all) {
    const Json finding = finding_of(report, one.pid());
    ASSERT_TRUE(finding.is_object());
    EXPECT_EQ(finding["level"], "alert");
    EXPECT_EQ(attribute(finding["weights"][0], "architecture"), "llama");
    EXPECT_EQ(finding["weights"][0]["path"].get<std::string>().find('\x1b'), std::string::npos);
  }
}

/// A control group of a container engine's name, for as long as it lives.
class ScopedGroup {
 public:
  explicit ScopedGroup(const std::string& name) {
    std::ifstream mounts("/proc/mounts");
    for (std::string line; std::getline(mounts, line);) {
      std::istringstream words(line);
      std::string device, folder, type;
      words >> device >> folder >> type;
      std::error_code error;
      if (type != "cgroup2") continue;
      slice_ = fs::path(folder) / fmt::format("lantern_test_{}.slice", ::getpid());
      if (fs::create_directories(slice_ / name, error)) group_ = slice_ / name;
    }
  }
  ~ScopedGroup() {
    // It can be removed once the kernel has seen its last process end.
    for (int i = 0; i < 100 && !group_.empty() && ::rmdir(group_.c_str()) != 0; ++i)
      ::usleep(10'000);
    ::rmdir(slice_.c_str());
  }
  ScopedGroup(const ScopedGroup&) = delete;
  ScopedGroup& operator=(const ScopedGroup&) = delete;
  [[nodiscard]] bool take(int pid) const {
    std::ofstream out(group_ / "cgroup.procs");
    return !group_.empty() && (out << pid << std::flush);
  }

 private:
  fs::path slice_, group_;
};

TEST_F(EvasionTest, TheContainerIsNamedByItsControlGroup) {
  const ScopedGroup group("docker-" + std::string(64, 'd') + ".scope");
  const Running running(
      {copy_as("evasion_engine", folder_ / "in-docker").string(), "map", model_.string()});
  if (!group.take(running.pid())) GTEST_SKIP() << "no control group of one's own here";
  const Json finding = finding_of(scan_json({"--fast"}), running.pid());
  ASSERT_TRUE(finding.is_object());
  EXPECT_EQ(finding["container"]["engine"], "docker");
  EXPECT_EQ(finding["container"]["id"], "dddddddddddd");
  EXPECT_THAT(run_lantern({"scan", "--fast"}).out, HasSubstr("in docker dddddddddddd"));
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A llamafile: the program holds its model, and maps no more of itself than its code.
TEST_F(EvasionTest, AModelInsideItsProgramIsFound) {
  const fs::path program = copy_as("evasion_engine_static", folder_ / "tool");
  const std::string archive = zip_of("m.gguf", content_of(model_), fs::file_size(program));
  std::ofstream(program, std::ios::binary | std::ios::app) << archive;
  fs::remove(model_);
  const Running read({program.string(), "read", program.string()});
  const Running mapped({program.string(), "map", program.string()});
  const Json report = scan_json({"--fast"});
  for (const Running* one : {&read, &mapped}) {
    const Json finding = finding_of(report, one->pid());
    ASSERT_TRUE(finding.is_object());
    EXPECT_EQ(finding["level"], "alert");
    ASSERT_EQ(finding["weights"].size(), 1u);
    EXPECT_EQ(attribute(finding["weights"][0], "format"), "llamafile");
    EXPECT_EQ(attribute(finding["weights"][0], "name"), "Evasive 8M");
  }
}

TEST_F(EvasionTest, WhatIsNoAiIsNoAlert) {
  const std::string no_places = no_containers();
  const std::string bystander = copy_as("evasion_bystander", folder_ / "game").string();
  std::list<std::pair<std::string, Running>> all;
  const auto run = [&](const std::string& what, const std::string& mode, const fs::path& path,
                       const std::string& port = "") {
    std::vector<std::string> arguments = {bystander, mode, path.string()};
    if (!port.empty()) {
      // In a network of its own, where nobody else has the port.
      if (!no_places.empty()) return;
      arguments.push_back(port);
      arguments.insert(arguments.begin(), {evasion("evasion_container"), "net", "/"});
    }
    all.emplace_back(what, arguments);
  };
  run("textures", "map", file("textures.pak", "PAK1"));
  run("film", "map", file("film.mkv", "\x1a\x45\xdf\xa3"));
  run("git pack", "map", file("pack-1.pack", std::string_view("PACK\0\0\0\2", 8)));
  run("disk image", "map", file("disk.qcow2", std::string_view("QFI\xfb\0\0\0\3", 8)));
  run("database", "map", file("places.sqlite", "SQLite format 3"));
  run("zeros", "map", file("zeros", std::string(20u << 20, '\0')));
  run("large program", "map", "/proc/self/exe");
  run("archive of sources", "map", file("src.tar", "ggml.c" + std::string(251, '\0') + "ustar"));
  run("broken archive", "map", file("broken.zip", std::string_view("PK\x03\x04", 4)));
  for (const auto& [what, name, member] : {std::tuple{"pictures", "pictures.zip", "1.jpg"},
                                           {"arrays", "arrays.npz", "arr_0.npy"},
                                           {"classes", "app.jar", "META-INF/MANIFEST.MF"}}) {
    std::ofstream(folder_ / name, std::ios::binary) << zip_of(member, std::string(20u << 20, 'x'));
    run(what, "map", folder_ / name);
  }
  run("JSON that speaks of GGUF", "map",
      file("t.json", R"({"GGUF": "general.architecture", "x": ")"));
  run("begins as GGUF does", "map", file("notes.bin", "GGUF is a format of files"));
  run("begins as safetensors do", "map", file("index.bin", little_endian(4096) + "{\"not"));
  run("heap", "read", file("heap", "data"));
  run("squatter on Ollama's port", "read", folder_ / "heap", "11434");
  run("a web server on llama.cpp's port with a broken GGUF", "map", folder_ / "notes.bin", "8080");
  // What looks at a model without computing with it: a copy, a search, an indexer.
  run("copy of a model", "read", model_);
  run("indexer of a model", "map", model_);
  run("uploader of a model", "open", model_);
  const Json report = scan_json({"--disk", folder_.string()});
  size_t n_wronged = 0;
  for (const auto& [what, running] : all) {
    SCOPED_TRACE(what);
    const Json finding = finding_of(report, running.innermost());
    const bool wronged = finding.is_object() && finding["level"] == "alert";
    EXPECT_FALSE(wronged) << finding.dump(1);
    n_wronged += wronged;
  }
  fmt::print("false positives: {} of {} bystanders\n", n_wronged, all.size());
  if (!no_places.empty()) GTEST_SKIP() << no_places << ": without squatters";
}

}  // namespace
}  // namespace lantern::tests
