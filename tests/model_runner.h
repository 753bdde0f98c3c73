// Runs a model without the engine: one arch::Model, its KV pages, steps of the test's own choosing.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "arch/model.h"
#include "base/thread_pool.h"
#include "gate/admission.h"
#include "kernels/isa.h"
#include "kernels/ops.h"

namespace lantern::tests {

/// A model and what it runs on.
struct Loaded {
  std::unique_ptr<base::ThreadPool> pool;
  kernels::Context context;
  std::unique_ptr<arch::Model> model;
};

/// The consent that a person would give to models that a test has made.
inline gate::AdmitOptions own_models() { return {.consent = {.reason = "made by this test"}}; }

inline Loaded load_model(const std::filesystem::path& path, kernels::Isa isa = kernels::Isa::kRef,
                         int n_threads = 1) {
  auto admitted = gate::Admission::admit(path.string(), own_models());
  EXPECT_TRUE(admitted.ok()) << admitted.error().message;
  Loaded out;
  out.pool = std::make_unique<base::ThreadPool>(n_threads);
  out.context = {.isa = isa, .pool = out.pool.get()};
  auto model = arch::Model::load(admitted.value(), {.context = &out.context, .progress = {}});
  EXPECT_TRUE(model.ok()) << model.error().message;
  out.model = std::make_unique<arch::Model>(std::move(model).value());
  return out;
}

/// KV pages of one sequence, all allocated at once.
class Cache {
 public:
  Cache(const arch::ModelInfo& info, int64_t n_positions, kernels::KvType type) {
    const int64_t n_pages =
        (n_positions + kernels::kKvPagePositions - 1) / kernels::kKvPagePositions;
    pointers_.resize(2 * info.layers.size());
    for (size_t i = 0; i < info.layers.size(); ++i) {
      const auto& layer = info.layers[i];
      for (int64_t page = 0; page < n_pages; ++page) {
        pointers_[2 * i].push_back(take(type, layer.n_kv_heads, layer.head_dim));
        pointers_[2 * i + 1].push_back(take(type, layer.n_kv_heads, layer.value_dim));
      }
      views_.push_back({.type = type,
                        .n_kv_heads = layer.n_kv_heads,
                        .head_dim = layer.head_dim,
                        .value_dim = layer.value_dim,
                        .key_pages = pointers_[2 * i],
                        .value_pages = pointers_[2 * i + 1]});
    }
  }
  [[nodiscard]] std::span<const kernels::KvView> views() const { return views_; }

 private:
  std::byte* take(kernels::KvType type, int64_t n_kv_heads, int64_t dim) {
    const uint64_t bytes = kernels::kv_page_bytes(type, n_kv_heads, dim).value();
    auto* page = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    std::fill_n(page, bytes, std::byte{0});
    pages_.emplace_back(page, &std::free);
    return page;
  }

  std::vector<std::unique_ptr<std::byte, decltype(&std::free)>> pages_;
  std::vector<std::vector<std::byte*>> pointers_;
  std::vector<kernels::KvView> views_;
};

struct How {
  int64_t chunk = 1 << 20;  // tokens of the prompt a step
  int64_t n_beside = 0;     // other sequences in every step
  kernels::KvType kv = kernels::KvType::kF32;
  const arch::Adapter* adapter = nullptr;
  /// Of the others, in turns.
  std::vector<const arch::Adapter*> adapters_beside = {nullptr};
};

/// Logits of all positions, float32 [tokens, n_vocab].
inline std::vector<float> run_model(const Loaded& loaded, const std::vector<int32_t>& tokens,
                                    How how = {}) {
  const arch::ModelInfo& info = loaded.model->info();
  const auto n = static_cast<int64_t>(tokens.size());
  std::vector<float> logits(tokens.size() * static_cast<size_t>(info.n_vocab));
  std::vector<Cache> caches;
  for (int64_t i = 0; i <= how.n_beside; ++i) caches.emplace_back(info, n, how.kv);
  std::vector<std::vector<int32_t>> prompts;  // of the others: other tokens, other lengths
  for (int64_t i = 0; i < how.n_beside; ++i) {
    prompts.emplace_back(tokens.rbegin(), tokens.rend() - i);
    std::ranges::rotate(prompts.back(), prompts.back().begin() + 1 + i);
  }
  std::vector<float> ignored(static_cast<size_t>((how.n_beside + 1) * info.n_vocab));
  arch::Workspace workspace;
  for (int64_t first = 0; first < n; first += how.chunk) {
    const int64_t count = std::min(how.chunk, n - first);
    std::vector<arch::SequenceStep> steps;
    for (int64_t i = 0; i < how.n_beside; ++i) {
      const auto& prompt = prompts[static_cast<size_t>(i)];
      const int64_t other = std::min(count, std::ssize(prompt) - first);
      if (other <= 0) continue;
      steps.push_back(
          {.tokens =
               std::span(prompt).subspan(static_cast<size_t>(first), static_cast<size_t>(other)),
           .first_position = first,
           .kv = caches[static_cast<size_t>(i + 1)].views(),
           .planned_length = std::ssize(prompt),
           .adapter = how.adapters_beside[static_cast<size_t>(i) % how.adapters_beside.size()],
           .wanted = arch::LogitsWanted::kLast,
           .logits = ignored.data() + i * info.n_vocab});
    }
    auto own = steps.size() / 2;
    steps.insert(steps.begin() + static_cast<int64_t>(own),
                 {.tokens = std::span(tokens).subspan(static_cast<size_t>(first),
                                                      static_cast<size_t>(count)),
                  .first_position = first,
                  .kv = caches[0].views(),
                  .planned_length = n,
                  .adapter = how.adapter,
                  .wanted = arch::LogitsWanted::kAll,
                  .logits = logits.data() + first * info.n_vocab});
    Status status = loaded.model->forward(loaded.context, steps, workspace);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  return logits;
}

}  // namespace lantern::tests
