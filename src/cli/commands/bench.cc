// lantern bench: how fast a model runs here.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/local_model.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;
  engine::BenchmarkOptions options;
  bool json = false;
};

base::OrderedJson rate_report(const engine::Rate& rate) {
  return {{"median_tokens_per_s", rate.median},
          {"least_tokens_per_s", rate.least},
          {"most_tokens_per_s", rate.most},
          {"spread", rate.spread()},
          {"samples_tokens_per_s", rate.samples}};
}

base::OrderedJson report(const Flags& flags, const engine::EngineInfo& info,
                         const engine::BenchmarkResult& result) {
  return {{"model", info.name},
          {"architecture", info.model.architecture},
          {"instruction_set", kernels::isa_name(info.isa)},
          {"threads", info.threads},
          {"kv", flags.engine.kv},
          {"prompt", flags.options.prompt},
          {"generate", flags.options.generate},
          {"depth", flags.options.depth},
          {"repetitions", flags.options.repetitions},
          {"prefill", rate_report(result.prefill)},
          {"decode", rate_report(result.decode)},
          {"load_s", result.load_seconds},
          {"weight_bytes", result.weight_bytes},
          {"kv_bytes", result.kv_bytes},
          {"peak_memory_bytes", result.peak_memory_bytes}};
}

std::vector<std::string> row(const std::string& what, const engine::Rate& rate) {
  return {what, fmt::format("{:.1f}", rate.median),
          fmt::format("{:.1f} to {:.1f}", rate.least, rate.most)};
}

Result<Exit> run(Flags flags) {
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load(engine::TextSide::kIfThere));
  flags.options.cancel = new_interruptible_scope();
  base::Progress progress(
      {.label = "Measuring", .unit = base::Progress::Unit::kItems, .item = "repetitions"});
  flags.options.progress = [&](int done, int total) {
    progress.set_total(static_cast<uint64_t>(total));
    progress.set(static_cast<uint64_t>(done));
  };
  LANTERN_ASSIGN(const engine::BenchmarkResult result,
                 engine::Benchmark::run(engine, flags.options));
  progress.finish();
  const engine::EngineInfo& info = engine.info();
  if (flags.json) {
    LANTERN_TRY(print_json(report(flags, info, result)));
    return Exit::kDone;
  }
  const std::string depth =
      flags.options.depth > 0 ? fmt::format(" at depth {}", flags.options.depth) : "";
  std::vector<std::vector<std::string>> rows = {{"", "tokens/s", "range"}};
  if (flags.options.prompt > 0)
    rows.push_back(row(fmt::format("prefill {}{}", flags.options.prompt, depth), result.prefill));
  if (flags.options.generate > 0)
    rows.push_back(row(fmt::format("decode {}{}", flags.options.generate, depth), result.decode));
  LANTERN_TRY(print(visible(
      fmt::format("{} ({}, {} threads, {})\n", info.name, info.model.architecture, info.threads,
                  kernels::isa_name(info.isa)) +
      table(rows, {1}) +
      fmt::format("load {}, weights {}, KV cache {}, peak memory {}\n",
                  base::format_duration(result.load_seconds),
                  base::format_bytes(result.weight_bytes), base::format_bytes(result.kv_bytes),
                  base::format_bytes(result.peak_memory_bytes)))));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("--prompt", flags->options.prompt, "tokens of a prompt to read (0: none)")
      ->capture_default_str()
      ->check(at_least(0));
  app.add_option("--generate", flags->options.generate, "tokens to generate (0: none)")
      ->capture_default_str()
      ->check(at_least(0));
  app.add_option("--depth", flags->options.depth, "tokens in the cache before either")
      ->capture_default_str()
      ->check(at_least(0));
  app.add_option("--repetitions", flags->options.repetitions, "runs that count")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/bench.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_bench;
const Command k_bench = {
    .name = "bench",
    .access = ModelAccess::kUses,
    .summary = "measure how fast a model runs here",
    .examples =
        "  lantern bench smollm2\n"
        "  lantern bench ./model.gguf --prompt 512 --generate 64 --depth 4096 --threads 2 --json",
    .define = define,
};

}  // namespace lantern::cli
