// For tests: a tiny random llama with a byte-level tokenizer and a chat template, written as GGUF.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/philox.h"
#include "format/gguf_writer.h"
#include "format/temporary_folder.h"

namespace lantern::engine {

struct TinyModel {
  static constexpr int64_t kEmbd = 64, kHeads = 2, kKvHeads = 1, kHeadDim = 32, kFf = 96;
  static constexpr int64_t kLayers = 2;

  std::string chat_template =
      "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
      "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  int64_t context = 1024;
  int64_t window = 0;
  /// Spelling -> id. The vocabulary: 256 bytes, "th", "the", "é", then these.
  static constexpr int32_t kBos = 259, kEos = 260, kStart = 261, kEnd = 262;
  static constexpr int64_t kVocab = 264;
  int32_t eos = kEos;
  bool add_bos = true;
  std::string spare = "<|spare|>";
  std::vector<std::string> more_tokens = {};  // special ones, after all others

  [[nodiscard]] int64_t n_vocab() const { return kVocab + std::ssize(more_tokens); }

  [[nodiscard]] format::Metadata metadata() const {
    format::Metadata m;
    auto set = [&](const char* key, format::MetadataValue value) { m.set(key, std::move(value)); };
    set("general.architecture", std::string("llama"));
    set("llama.block_count", uint64_t{kLayers});
    set("llama.context_length", static_cast<uint64_t>(context));
    set("llama.embedding_length", uint64_t{kEmbd});
    set("llama.feed_forward_length", uint64_t{kFf});
    set("llama.attention.head_count", uint64_t{kHeads});
    set("llama.attention.head_count_kv", uint64_t{kKvHeads});
    set("llama.attention.layer_norm_rms_epsilon", 1e-5);
    if (window > 0) set("llama.attention.sliding_window", static_cast<uint64_t>(window));
    set("tokenizer.ggml.model", std::string("gpt2"));
    set("tokenizer.ggml.pre", std::string("gpt-2"));
    set("tokenizer.ggml.tokens", tokens());
    std::vector<int64_t> types(static_cast<size_t>(n_vocab()), 1);
    for (size_t i = kBos; i < types.size(); ++i) types[i] = 3;
    m.set("tokenizer.ggml.token_type", std::move(types), format::MetadataType::kInt32);
    set("tokenizer.ggml.merges",
        format::StringArray{"t h", "th e", byte_spelling(0xC3) + " " + byte_spelling(0xA9)});
    set("tokenizer.ggml.bos_token_id", uint64_t{kBos});
    set("tokenizer.ggml.eos_token_id", static_cast<uint64_t>(eos));
    set("tokenizer.ggml.add_bos_token", add_bos);
    if (!chat_template.empty()) set("tokenizer.chat_template", chat_template);
    return m;
  }

  /// Writes the file; its weights depend on nothing but their names' order.
  [[nodiscard]] std::filesystem::path write(const format::TemporaryFolder& folder,
                                            const std::string& name = "tiny.gguf") const {
    std::vector<format::TensorPlan> plan = {
        {"token_embd.weight", quant::DType::kF32, {n_vocab(), kEmbd}},
        {"output_norm.weight", quant::DType::kF32, {kEmbd}},
        {"output.weight", quant::DType::kF32, {n_vocab(), kEmbd}}};
    for (int64_t l = 0; l < kLayers; ++l) {
      auto add = [&](const char* part, std::vector<int64_t> shape) {
        plan.push_back(
            {fmt::format("blk.{}.{}.weight", l, part), quant::DType::kF32, std::move(shape)});
      };
      add("attn_norm", {kEmbd});
      add("attn_q", {kHeads * kHeadDim, kEmbd});
      add("attn_k", {kKvHeads * kHeadDim, kEmbd});
      add("attn_v", {kKvHeads * kHeadDim, kEmbd});
      add("attn_output", {kEmbd, kHeads * kHeadDim});
      add("ffn_norm", {kEmbd});
      add("ffn_gate", {kFf, kEmbd});
      add("ffn_up", {kFf, kEmbd});
      add("ffn_down", {kEmbd, kFf});
    }
    const auto path = folder.path() / name;
    auto writer = format::GgufWriter::create(path, metadata(), plan);
    if (!writer.ok()) return {};
    for (size_t i = 0; i < plan.size(); ++i) {
      size_t n = 1;
      for (int64_t d : plan[i].shape) n *= static_cast<size_t>(d);
      std::vector<float> values(n, 1.0f);
      if (plan[i].shape.size() > 1)
        for (size_t v = 0; v < n; ++v)
          values[v] = 0.5f * (static_cast<float>(sampling_uniform(i, 0, v)) - 0.5f);
      if (!writer->write(i, std::as_bytes(std::span(values))).ok()) return {};
    }
    return writer->commit().ok() ? path : std::filesystem::path();
  }

  /// GPT-2's printable spelling of a byte, as UTF-8.
  static std::string byte_spelling(int byte) {
    auto printable = [](int b) {
      return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    };
    int code = byte;
    if (!printable(byte)) {
      code = 256;
      for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
    }
    if (code < 0x80) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
  }

 private:
  [[nodiscard]] format::StringArray tokens() const {
    format::StringArray out;
    for (int b = 0; b < 256; ++b) out.push_back(byte_spelling(b));
    for (const std::string& s :
         {std::string("th"), std::string("the"), byte_spelling(0xC3) + byte_spelling(0xA9),
          std::string("<s>"), std::string("</s>"), std::string("<|im_start|>"),
          std::string("<|im_end|>"), spare})
      out.push_back(s);
    for (const std::string& s : more_tokens) out.push_back(s);
    return out;
  }
};

}  // namespace lantern::engine
