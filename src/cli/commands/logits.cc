// lantern logits: what the model computes, before any sampling.
#include <charconv>
#include <memory>

#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "format/npy.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;
  LoraFlags lora;
  BatchFlags batch;
  std::string tokens;
  std::string out;
};

/// "1,2,3", or @FILE with ids between commas and white space.
Result<std::vector<int32_t>> parse_ids(std::string_view text, std::string_view what) {
  std::vector<int32_t> ids;
  constexpr std::string_view kBetween = ", \t\r\n";
  // One comma at most between two ids, none before the first; one after the last may stand.
  bool comma = true;
  for (const char c : text) {
    if (c == ',' && comma)
      return make_error(ErrorCode::kInvalidArgument, "{}: a comma with no id before it", what);
    if (kBetween.find(c) == std::string_view::npos) comma = false;
    if (c == ',') comma = true;
  }
  for (size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;
       at = text.find_first_not_of(kBetween, at)) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    int32_t id = 0;
    const auto [stop, fault] = std::from_chars(text.data() + at, text.data() + end, id);
    if (fault != std::errc() || stop != text.data() + end || id < 0)
      return make_error(ErrorCode::kInvalidArgument, "{}: \"{}\" is no token id", what,
                        text.substr(at, std::min<size_t>(end - at, 40)));
    ids.push_back(id);
    at = end;
  }
  if (ids.empty()) return make_error(ErrorCode::kInvalidArgument, "{}: no token ids", what);
  return ids;
}

Result<std::vector<int32_t>> token_ids(const std::string& tokens) {
  if (!tokens.starts_with('@')) return parse_ids(tokens, "--tokens");
  const std::string path = tokens.substr(1);
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, 64u << 20));
  return parse_ids(text, path);
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const std::vector<int32_t> ids, token_ids(flags.tokens));
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load(engine::TextSide::kIfThere));
  LANTERN_ASSIGN(const engine::AdapterPtr adapter, flags.lora.load(engine, flags.engine));
  const auto n_tokens = static_cast<int64_t>(ids.size());
  LANTERN_ASSIGN(format::NpyWriter npy,
                 format::NpyWriter::create(flags.out, n_tokens, engine.info().model.n_vocab));
  base::Progress progress({.label = "Computing",
                           .total = ids.size(),
                           .unit = base::Progress::Unit::kItems,
                           .item = "tokens"});
  LANTERN_TRY(engine.logits(ids,
                            {.adapter = adapter,
                             .chunk = flags.batch.chunk,
                             .beside = flags.batch.beside,
                             .cancel = new_interruptible_scope()},
                            [&](int64_t, int64_t n, std::span<const float> rows) -> Status {
                              progress.advance(static_cast<uint64_t>(n));
                              return npy.write_rows(rows);
                            }));
  LANTERN_TRY(npy.commit());
  progress.finish();
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("--tokens", flags->tokens, "token ids: 1,2,3 or @FILE; run exactly as given")
      ->required();
  app.add_option("--out", flags->out, "the .npy file: float32 [tokens, vocabulary]")
      ->required()
      ->check(file_to_write());
  flags->lora.define(app);
  flags->batch.define(app);
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_logits;
const Command k_logits = {
    .name = "logits",
    .access = ModelAccess::kUses,
    .summary = "write the logits of given token ids to a NumPy file",
    .examples =
        "  lantern logits smollm2 --tokens 1,2,3 --out logits.npy\n"
        "  lantern logits ./model.gguf --tokens @ids.txt --kv f32 --out logits.npy",
    .define = define,
};

}  // namespace lantern::cli
