// lantern convert: a Hugging Face folder becomes one GGUF file.

#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/convert.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string source;
  std::string out;
  std::string type;
  ConsentFlags consent;
};

Result<Exit> run(const Flags& flags) {
  gate::ConvertOptions options;
  options.consent = flags.consent.consent();
  options.stop = new_interruptible_scope();
  options.progress = base::ProgressOutput::standard_error();
  if (!flags.type.empty()) {
    std::string name = flags.type;
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const quant::Format* format = quant::find_format(std::string_view(name));
    if (format == nullptr)
      return make_error(ErrorCode::kInvalidArgument, "--type {}: f32, f16, bf16 or q8_0",
                        flags.type);
    options.type = format->type;
  }
  LANTERN_ASSIGN(const gate::Converted converted, gate::convert(flags.source, flags.out, options));
  for (const std::string& notice : converted.notices) tell(notice);
  tell(fmt::format("{}: {} tensors, {}", flags.out, converted.n_tensors,
                   base::format_bytes(converted.bytes)));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("SOURCE", flags->source, "a Hugging Face folder, or any other model")->required();
  app.add_option("--out", flags->out, "the GGUF file to write")->required()->check(file_to_write());
  app.add_option("--type", flags->type,
                 "type of the matrices: f32, f16, bf16 or q8_0 (default: as they are)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}, CLI::ignore_case));
  flags->consent.define(app);
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_convert;
const Command k_convert = {
    .name = "convert",
    .access = ModelAccess::kUses,
    .summary = "write a Hugging Face folder as a GGUF file",
    .examples =
        "  lantern convert ./SmolLM2-135M-Instruct --out smollm2-f16.gguf --type f16\n"
        "  lantern convert ./Qwen3-0.6B --out qwen3.gguf --type q8_0",
    .define = define,
};

}  // namespace lantern::cli
