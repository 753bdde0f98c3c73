#include "arch/lora.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "arch/lora_file.h"
#include "arch/workspace.h"
#include "base/checked.h"
#include "format/checkpoint.h"
#include "format/tensor_table.h"
#include "kernels/ops.h"
#include "quant/dtype.h"

namespace lantern::arch {
namespace {

using format::Tensor;
using kernels::Matrix;

/// Rows of a tensor, widened to float32. Where a head's rows stand in adjacent pairs (head_dim > 0)
/// they come out as halves.
struct WideRows {
  const format::AdmittedModel& adapter;
  const Tensor& tensor;
  const quant::Format& format;
  uint64_t row_bytes = 0;
  int64_t first_row = 0;
  int64_t head_dim = 0;
  std::vector<std::byte> bytes = {};

  Status read(int64_t first, int64_t n, float* out) {
    const int64_t cols = tensor.shape[1];
    const int64_t unit = std::max<int64_t>(head_dim, 1);
    const int64_t begin = first / unit * unit;  // whole heads
    const int64_t end = (first + n + unit - 1) / unit * unit;
    bytes.resize(static_cast<uint64_t>(end - begin) * row_bytes);
    LANTERN_TRY(format::read_tensor(adapter, tensor,
                                    static_cast<uint64_t>(first_row + begin) * row_bytes, bytes));
    for (int64_t row = first; row < first + n; ++row, out += cols) {
      const int64_t i = row % unit, half = unit / 2;
      int64_t source = i;
      if (head_dim > 0) source = i < half ? 2 * i : 2 * (i - half) + 1;
      const auto at = static_cast<uint64_t>(row - i + source - begin);
      format.decode(bytes.data() + at * row_bytes, cols / format.block_size, out);
    }
    return {};
  }

  static Status read_erased(void* self, int64_t first, int64_t n, std::byte* out) {
    // pack() reads into memory of its own, which is aligned for any type.
    return static_cast<WideRows*>(self)->read(first, n, reinterpret_cast<float*>(out));
  }
};

/// A run of rows of one of the model's matrices that a file's matrix consists of.
struct Section {
  LoraTarget target = LoraTarget::kQ;
  int64_t rows = 0;
  int64_t head_dim = 0;  // > 0: its rows may stand in adjacent pairs
};

/// What a name stands for: one matrix, or several, one after the other.
struct Meaning {
  size_t layer = 0;
  int64_t cols = 0;
  std::vector<Section> sections;
};

class AdapterLoader {
 public:
  AdapterLoader(const format::AdmittedModel& adapter, const Network& network, const Spec& spec,
                const LoraOptions& options)
      : adapter_(adapter), net_(network), spec_(spec), options_(options) {}

  Result<LoraWeights> load();

 private:
  Result<Meaning> meaning(const LoraPart& part) const;
  [[nodiscard]] Meaning attention(std::string_view name, size_t layer) const;
  [[nodiscard]] Meaning feed_forward(std::string_view name, size_t layer, int64_t n_rows) const;
  Status check_shape(const LoraPart& part, const Meaning& meaning) const;
  Status add(const LoraPart& part, const Meaning& meaning);
  Result<Matrix> pack(const Tensor& tensor, int64_t first, int64_t n, int64_t head_dim);

  const format::AdmittedModel& adapter_;
  const Network& net_;
  const Spec& spec_;
  const LoraOptions& options_;
  LoraWeights out_;
  bool in_pairs_ = false;
};

/// "blk.3.attn_q.weight" as 3 and "attn_q".
std::optional<std::pair<size_t, std::string_view>> take_layer(std::string_view target) {
  constexpr std::string_view kPrefix = "blk.", kSuffix = ".weight";
  if (!target.starts_with(kPrefix) || !target.ends_with(kSuffix)) return std::nullopt;
  target.remove_prefix(kPrefix.size());
  size_t layer = 0, n_digits = 0;
  while (n_digits < target.size() && target[n_digits] >= '0' && target[n_digits] <= '9') {
    if (n_digits == 6) return std::nullopt;
    layer = layer * 10 + static_cast<size_t>(target[n_digits++] - '0');
  }
  target.remove_prefix(n_digits);
  if (n_digits == 0 || target.size() < 1 + kSuffix.size() || target[0] != '.') return std::nullopt;
  return std::pair(layer, target.substr(1, target.size() - 1 - kSuffix.size()));
}

Meaning AdapterLoader::attention(std::string_view name, size_t layer) const {
  const HyperParameters& hyper = net_.hyper;
  const LayerParameters& shape = hyper.layers[layer];
  const Section q{LoraTarget::kQ, shape.n_heads * hyper.head_dim, hyper.head_dim};
  const Section k{LoraTarget::kK, shape.n_kv_heads * hyper.head_dim, hyper.head_dim};
  const Section v{LoraTarget::kV, shape.n_kv_heads * hyper.value_dim, 0};
  Meaning out{.layer = layer, .cols = hyper.n_embd, .sections = {}};
  if (name == "attn_q") out.sections = {q};
  if (name == "attn_k") out.sections = {k};
  if (name == "attn_v") out.sections = {v};
  if (name == "attn_qkv") out.sections = {q, k, v};
  if (name == "attn_output") {
    out.cols = shape.n_heads * hyper.value_dim;
    out.sections = {{LoraTarget::kOutput, hyper.n_embd, 0}};
  }
  return out;
}

Meaning AdapterLoader::feed_forward(std::string_view name, size_t layer, int64_t n_rows) const {
  const int64_t n_ff = net_.hyper.layers[layer].n_ff;
  const Section gate{LoraTarget::kGate, n_ff, 0}, up{LoraTarget::kUp, n_ff, 0};
  Meaning out{.layer = layer, .cols = net_.hyper.n_embd, .sections = {}};
  if (net_.layers[layer].has_experts()) return out;
  if (name == "ffn_gate" && net_.hyper.gated) out.sections = {gate};
  // As in models' files, gate and up may be one matrix under the name of up.
  if (name == "ffn_up") out.sections = {up};
  if (name == "ffn_up" && net_.hyper.gated && n_rows == 2 * n_ff) out.sections = {gate, up};
  if (name == "ffn_down") {
    out.cols = n_ff;
    out.sections = {{LoraTarget::kDown, net_.hyper.n_embd, 0}};
  }
  return out;
}

Result<Meaning> AdapterLoader::meaning(const LoraPart& part) const {
  const auto named = take_layer(part.target);
  if (!named)
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}: adapters may change the matrices of attention and feed-forward, "
                      "not {}",
                      part.a->name, part.target);
  const auto [layer, name] = *named;
  if (layer >= net_.layers.size())
    return make_error(ErrorCode::kInvalidArgument,
                      "tensor {}: the model has {} layers; an adapter goes with the model it was "
                      "made for",
                      part.a->name, net_.layers.size());
  Meaning out = name.starts_with("attn_") ? attention(name, layer)
                                          : feed_forward(name, layer, part.b->shape[0]);
  if (out.sections.empty())
    return make_error(ErrorCode::kUnsupported,
                      "tensor {}: {} is no matrix of attention or feed-forward that an adapter can "
                      "change in this {} model",
                      part.a->name, part.target, spec_.name);
  return out;
}

Status AdapterLoader::check_shape(const LoraPart& part, const Meaning& meaning) const {
  int64_t rows = 0;
  for (const Section& section : meaning.sections) rows += section.rows;
  auto wrong = [&](const Tensor& tensor, int64_t should_rows, int64_t should_cols) {
    const int64_t should[] = {should_rows, should_cols};
    return make_error(ErrorCode::kInvalidArgument,
                      "tensor {}: shape {}, this model needs {}; an adapter goes with the model it "
                      "was made for",
                      tensor.name, format::describe_shape(tensor.shape),
                      format::describe_shape(should));
  };
  const int64_t rank = part.a->shape[0];
  if (part.a->shape[1] != meaning.cols) return wrong(*part.a, rank, meaning.cols);
  if (part.b->shape[0] != rows) return wrong(*part.b, rows, rank);
  return {};
}

Result<Matrix> AdapterLoader::pack(const Tensor& tensor, int64_t first, int64_t n,
                                   int64_t head_dim) {
  const quant::Format* format = quant::find_format(tensor.type);
  if (format == nullptr)
    return make_error(ErrorCode::kUnsupported, "tensor {}: its type is not supported", tensor.name);
  WideRows source{.adapter = adapter_,
                  .tensor = tensor,
                  .format = *format,
                  .first_row = first,
                  .head_dim = head_dim};
  auto bytes = quant::row_bytes(tensor.type, static_cast<uint64_t>(tensor.shape[1]));
  if (!bytes.ok()) return std::move(bytes).error().within("tensor " + tensor.name);
  source.row_bytes = *bytes;
  auto packed = Matrix::pack({}, {.type = quant::DType::kF32, .rows = n, .cols = tensor.shape[1]},
                             &WideRows::read_erased, &source);
  if (!packed.ok()) return std::move(packed).error().within("tensor " + tensor.name);
  out_.bytes += packed->bytes();
  return packed;
}

Status AdapterLoader::add(const LoraPart& part, const Meaning& meaning) {
  const double scale = part.scale * options_.scale;
  if (!std::isfinite(static_cast<float>(scale)))
    return make_error(ErrorCode::kInvalidArgument, "scale {}: out of bounds", options_.scale);
  int64_t first = 0;
  for (const Section& section : meaning.sections) {
    auto& slot = out_.layers[meaning.layer].changes[static_cast<size_t>(section.target)];
    if (slot != nullptr)
      return make_error(ErrorCode::kCorrupt, "tensor {}: another pair is for the same matrix",
                        part.a->name);
    slot = std::make_unique<LowRank>();
    slot->scale = static_cast<float>(scale);
    LANTERN_ASSIGN(slot->a, pack(*part.a, 0, part.a->shape[0], 0));
    LANTERN_ASSIGN(slot->b, pack(*part.b, first, section.rows, in_pairs_ ? section.head_dim : 0));
    first += section.rows;
  }
  return {};
}

Result<LoraWeights> AdapterLoader::load() {
  LANTERN_ASSIGN(const LoraFile file, read_lora_file(adapter_.checkpoint(), spec_));
  in_pairs_ = file.rows_as_in_gguf && spec_.qk_order == QkOrder::kAdjacentPairs;
  out_.network = &net_;
  out_.standing = adapter_.standing();
  out_.layers.resize(net_.layers.size());
  for (const LoraPart& part : file.parts) {
    LANTERN_ASSIGN(const Meaning what, meaning(part));
    LANTERN_TRY(check_shape(part, what));
    LANTERN_TRY(add(part, what));
  }
  return std::move(out_);
}

}  // namespace

Result<LoraWeights> load_lora(const format::AdmittedModel& adapter, const Network& network,
                              const Spec& spec, const LoraOptions& options) {
  try {
    auto weights = AdapterLoader(adapter, network, spec, options).load();
    if (!weights.ok()) return std::move(weights).error().within(adapter.name());
    return weights;
  } catch (const std::bad_alloc&) {
    return make_error(ErrorCode::kExhausted, "{}: not enough memory for the adapter",
                      adapter.name());
  }
}

void add_changes(const kernels::Context& context, const LayerChanges& layer,
                 std::span<const int32_t> rows, const float* x, int64_t n, int64_t k,
                 std::span<const ChangedProduct> changed, LoraScratch& scratch) {
  const auto n_rows = std::ssize(rows);
  int64_t ranks = 0;
  for (const ChangedProduct& one : changed)
    if (const LowRank* change = layer.find(one.target)) ranks += change->a.rows();
  if (n_rows == 0 || ranks == 0) return;

  // A x of all of them in one region, each [n_rows, rank].
  float* low = room(scratch.low, n_rows * ranks);
  scratch.products.clear();
  for (const ChangedProduct& one : changed) {
    const LowRank* change = layer.find(one.target);
    if (change == nullptr) continue;
    const int64_t rank = change->a.rows();
    scratch.products.push_back({.weight = &change->a, .y = low, .y_stride = rank});
    low += n_rows * rank;
  }
  if (rows.back() - rows.front() + 1 == n_rows) {
    scratch.x.assign(context, x + rows.front() * k, n_rows, k, k, false);
    kernels::matmul(context, scratch.x, scratch.products);
  } else {
    scratch.x.assign(context, x, n, k, k, false);
    kernels::matmul_gathered(context, scratch.x, rows, scratch.products);
  }

  low = scratch.low.data();
  for (const ChangedProduct& one : changed) {
    const LowRank* change = layer.find(one.target);
    if (change == nullptr) continue;
    const int64_t rank = change->a.rows(), n_out = change->b.rows();
    kernels::scale(context, n_rows * rank, change->scale, low);
    scratch.inner.assign(context, low, n_rows, rank, rank, false);
    float* added = room(scratch.added, n_rows * n_out);
    const kernels::Product product{.weight = &change->b, .y = added, .y_stride = n_out};
    kernels::matmul(context, scratch.inner, std::span(&product, 1));
    context.pool->parallel_for(n_rows, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* y = one.y + rows[static_cast<size_t>(i)] * one.y_stride;
        for (int64_t j = 0; j < n_out; ++j) y[j] += added[i * n_out + j];
      }
    });
    low += n_rows * rank;
  }
}

}  // namespace lantern::arch
