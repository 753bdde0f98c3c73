// What is told of models: those that are loaded, and those that may be asked for.
#include <algorithm>
#include <map>
#include <utility>

#include "gate/model_host_impl.h"

namespace lantern::gate {
namespace {

/// As the store alone knows it.
Result<std::pair<ServableModel, Composition>> described(const supply::StoredModel& stored) {
  LANTERN_ASSIGN(Composition model, composition_of(stored));
  if (const auto tier = expected_tier(stored); tier.ok()) model.tier = *tier;
  ServableModel out{.name = stored.name(),
                    .id = model.id,
                    .file_bytes = bytes_of(model),
                    .licence = model.licence};
  if (const auto at = base::parse_utc(stored.manifest.pulled_at)) out.at = *at;
  return std::pair(std::move(out), std::move(model));
}

}  // namespace

/// A header that cannot be read says nothing; whoever asks for the model hears of it, and it is
/// read again the next time.
void ModelHost::Impl::describe_header(const supply::StoredModel& stored, ServableModel& out) const {
  const std::lock_guard lock(headers_mutex);
  auto found = headers.find(out.id);
  if (found == headers.end()) {
    const auto checkpoint = inspect(base::to_hex(stored.manifest.id));
    if (!checkpoint.ok()) return;
    const auto cost = engine::model_cost(**checkpoint);
    if (!cost.ok()) return;
    found = headers
                .emplace(out.id, Header{.architecture = cost->architecture,
                                        .is_made_to_embed = cost->is_made_to_embed})
                .first;
  }
  out.architecture = found->second.architecture;
  out.is_made_to_embed = found->second.is_made_to_embed;
}

std::vector<LoadedModel> ModelHost::loaded() const {
  std::vector<LoadedModel> out;
  const std::lock_guard lock(impl_->shared->mutex);
  for (const auto& [key, slot] : impl_->shared->slots) {
    if (slot->phase == Phase::kLoading)
      out.push_back({.name = slot->target.name, .is_loading = true});
    if (slot->phase != Phase::kLoaded) continue;
    const ServedModel& model = *slot->model;
    LoadedModel one{.name = model.name(),
                    .parent = model.base() != nullptr ? model.base()->name() : std::string(),
                    .id = model.composition().id,
                    .file_bytes = bytes_of(model.composition()),
                    .context = model.info().context,
                    .architecture = model.info().model.architecture,
                    .is_ending = slot->ending || model.withdrawn(),
                    .uses = slot->uses,
                    .since = slot->since};
    if (model.base() == nullptr) one.stats = model.stats();
    for (const auto& [other, adapter] : impl_->shared->slots)
      if (adapter->phase == Phase::kLoaded && adapter->is_adapter_of(key)) --one.uses;
    one.memory_bytes = model.weight_bytes() + one.stats.kv_bytes_in_use;
    if (slot->keep_alive != kForever) {
      const auto from = slot->uses > 0 ? std::chrono::system_clock::now() : slot->last_used_at;
      one.expires = from + slot->keep_alive;
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<ServableModel>> ModelHost::servable(const Caller& caller) const {
  std::vector<std::pair<ServableModel, Origin>> all;
  std::map<base::Digest, supply::StoredModel> not_loaded;
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  {
    const std::lock_guard lock(impl_->shared->mutex);
    for (const bool named : {true, false})
      for (const auto& [key, slot] : impl_->shared->slots)
        if (slot->shown && slot->named == named) all.emplace_back(*slot->shown, slot->origin);
  }
  std::erase_if(all, [&](const auto& one) { return is_removed(store, one.second); });
  if (!impl_->options.named_only) {
    LANTERN_ASSIGN(const auto listing, store.list());
    for (const supply::StoredModel& stored : listing.models) {
      const bool there = std::any_of(all.begin(), all.end(), [&](const auto& one) {
        return one.first.id == stored.manifest.id;
      });
      if (there) continue;
      LANTERN_ASSIGN(auto one, described(stored));
      not_loaded.emplace(one.first.id, stored);
      all.emplace_back(std::move(one.first), Origin{.files = std::move(one.second)});
    }
  }
  std::vector<ServableModel> out;
  for (auto& [model, origin] : all) {
    LANTERN_ASSIGN(const bool allowed, impl_->allows(origin, caller));
    if (!allowed) continue;
    if (const auto stored = not_loaded.find(model.id); stored != not_loaded.end())
      impl_->describe_header(stored->second, model);
    out.push_back(std::move(model));
  }
  return out;
}

/// As ServedModel decides about an adapter, without a record.
Result<bool> ModelHost::Impl::allows(const Origin& origin, const Caller& caller) const {
  LANTERN_ASSIGN(const bool allowed,
                 decisions.would_allow(origin.files, caller, policy::Action::kChat));
  if (!allowed || !origin.base) return allowed;
  Caller without_key_limits = caller;
  without_key_limits.grant = nullptr;
  return decisions.would_allow(*origin.base, without_key_limits, policy::Action::kChat);
}

Result<ServableModel> ModelHost::find(std::string_view name, const Caller& caller) const {
  LANTERN_ASSIGN(const Target target, impl_->target(name));
  std::optional<std::pair<ServableModel, Composition>> found;
  std::optional<Composition> base;
  bool is_loaded = true;
  {
    const std::lock_guard lock(impl_->shared->mutex);
    const auto at = impl_->shared->slots.find(target.key);
    if (at != impl_->shared->slots.end() && at->second->shown) {
      found.emplace(*at->second->shown, at->second->origin.files);
      base = at->second->origin.base;
    }
  }
  if (!found && target.stored) {
    LANTERN_ASSIGN(found, described(*target.stored));
    is_loaded = false;
  }
  if (!found) return make_error(ErrorCode::kNotFound, "{}: not loaded at the moment", target.name);
  LANTERN_ASSIGN(const policy::Decision decision,
                 impl_->decisions.decide(found->second, caller, policy::Action::kChat));
  LANTERN_TRY(decision.status());
  if (base) {
    Caller without_key_limits = caller;
    without_key_limits.grant = nullptr;
    LANTERN_ASSIGN(const policy::Decision of_base,
                   impl_->decisions.decide(*base, without_key_limits, policy::Action::kChat));
    LANTERN_TRY(of_base.status());
  }
  if (!is_loaded) impl_->describe_header(*target.stored, found->first);
  return std::move(found->first);
}

Result<ModelHost::Described> ModelHost::describe(std::string_view name, const Caller& caller) {
  LANTERN_ASSIGN(ServableModel model, find(name, caller));
  Described out{.model = std::move(model)};
  if (const auto use = use_loaded(name)) {
    const text::ChatTemplate* chat = (*use)->text().chat_template();
    if (chat != nullptr) out.chat_template = chat->source();
    out.n_context_train = (*use)->info().model.n_context_train;
    out.n_vocab = (*use)->info().model.n_vocab;
    return out;
  }
  LANTERN_ASSIGN(const Target target, impl_->target(name));
  auto inspected = inspect(target.base ? target.base->reference : target.reference);
  if (!inspected.ok()) return as_asked(target, std::move(inspected).error());
  const auto checkpoint = std::move(*inspected);
  const format::Metadata& metadata = checkpoint->metadata();
  LANTERN_ASSIGN(out.model.architecture, metadata.get_string("general.architecture"));
  LANTERN_ASSIGN(out.chat_template, metadata.get_string_or("tokenizer.chat_template", {}));
  LANTERN_ASSIGN(const engine::ModelCost cost, engine::model_cost(*checkpoint));
  out.n_context_train = cost.n_context_train;
  for (const format::Tensor& tensor : checkpoint->tensors())
    if (tensor.name == "token_embd.weight" && !tensor.shape.empty()) out.n_vocab = tensor.shape[0];
  return out;
}

}  // namespace lantern::gate
