#include "arch/model.h"

#include <utility>

#include "arch/hf.h"
#include "arch/lora.h"
#include "arch/lora_file.h"
#include "arch/network.h"
#include "arch/spec.h"
#include "arch/transformer.h"
#include "arch/weights.h"
#include "arch/workspace.h"
#include "format/checkpoint.h"

namespace lantern::arch {

struct Model::Impl {
  ModelInfo info;
  const Spec* spec = nullptr;
  Network network;
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Result<Model> Model::load(const format::AdmittedModel& model, LoadOptions options) {
  if (is_adapter(model.checkpoint()))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: is an adapter, no model by itself: give the model it was made for, and "
                      "this one with --lora",
                      model.name());
  const format::Metadata& metadata = model.checkpoint().metadata();
  LANTERN_ASSIGN(std::string architecture, metadata.get_string("general.architecture"));
  LANTERN_ASSIGN(const Spec* spec, find_spec(architecture));
  LANTERN_ASSIGN(HyperParameters hyper, read_hyper_parameters(*spec, metadata));
  auto impl = std::make_unique<Impl>();
  impl->spec = spec;
  LANTERN_ASSIGN(impl->network, load_network(model, *spec, std::move(hyper),
                                             {.context = options.context,
                                              .progress = std::move(options.progress)}));
  const Network& network = impl->network;
  impl->info = {.architecture = architecture,
                .n_layers = std::ssize(network.layers),
                .n_vocab = network.n_vocab,
                .n_embd = network.hyper.n_embd,
                .is_encoder = network.hyper.is_encoder,
                .pooling = network.hyper.pooling,
                .n_context_train = network.hyper.n_context_train,
                .layers = {},
                .long_rope_after =
                    network.rope.global_long.empty() ? 0 : network.hyper.rope.n_context_original,
                .weight_bytes = network.bytes,
                .notices = network.notices};
  if (const format::MetadataValue* said = metadata.find(kNoticesKey))
    if (const auto* lines = std::get_if<format::StringArray>(said))
      for (std::string_view line : *lines) impl->info.notices.emplace_back(line);
  for (const LayerParameters& layer : network.hyper.layers)
    impl->info.layers.push_back({.n_kv_heads = layer.n_kv_heads,
                                 .head_dim = network.hyper.head_dim,
                                 .value_dim = network.hyper.value_dim,
                                 .window = layer.window});
  return Model(std::move(impl));
}

const ModelInfo& Model::info() const { return impl_->info; }

Status Model::forward(const kernels::Context& context, std::span<const SequenceStep> steps,
                      Workspace& workspace) const {
  return run_step(impl_->network, context, steps, workspace.impl());
}

Result<Adapter> Model::load_adapter(const format::AdmittedModel& adapter, double scale) const {
  LANTERN_ASSIGN(LoraWeights weights,
                 load_lora(adapter, impl_->network, *impl_->spec, {.scale = scale}));
  return Adapter(std::make_unique<Adapter::Impl>(Adapter::Impl{std::move(weights)}));
}

Adapter::Adapter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Adapter::Adapter(Adapter&&) noexcept = default;
Adapter& Adapter::operator=(Adapter&&) noexcept = default;
Adapter::~Adapter() = default;

uint64_t Adapter::bytes() const { return impl_->weights.bytes; }

Workspace::Workspace() : impl_(std::make_unique<Impl>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

}  // namespace lantern::arch
