#include "cli/flags.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace lantern::cli {

void EngineFlags::define(CLI::App& app) {
  app.add_option("MODEL", model, kModelHelp)->required();
  app.add_option("--threads", threads,
                 "threads to compute with (default: the physical cores this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--kv", kv, "precision of the KV cache: f32, f16 or q8_0")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}));
  app.add_option("--context", context,
                 "positions to plan for (default: the model's own, or what fits memory)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
}

Result<engine::Engine> EngineFlags::load(engine::TextSide text) const {
  LANTERN_ASSIGN(const kernels::KvType kv_type, kv_type_from_name(kv));
  base::Progress loading({.label = "Loading " + model});
  auto follow = [](base::Progress& progress) {
    return [&progress](uint64_t done, uint64_t total) {
      progress.set_total(total);
      progress.set(done);
      return !interrupted();
    };
  };
  Result<engine::Engine> engine = gate::load_model(
      model,
      {.stop = new_interruptible_scope(), .progress = base::ProgressOutput::standard_error()},
      {.text = text,
       .threads = threads,
       .kv_type = kv_type,
       .context = context,
       .progress = follow(loading)});
  if (engine.ok())
    for (const std::string& notice : engine->info().notices) tell(notice);
  return engine;
}

void SamplingFlags::define(CLI::App& app) {
  app.add_option("--temperature", sampler.temperature, "0 takes the likeliest token each time")
      ->capture_default_str();
  app.add_option("--top-k", sampler.top_k, "only the K likeliest tokens (0: all)")
      ->capture_default_str();
  app.add_option("--top-p", sampler.top_p,
                 "only the likeliest tokens that hold P of the probability")
      ->capture_default_str();
  app.add_option("--min-p", sampler.min_p,
                 "only tokens at least P times as likely as the likeliest")
      ->capture_default_str();
  app.add_option("--repeat-penalty", sampler.repeat_penalty,
                 "makes tokens of the last 64 less likely (1: off)")
      ->capture_default_str();
  app.add_option("--seed", sampler.seed, "the same seed gives the same text, on every machine")
      ->capture_default_str();
  app.add_option("--max-tokens", max_tokens,
                 "longest answer in tokens (default: until the model ends or its context does)")
      ->check(CLI::PositiveNumber);
  app.add_option("--stop", stop, "end the answer before this text; may be given several times")
      ->expected(1)
      ->take_all();
}

engine::GenerateOptions SamplingFlags::options() const {
  engine::GenerateOptions options;
  options.sampler = sampler;
  options.max_tokens = max_tokens;
  options.stop = stop;
  return options;
}

void BatchFlags::define(CLI::App& app) {
  app.add_option("--chunk", chunk,
                 "compute the prompt in pieces of N tokens; the answer is the same")
      ->check(CLI::PositiveNumber);
  app.add_option("--beside", beside,
                 "compute N other sequences in the batch; the answer is the same")
      ->check(CLI::Range(0, 256));
}

Result<kernels::KvType> kv_type_from_name(std::string_view name) {
  if (name == "f32") return kernels::KvType::kF32;
  if (name == "f16") return kernels::KvType::kF16;
  if (name == "q8_0") return kernels::KvType::kQ8_0;
  return make_error(ErrorCode::kInvalidArgument, "--kv {}: f32, f16 or q8_0", name);
}

CLI::Validator file_to_write() {
  return CLI::Validator(
      [](const std::string& path) -> std::string {
        if (path == "-") return "- is no file; this cannot be written to standard output";
        return {};
      },
      "FILE");
}

Result<std::string> read_stdin() {
  constexpr size_t kBytesMax = 64u << 20;
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::errno_error(errno, "standard input");
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > kBytesMax)
      return make_error(ErrorCode::kExhausted, "standard input: more than {} bytes", kBytesMax);
  }
}

}  // namespace lantern::cli
