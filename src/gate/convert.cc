#include "gate/convert.h"

#include <algorithm>

#include "arch/hf.h"
#include "engine/text_sources.h"
#include "engine/tokenizer_to_metadata.h"
#include "format/checkpoint.h"
#include "format/gguf_writer.h"
#include "gate/admission.h"
#include "gate/resolve.h"

namespace lantern::gate {
namespace {

using format::Tensor;

/// Rows are decoded and encoded in slices of about this many values.
constexpr int64_t kSliceValues = 1 << 20;

int64_t row_length(const Tensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape.back(); }

int64_t n_values(const Tensor& tensor) {
  int64_t n = 1;  // the reader checked the product
  for (int64_t dimension : tensor.shape) n *= dimension;
  return n;
}

/// What the tensor is written as; a matrix whose rows the block does not divide keeps float16.
quant::DType target_type(const Tensor& tensor, const ConvertOptions& options,
                         std::vector<std::string>& notices) {
  if (tensor.shape.size() < 2) return quant::DType::kF32;
  // A router's scores choose experts: small, and worth their precision.
  if (tensor.name.ends_with("ffn_gate_inp.weight")) return quant::DType::kF32;
  if (!options.type) return tensor.type;
  const quant::Format* format = quant::find_format(*options.type);
  if (row_length(tensor) % format->block_size == 0) return *options.type;
  notices.push_back(fmt::format("{}: rows of {} are no multiple of {}'s {}, written as F16",
                                tensor.name, row_length(tensor), format->name, format->block_size));
  return quant::DType::kF16;
}

/// GGUF's general.file_type for files of mostly one type.
uint64_t file_type(quant::DType type) {
  switch (type) {
    case quant::DType::kF32:
      return 0;
    case quant::DType::kF16:
      return 1;
    case quant::DType::kQ8_0:
      return 7;
    case quant::DType::kBF16:
      return 32;
    default:
      return 1024;  // "guessed", as the specification calls it
  }
}

format::Metadata file_metadata(const format::Checkpoint& checkpoint,
                               const ConvertOptions& options) {
  format::Metadata metadata(checkpoint.metadata().source());
  for (const auto& [name, entry] : checkpoint.metadata().all()) {
    // A split set becomes one file.
    if (name == arch::kNoticesKey || name.starts_with("split.")) continue;
    metadata.set(name, entry.value, entry.type);
  }
  if (options.type) metadata.set("general.file_type", file_type(*options.type));
  metadata.set("general.quantization_version", uint64_t{2});
  return metadata;
}

class TensorWriter {
 public:
  TensorWriter(const format::AdmittedModel& model, format::GgufWriter& writer)
      : model_(model), writer_(writer) {}

  Status write(size_t index, const Tensor& tensor, quant::DType target) {
    const quant::Format& from = *quant::find_format(tensor.type);
    const quant::Format& to = *quant::find_format(target);
    const int64_t length = row_length(tensor);
    const int64_t n_rows = n_values(tensor) / std::max<int64_t>(length, 1);
    const int64_t step = std::max<int64_t>(1, kSliceValues / std::max<int64_t>(length, 1));
    for (int64_t row = 0; row < n_rows; row += step) {
      const int64_t n = std::min(step, n_rows - row) * length;
      source_.resize(static_cast<size_t>(n / from.block_size * from.block_bytes));
      const auto offset = static_cast<uint64_t>(row * length / from.block_size * from.block_bytes);
      LANTERN_TRY(format::read_tensor(model_, tensor, offset, source_));
      if (from.type == to.type) {
        LANTERN_TRY(writer_.write(index, source_));
        continue;
      }
      values_.resize(static_cast<size_t>(n));
      from.decode(source_.data(), n / from.block_size, values_.data());
      target_.resize(static_cast<size_t>(n / to.block_size * to.block_bytes));
      to.encode(values_.data(), n / to.block_size, target_.data());
      LANTERN_TRY(writer_.write(index, target_));
    }
    return {};
  }

 private:
  const format::AdmittedModel& model_;
  format::GgufWriter& writer_;
  std::vector<std::byte> source_, target_;
  std::vector<float> values_;
};

/// What was made is a model of its own, in quarantine, and descends from what it was made of.
Status record_descent(const std::filesystem::path& made, const format::AdmittedModel& parent,
                      const ConvertOptions& options) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const Resolved resolved, resolve(made.string(), {.stop = options.stop}));
  const std::string_view type =
      options.type ? quant::find_format(*options.type)->name : std::string_view("as it is");
  return governance.state().record_import(
      {.id = resolved.model.id,
       .files = resolved.model.files,
       .by = governance.person(),
       .source = resolved.model.source,
       .in_place = true,
       .at = base::utc_clock(),
       .parents = {parent.id()},
       .tool = fmt::format("lantern " LANTERN_VERSION " convert, type {}", type)});
}

}  // namespace

Result<Converted> convert(std::string_view reference, const std::filesystem::path& out,
                          const ConvertOptions& options) {
  if (options.type && quant::find_format(*options.type)->encode == nullptr)
    return make_error(ErrorCode::kUnsupported, "type {}: Lantern does not write it",
                      quant::find_format(*options.type)->name);
  LANTERN_ASSIGN(const format::AdmittedModel model,
                 Admission::admit(reference, {.action = policy::Action::kConvert,
                                              .consent = options.consent,
                                              .stop = options.stop,
                                              .progress = options.progress}));
  const format::Checkpoint& checkpoint = model.checkpoint();
  Converted converted;
  format::Metadata metadata = file_metadata(checkpoint, options);
  if (const auto* notices = checkpoint.metadata().find(arch::kNoticesKey))
    if (const auto* lines = std::get_if<format::StringArray>(notices))
      for (std::string_view line : *lines) converted.notices.emplace_back(line);
  const Tensor* embedding = checkpoint.find("token_embd.weight");
  if (!metadata.has("tokenizer.ggml.model") && embedding != nullptr && !embedding->shape.empty()) {
    const auto text = engine::read_text_sources(checkpoint);
    if (text.ok()) {
      LANTERN_TRY(engine::tokenizer_to_metadata(*text, embedding->shape.front(), metadata));
    } else if (text.error().code == ErrorCode::kNotFound) {
      converted.notices.push_back("without a tokenizer, for token ids alone: " +
                                  text.error().message);
    } else {
      return text.error();
    }
  }

  std::vector<format::TensorPlan> plan;
  uint64_t total_bytes = 0;
  for (const Tensor& tensor : checkpoint.tensors()) {
    plan.push_back({.name = tensor.name,
                    .type = target_type(tensor, options, converted.notices),
                    .shape = tensor.shape});
    total_bytes += tensor.bytes;
  }
  LANTERN_ASSIGN(format::GgufWriter writer, format::GgufWriter::create(out, metadata, plan));
  base::Progress progress({.label = "Writing " + out.filename().string(), .total = total_bytes},
                          options.progress);
  TensorWriter tensors(model, writer);
  for (size_t i = 0; i < plan.size(); ++i) {
    if (options.stop.stop_requested())
      return make_error(ErrorCode::kCancelled, "{}: cancelled, nothing written", out.string());
    const Tensor& tensor = checkpoint.tensors()[i];
    LANTERN_TRY(tensors.write(i, tensor, plan[i].type));
    progress.advance(tensor.bytes);
  }
  LANTERN_TRY(writer.commit());
  progress.finish();
  converted.n_tensors = plan.size();
  std::error_code ignored;
  converted.bytes = std::filesystem::file_size(out, ignored);
  LANTERN_TRY(record_descent(out, model, options));
  return converted;
}

}  // namespace lantern::gate
