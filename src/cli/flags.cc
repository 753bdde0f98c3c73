#include "cli/flags.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>

#include "base/ascii.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace lantern::cli {

namespace {

/// Shows what the scan found and asks; the person's own words are the reason.
Result<std::optional<std::string>> ask_at_terminal(const gate::ApprovalQuestion& question) {
  const gate::Composition& model = question.model;
  const auto verdict = question.report.verdict();
  tell(visible(fmt::format(
      "{} is not approved yet\n  id       sha256:{}\n  source   {}\n"
      "  licence  {}\n  scan     {}",
      model.name, base::to_hex(model.id), model.source,
      model.licence.empty() ? "unknown" : model.licence, supply::scan::verdict_name(verdict))));
  for (const auto& finding : question.report.findings)
    tell(visible(fmt::format("  {}: {}", finding.rule, finding.message)));
  // A "yes" alone is asked again: it is no reason.
  for (const char* prompt : {"Approve it? Say why, or press Enter for no: ", "Why? "}) {
    std::fputs(prompt, stderr);
    std::string said;
    if (!std::getline(std::cin, said) || interrupted()) break;
    const std::string reason(base::trimmed(said)), word = base::to_lower(reason);
    if (reason.empty() || word == "n" || word == "no") break;
    if (word != "y" && word != "yes") return std::optional(reason);
  }
  return std::optional<std::string>();
}

}  // namespace

void ConsentFlags::define(CLI::App& app) {
  app.add_option("--approve", reason,
                 "approve the model if nobody has yet, giving this reason (a script is not asked)");
}

gate::Consent ConsentFlags::consent() const {
  gate::Consent consent{.reason = reason};
  if (reason.empty() && stdin_is_terminal() && stderr_is_terminal()) consent.ask = ask_at_terminal;
  return consent;
}

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
  app.add_flag("--paranoid", paranoid, "hash the model's files, whatever receipts say");
  consent.define(app);
}

Result<engine::Engine> EngineFlags::load(engine::TextSide text) const {
  LANTERN_ASSIGN(const kernels::KvType kv_type, kv_type_from_name(kv));
  std::optional<base::Progress> loading;
  auto follow = [&](uint64_t done, uint64_t total) {
    if (!loading) loading.emplace(base::Progress::Options{.label = "Loading " + model});
    loading->set_total(total);
    loading->set(done);
    return !interrupted();
  };
  Result<engine::Engine> engine =
      gate::load_model(model,
                       {.consent = consent.consent(),
                        .stop = new_interruptible_scope(),
                        .progress = base::ProgressOutput::standard_error(),
                        .paranoid = paranoid,
                        .warn = [](std::string_view sentence) { tell(visible(sentence)); }},
                       {.text = text,
                        .threads = threads,
                        .kv_type = kv_type,
                        .context = context,
                        .progress = follow});
  if (engine.ok())
    for (const std::string& notice : engine->info().notices) tell(notice);
  return engine;
}

void LoraFlags::define(CLI::App& app) {
  app.add_option("--lora", adapter,
                 "a LoRA adapter of the model, a GGUF file or a PEFT folder, SCALE times as strong "
                 "as it says (default: 1)")
      ->type_name("ADAPTER[:SCALE]");
}

Status LoraFlags::check_remote() const {
  if (adapter.empty()) return {};
  return make_error(ErrorCode::kUnsupported,
                    "--lora needs the engine in this process; on this managed machine the service "
                    "has it: give the name that it serves the adapter under as MODEL");
}

Result<engine::AdapterPtr> LoraFlags::load(const engine::Engine& engine,
                                           const EngineFlags& model) const {
  if (adapter.empty()) return engine::AdapterPtr();
  LANTERN_ASSIGN(const ScaledAdapter wanted, scaled_adapter(adapter));
  return gate::load_adapter(engine, wanted.reference,
                            {.consent = model.consent.consent(),
                             .stop = new_interruptible_scope(),
                             .progress = base::ProgressOutput::standard_error(),
                             .paranoid = model.paranoid,
                             .warn = [](std::string_view sentence) { tell(visible(sentence)); }},
                            wanted.scale);
}

Result<ScaledAdapter> scaled_adapter(std::string_view text) {
  constexpr double kScaleMax = 100;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return ScaledAdapter{.reference = std::string(text)};
  double scale = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data() + colon + 1, end, scale);
  if (fault == std::errc::invalid_argument || stop != end)
    return ScaledAdapter{.reference = std::string(text)};
  if (fault != std::errc() || !(std::abs(scale) <= kScaleMax))
    return make_error(ErrorCode::kInvalidArgument, "{}: the scale is not within {}", text,
                      kScaleMax);
  return ScaledAdapter{.reference = std::string(text.substr(0, colon)), .scale = scale};
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
      ->capture_default_str()
      ->check(unsigned_64());
  app.add_option("--max-tokens", max_tokens,
                 "longest answer in tokens (default: until the model ends or its context does)")
      ->check(at_least(1));
  app.add_option("--stop", stop, "end the answer before this text; may be given several times")
      ->check(not_empty());
}

engine::GenerateOptions SamplingFlags::options() const {
  engine::GenerateOptions options;
  options.sampler = sampler;
  options.max_tokens = max_tokens;
  options.stop = stop;
  return options;
}

void SpeculationFlags::define(CLI::App& app) {
  using engine::Speculation;
  static const std::map<std::string, Speculation> kModes = {
      {"auto", Speculation::kAuto}, {"off", Speculation::kOff}, {"always", Speculation::kAlways}};
  app.add_option("--speculate", speculation,
                 "guess tokens ahead and verify several at once: auto (where it pays), off or "
                 "always; the answer is the same")
      ->transform(CLI::Transformer(kModes, CLI::ignore_case))
      ->default_str("auto")
      ->type_name("MODE");
  app.add_option("--draft", draft,
                 "a smaller model of the same vocabulary that guesses (default: what the text "
                 "itself repeats)")
      ->type_name("MODEL");
}

Status SpeculationFlags::give_draft(engine::Engine& engine, EngineFlags model) const {
  if (draft.empty()) return {};
  model.model = draft;
  model.context = engine.info().context;
  LANTERN_ASSIGN(engine::Engine loaded, model.load());
  return engine.use_draft(std::move(loaded));
}

void BatchFlags::define(CLI::App& app) {
  app.add_option("--chunk", chunk,
                 "compute the prompt in pieces of N tokens; the answer is the same")
      ->check(at_least(1));
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

Result<std::chrono::seconds> duration_from_text(std::string_view text) {
  constexpr int64_t kYearsMax = 10, kSecondsMax = kYearsMax * 366 * 86'400;
  int64_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const int64_t seconds = unit == "d"   ? 86'400
                          : unit == "h" ? 3'600
                          : unit == "m" ? 60
                          : unit == "s" ? 1
                                        : 0;
  if (fault != std::errc() || seconds == 0 || count <= 0 || count > kSecondsMax / seconds)
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\": a duration is a number and d, h, m or s, such as 90d; at most ten "
                      "years",
                      text);
  return std::chrono::seconds(count * seconds);
}

CLI::Validator at_least(int64_t least) {
  return CLI::Validator(
      [least](const std::string& text) -> std::string {
        int64_t value = 0;
        const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (fault == std::errc() && end == text.data() + text.size() && value >= least) return {};
        return fmt::format("{}: a whole number from {} on is needed", text, least);
      },
      "NUMBER");
}

CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); }, "TEXT");
}

CLI::Validator unsigned_64() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        uint64_t value = 0;
        const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (fault == std::errc() && end == text.data() + text.size()) return {};
        return fmt::format("{}: a whole number from 0 to {} is needed", text, UINT64_MAX);
      },
      "NUMBER");
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
      return make_error(ErrorCode::kTooLarge, "standard input: more than {} bytes", kBytesMax);
  }
}

}  // namespace lantern::cli
