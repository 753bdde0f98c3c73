#include "evasion_programs.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "format/gguf_writer.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uid_t kNobody = 65534;

}  // namespace

std::string evasion(const std::string& name) {
  return std::string(LANTERN_BUILD_DIR) + "/tests/evasion/" + name;
}

fs::path write_model(const fs::path& path) {
  format::Metadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("general.name", std::string("Evasive 8M"));
  metadata.set("general.license", std::string("apache-2.0"));
  metadata.set("general.file_type", uint64_t{1});
  metadata.set("llama.context_length", uint64_t{2048});
  metadata.set("llama.attention.head_count", uint64_t{4});
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  const std::vector<format::TensorPlan> plan = {
      {.name = "blk.0.attn_q.weight", .type = quant::DType::kF16, .shape = {2048, 2048}},
      {.name = "blk.0.attn_k.weight", .type = quant::DType::kF16, .shape = {2048, 2048}}};
  auto writer = format::GgufWriter::create(path, metadata, plan);
  EXPECT_TRUE(writer.ok()) << (writer.ok() ? "" : writer.error().message);
  std::mt19937_64 random(7);
  std::vector<uint64_t> data(2048 * 2048 * 2 / 8);
  for (size_t i = 0; i < plan.size(); ++i) {
    for (uint64_t& word : data) word = random();
    EXPECT_TRUE(writer->write(i, std::as_bytes(std::span(data))).ok());
  }
  EXPECT_TRUE(writer->commit().ok());
  return path;
}

Running::Running(const std::vector<std::string>& arguments, bool as_nobody) {
  int in[2], out[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    if (as_nobody && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(126);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  input_ = in[1];
  char line[64] = {};
  EXPECT_GT(::read(out[0], line, sizeof line - 1), 0) << arguments[0];
  EXPECT_THAT(line, testing::HasSubstr("ready"));
  ::close(out[0]);
}

Running::~Running() {
  ::close(input_);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int Running::innermost() const {
  for (int pid = pid_;;) {
    std::ifstream in(fmt::format("/proc/{}/task/{}/children", pid, pid));
    int child = 0;
    if (!(in >> child)) return pid;
    pid = child;
  }
}

Json scan_json(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"scan", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = run_lantern(arguments);
  EXPECT_THAT(ran.exit_code, testing::AnyOf(0, 1)) << ran.err;
  const Json report = Json::parse(ran.out, nullptr, false);
  EXPECT_FALSE(report.is_discarded()) << ran.out;
  return report;
}

Json finding_of(const Json& report, int pid) {
  for (const Json& finding : report["findings"])
    if (finding["pid"] == pid) return finding;
  return nullptr;
}

std::string attribute(const Json& weights, const std::string& name) {
  for (const Json& one : weights["attributes"])
    if (one["name"] == name) return one["value"];
  return "";
}

fs::path copy_as(const std::string& program, const fs::path& to) {
  fs::create_directories(to.parent_path());
  fs::copy_file(evasion(program), to, fs::copy_options::overwrite_existing);
  return to;
}

}  // namespace lantern::tests
