// Runs `lantern watch`, and engines for it to see.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "format/gguf_writer.h"
#include "json_schema.h"
#include "served_program.h"

namespace lantern::tests {

/// 8 MiB of 16-bit numbers and a header that names them; `name` makes each another model.
inline std::filesystem::path write_watched_model(const std::filesystem::path& path,
                                                 const std::string& name) {
  format::Metadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("general.name", name);
  metadata.set("general.license", std::string("apache-2.0"));
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  metadata.set("llama.attention.head_count", uint64_t{4});
  const std::vector<format::TensorPlan> plan = {
      {.name = "blk.0.attn_q.weight", .type = quant::DType::kF16, .shape = {2048, 4096}}};
  auto writer = format::GgufWriter::create(path, metadata, plan);
  EXPECT_TRUE(writer.ok());
  std::mt19937_64 random(std::hash<std::string>()(name));
  std::vector<uint64_t> data(2048 * 4096 * 2 / 8);
  for (uint64_t& word : data) word = random();
  EXPECT_TRUE(writer->write(0, std::as_bytes(std::span(data))).ok());
  EXPECT_TRUE(writer->commit().ok());
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  return path;
}

/// A program with pipes on its standard input and output, killed at the end of its scope.
class Piped {
 public:
  explicit Piped(const std::vector<std::string>& arguments, const std::string& errors = "") {
    int in[2], out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      if (!errors.empty()) ::dup2(::open(errors.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), 2);
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
    output_ = out[0];
  }
  ~Piped() {
    end(SIGKILL);
    ::close(input_);
    ::close(output_);
  }
  Piped(const Piped&) = delete;
  Piped& operator=(const Piped&) = delete;

  [[nodiscard]] int pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  /// Sends a signal and waits; 128 + n for a program that signal n ended.
  int end(int number) {
    if (!ended_) {
      ::kill(pid_, number);
      ::waitpid(pid_, &status_, 0);
      ended_ = true;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }
  /// The signal that ends it by itself in time; 0: none.
  int wait_for_signal(std::chrono::seconds patience) {
    for (const auto until = std::chrono::steady_clock::now() + patience;
         std::chrono::steady_clock::now() < until; ::usleep(20'000)) {
      if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
      if (ended_) return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
    }
    return 0;
  }
  /// The next line; nothing where none comes in time.
  std::optional<std::string> line(std::chrono::steady_clock::time_point until) {
    for (;;) {
      const size_t end = text_.find('\n');
      if (end != std::string::npos) {
        std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                            until - std::chrono::steady_clock::now())
                            .count();
      pollfd waiting{.fd = output_, .events = POLLIN, .revents = 0};
      if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return std::nullopt;
      char buffer[4096];
      const ssize_t n = ::read(output_, buffer, sizeof buffer);
      if (n <= 0) return std::nullopt;
      text_.append(buffer, static_cast<size_t>(n));
    }
  }

 private:
  int pid_ = -1, input_ = -1, output_ = -1, status_ = 0;
  bool ended_ = false;
  std::string text_;
};

/// lantern watch, its events as they come. Every one is held against the published schema.
class Watched {
 public:
  explicit Watched(std::vector<std::string> arguments, const std::string& errors = "")
      : program_(std::move(arguments), errors) {}

  using Is = std::function<bool(const nlohmann::json&)>;
  /// The first event from here on that it is; null where none comes in time.
  nlohmann::json next(const Is& is, std::chrono::seconds patience = kPatience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (const auto line = program_.line(until)) {
      const nlohmann::json event = nlohmann::json::parse(*line, nullptr, false);
      EXPECT_FALSE(event.is_discarded()) << *line;
      EXPECT_EQ(schema_violations(schema_, event), "") << event.dump(1);
      if (is(event)) return event;
    }
    return nullptr;
  }
  nlohmann::json next(const std::string& name, int pid) {
    return next([&](const nlohmann::json& event) {
      return event["event"] == name && event["finding"]["pid"] == pid;
    });
  }
  nlohmann::json next(const std::string& name) {
    return next([&](const nlohmann::json& event) { return event["event"] == name; });
  }
  Piped& program() { return program_; }

 private:
  Piped program_;
  nlohmann::json schema_ = published_schema("event");
};

/// The evasive engine as `program`, with this model in memory when this returns.
inline std::unique_ptr<Piped> run_watched_engine(const std::filesystem::path& program,
                                                 const std::filesystem::path& model) {
  std::filesystem::copy_file(std::string(LANTERN_BUILD_DIR) + "/tests/evasion/evasion_engine",
                             program, std::filesystem::copy_options::skip_existing);
  auto engine =
      std::make_unique<Piped>(std::vector<std::string>{program.string(), "map", model.string()});
  EXPECT_THAT(engine->line(std::chrono::steady_clock::now() + kPatience).value_or(""),
              ::testing::HasSubstr("ready"));
  return engine;
}

inline std::vector<std::string> watch_arguments(const std::string& config) {
  return {std::string(LANTERN_BUILD_DIR) + "/lantern", "watch", "--config", config};
}

}  // namespace lantern::tests
