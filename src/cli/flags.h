// Options that several commands share, each defined once.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/local_model.h"

namespace lantern::cli {

/// --approve: consent to a model that nobody has approved yet. Without it a person at a terminal
/// is asked once.
struct ConsentFlags {
  std::string reason;

  void define(CLI::App& app);
  [[nodiscard]] gate::Consent consent() const;
};

/// The model and how to run it: MODEL, --threads, --kv, --context.
struct EngineFlags {
  std::string model;
  int threads = 0;
  std::string kv = "f16";
  int64_t context = 0;
  bool paranoid = false;
  ConsentFlags consent;

  void define(CLI::App& app);
  /// Loads the model with a progress bar; notices go to stderr.
  Result<engine::Engine> load(engine::TextSide text = engine::TextSide::kNeeded) const;
};

/// --lora ADAPTER[:SCALE]: a change to the model.
struct LoraFlags {
  std::string adapter;

  void define(CLI::App& app);
  /// kUnsupported where one is given: the service has its adapters under names of their own.
  [[nodiscard]] Status check_remote() const;
  /// Loads it for `engine`, as `model` says how (its consent too); null without --lora.
  Result<engine::AdapterPtr> load(const engine::Engine& engine, const EngineFlags& model) const;
};

/// "ADAPTER:0.5" taken apart; the scale is 1 where no number follows the last colon.
/// kInvalidArgument for one that is not within 100.
struct ScaledAdapter {
  std::string reference;
  double scale = 1.0;
};
Result<ScaledAdapter> scaled_adapter(std::string_view text);

/// How to draw tokens: --temperature, --top-k, --top-p, --min-p, --repeat-penalty, --seed,
/// --max-tokens, --stop.
struct SamplingFlags {
  engine::SamplerOptions sampler;
  int64_t max_tokens = 0;
  std::vector<std::string> stop;

  void define(CLI::App& app);
  [[nodiscard]] engine::GenerateOptions options() const;
};

/// --speculate and --draft: ids guessed ahead, which never changes the answer.
struct SpeculationFlags {
  engine::Speculation speculation = engine::Speculation::kAuto;
  std::string draft;

  void define(CLI::App& app);
  /// Loads the draft model, as `model` says how, for `engine` to guess with; without --draft
  /// nothing.
  Status give_draft(engine::Engine& engine, EngineFlags model) const;
};

/// --chunk and --beside: how the work is cut, which never changes the answer.
struct BatchFlags {
  int64_t chunk = 0;
  int64_t beside = 0;

  void define(CLI::App& app);
};

/// "MODEL" as every command describes it.
inline constexpr const char* kModelHelp =
    "a name from `lantern list`, a GGUF file, or a Hugging Face folder";

/// Whole numbers from `least` on.
CLI::Validator at_least(int64_t least);
/// Refuses "".
CLI::Validator not_empty();
/// Whole numbers of 64 bits, without a sign.
CLI::Validator unsigned_64();

/// For an option that names a file to write: it appears whole or not at all, so it cannot be
/// standard output.
CLI::Validator file_to_write();

/// f32, f16 or q8_0.
Result<kernels::KvType> kv_type_from_name(std::string_view name);

/// "90d", "12h", "30m", "45s": more than nothing, at most ten years. kInvalidArgument.
Result<std::chrono::seconds> duration_from_text(std::string_view text);

/// All of standard input as UTF-8 text. kTooLarge past 64 MiB.
Result<std::string> read_stdin();

}  // namespace lantern::cli
