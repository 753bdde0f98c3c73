// lantern fit: will it run here, how fast, and what to choose instead.
#include <algorithm>
#include <array>
#include <memory>

#include "base/memory.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/local_model.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  int threads = 0;
  bool json = false;
};

struct KvChoice {
  const char* name;
  kernels::KvType type;
};
constexpr std::array<KvChoice, 3> kKvChoices = {KvChoice{"f32", kernels::KvType::kF32},
                                                KvChoice{"f16", kernels::KvType::kF16},
                                                KvChoice{"q8_0", kernels::KvType::kQ8_0}};

/// What each context length costs and gives, with one KV type.
struct Line {
  int64_t context = 0;
  std::array<uint64_t, kKvChoices.size()> kv_bytes{};  // 0: not possible with this model
  uint64_t memory_bytes = 0;                           // with f16
  bool fits = false;
  engine::ExpectedSpeed speed;  // f16, with the context full
};

struct Answer {
  engine::ModelCost cost;
  engine::MachineSpeed machine;
  uint64_t available_bytes = 0;
  std::vector<Line> lines;
  int64_t longest_context = 0;  // that fits with f16; 0: not even the shortest
  std::vector<std::string> advice;
};

std::vector<int64_t> context_lengths(int64_t n_train) {
  std::vector<int64_t> lengths;
  for (int64_t n = 512; n < n_train; n *= 4) lengths.push_back(n);
  lengths.push_back(n_train);
  return lengths;
}

/// The longest context, in steps of a page, whose memory is at most `available`.
Result<int64_t> longest_context(const engine::ModelCost& cost, kernels::KvType type,
                                uint64_t available) {
  int64_t low = 0, high = cost.n_context_train / kernels::kKvPagePositions + 1;
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    LANTERN_ASSIGN(const uint64_t bytes,
                   cost.memory_bytes(type, middle * kernels::kKvPagePositions));
    if (bytes <= available) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return std::min(low * kernels::kKvPagePositions, cost.n_context_train);
}

void advise(Answer& answer) {
  const engine::ModelCost& cost = answer.cost;
  auto& advice = answer.advice;
  if (answer.longest_context >= cost.n_context_train) {
    advice.push_back("it runs here with its whole context");
  } else if (answer.longest_context > 0) {
    const auto q8 = longest_context(cost, kernels::KvType::kQ8_0, answer.available_bytes);
    advice.push_back(fmt::format("choose --context {} or less", answer.longest_context));
    if (q8.ok() && *q8 > answer.longest_context)
      advice.push_back(fmt::format("with --kv q8_0, --context {} fits", *q8));
  } else {
    // Bytes a parameter that the memory would allow, less a tenth for cache and work.
    const double bits = 8.0 * 0.9 * static_cast<double>(answer.available_bytes) /
                        static_cast<double>(std::max<uint64_t>(cost.n_parameters, 1));
    if (bits >= 4.5)
      advice.push_back("it does not fit; a file of the same model in Q4_0 or Q4_K_M would");
    else if (bits >= 3.0)
      advice.push_back("it does not fit; a file of the same model in Q2_K or Q3_K would");
    else
      advice.push_back(fmt::format(
          "it does not fit; choose a model of at most {:.1f} billion parameters in 4 bits",
          static_cast<double>(answer.available_bytes) * 0.9 * 8 / 4.5 / 1e9));
  }
}

Result<Answer> find_out(const Flags& flags) {
  Answer answer;
  LANTERN_ASSIGN(const auto checkpoint, gate::inspect(flags.model));
  LANTERN_ASSIGN(answer.cost, engine::model_cost(*checkpoint));
  LANTERN_ASSIGN(answer.machine, engine::measure_machine(
                                     {.threads = flags.threads, .type = answer.cost.main_type}));
  answer.available_bytes = base::available_memory();
  for (const int64_t n : context_lengths(answer.cost.n_context_train)) {
    Line line;
    line.context = n;
    for (size_t i = 0; i < kKvChoices.size(); ++i)
      if (auto bytes = answer.cost.kv_bytes(kKvChoices[i].type, n); bytes.ok())
        line.kv_bytes[i] = *bytes;
    LANTERN_ASSIGN(line.memory_bytes, answer.cost.memory_bytes(kernels::KvType::kF16, n));
    line.fits = line.memory_bytes <= answer.available_bytes;
    LANTERN_ASSIGN(line.speed,
                   engine::expected_speed(answer.cost, answer.machine, kernels::KvType::kF16, n));
    answer.lines.push_back(line);
  }
  LANTERN_ASSIGN(answer.longest_context,
                 longest_context(answer.cost, kernels::KvType::kF16, answer.available_bytes));
  advise(answer);
  return answer;
}

base::OrderedJson report(const Flags& flags, const Answer& answer) {
  base::OrderedJson contexts = base::OrderedJson::array();
  for (const Line& line : answer.lines) {
    base::OrderedJson kv;
    for (size_t i = 0; i < kKvChoices.size(); ++i)
      kv[kKvChoices[i].name] =
          line.kv_bytes[i] == 0 ? base::OrderedJson() : base::OrderedJson(line.kv_bytes[i]);
    contexts.push_back({{"context", line.context},
                        {"kv_bytes", kv},
                        {"memory_bytes", line.memory_bytes},
                        {"fits", line.fits},
                        {"prefill_tokens_per_s", line.speed.prefill},
                        {"decode_tokens_per_s", line.speed.decode}});
  }
  return {{"model", flags.model},
          {"architecture", answer.cost.architecture},
          {"parameters", answer.cost.n_parameters},
          {"weight_bytes", answer.cost.weight_bytes},
          {"context_train", answer.cost.n_context_train},
          {"available_memory_bytes", answer.available_bytes},
          {"memory_bytes_per_s", answer.machine.memory_bytes_per_second},
          {"operations_per_s", answer.machine.operations_per_second},
          {"disturbed", answer.machine.disturbed},
          {"threads", answer.machine.threads},
          {"instruction_set", kernels::isa_name(answer.machine.isa)},
          {"fits", answer.longest_context > 0},
          {"longest_context", answer.longest_context},
          {"contexts", contexts},
          {"advice", answer.advice}};
}

std::string rate(double per_second) {
  return fmt::format("{:.{}f}/s", per_second, per_second < 100 ? 1 : 0);
}

std::string page(const Flags& flags, const Answer& answer) {
  const engine::ModelCost& cost = answer.cost;
  std::string text = fmt::format(
      "{}: {}, {:.1f} million parameters, weights {}\n"
      "this machine: {} of memory available, {:.1f} GB/s, {:.2f} TOPS on {} threads ({})\n\n",
      flags.model, cost.architecture, static_cast<double>(cost.n_parameters) / 1e6,
      base::format_bytes(cost.weight_bytes), base::format_bytes(answer.available_bytes),
      answer.machine.memory_bytes_per_second / 1e9, answer.machine.operations_per_second / 1e12,
      answer.machine.threads, kernels::isa_name(answer.machine.isa));
  std::vector<std::vector<std::string>> rows = {
      {"CONTEXT", "KV f32", "KV f16", "KV q8_0", "MEMORY (f16)", "FITS", "PREFILL", "DECODE"}};
  for (const Line& line : answer.lines) {
    std::vector<std::string> row = {std::to_string(line.context)};
    for (uint64_t bytes : line.kv_bytes)
      row.push_back(bytes == 0 ? "-" : base::format_bytes(bytes));
    row.insert(row.end(), {base::format_bytes(line.memory_bytes), line.fits ? "yes" : "no",
                           rate(line.speed.prefill), rate(line.speed.decode)});
    rows.push_back(std::move(row));
  }
  text += table(rows, {0, 1, 2, 3, 4, 6, 7}) +
          "tokens/s are limits with the context full; lantern bench measures\n";
  for (const std::string& line : answer.advice) text += "-> " + line + "\n";
  return visible(text);
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const Answer answer, find_out(flags));
  if (answer.machine.disturbed)
    tell("other programs kept this machine busy: it may be faster than these figures");
  if (flags.json) {
    LANTERN_TRY(print_json(report(flags, answer)));
  } else {
    LANTERN_TRY(print(page(flags, answer)));
  }
  return answer.longest_context > 0 ? Exit::kDone : Exit::kNo;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, kModelHelp)->required();
  app.add_option("--threads", flags->threads, "threads to plan for")->check(CLI::Range(1, 1024));
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/fit.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_fit;
const Command k_fit = {
    .name = "fit",
    .access = ModelAccess::kDescribes,
    .summary = "tell whether a model runs here, and how fast",
    .examples = "  lantern fit smollm2\n  lantern fit ./model.gguf --json",
    .define = define,
};

}  // namespace lantern::cli
