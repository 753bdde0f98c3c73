// For tests: a random LoRA adapter of TinyModel, written as GGUF.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/philox.h"
#include "engine/tiny_model.h"
#include "format/gguf_writer.h"
#include "format/temporary_folder.h"

namespace lantern::engine {

struct TinyAdapter {
  uint64_t seed = 1;  // another seed, other weights
  int64_t rank = 4;
  double alpha = 8;

  [[nodiscard]] std::filesystem::path write(const format::TemporaryFolder& folder,
                                            const std::string& name) const {
    using M = TinyModel;
    format::Metadata metadata;
    metadata.set("general.architecture", std::string("llama"));
    metadata.set("general.type", std::string("adapter"));
    metadata.set("adapter.type", std::string("lora"));
    metadata.set("adapter.lora.alpha", alpha);
    std::vector<format::TensorPlan> plan;
    for (int64_t l = 0; l < M::kLayers; ++l) {
      auto add = [&](const char* part, int64_t out, int64_t in) {
        const std::string matrix = fmt::format("blk.{}.{}.weight", l, part);
        plan.push_back({matrix + ".lora_a", quant::DType::kF32, {rank, in}});
        plan.push_back({matrix + ".lora_b", quant::DType::kF32, {out, rank}});
      };
      add("attn_q", M::kHeads * M::kHeadDim, M::kEmbd);
      add("attn_k", M::kKvHeads * M::kHeadDim, M::kEmbd);
      add("attn_v", M::kKvHeads * M::kHeadDim, M::kEmbd);
      add("ffn_down", M::kEmbd, M::kFf);
    }
    const auto path = folder.path() / name;
    auto writer = format::GgufWriter::create(path, metadata, plan);
    if (!writer.ok()) return {};
    for (size_t i = 0; i < plan.size(); ++i) {
      std::vector<float> values(static_cast<size_t>(plan[i].shape[0] * plan[i].shape[1]));
      for (size_t v = 0; v < values.size(); ++v)
        values[v] = static_cast<float>(sampling_uniform(seed * 1000 + i, 1, v)) - 0.5f;
      if (!writer->write(i, std::as_bytes(std::span(values))).ok()) return {};
    }
    return writer->commit().ok() ? path : std::filesystem::path();
  }
};

}  // namespace lantern::engine
