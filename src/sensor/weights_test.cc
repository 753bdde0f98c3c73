#include "sensor/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <utility>

#include "format/source.h"

namespace lantern::sensor {
namespace {

/// A file's bytes put together.
class Bytes {
 public:
  template <typename T>
  Bytes& number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& raw(std::string_view text) {
    text_ += text;
    return *this;
  }
  Bytes& string(std::string_view text) { return number<uint64_t>(text.size()).raw(text); }
  Bytes& key(std::string_view name, std::string_view value) {
    return string(name).number<uint32_t>(8).string(value);
  }
  Bytes& key(std::string_view name, uint32_t value) {
    return string(name).number<uint32_t>(4).number(value);
  }
  Bytes& tensor(std::string_view name, uint64_t columns, uint64_t rows, uint32_t type) {
    return string(name)
        .number<uint32_t>(2)
        .number(columns)
        .number(rows)
        .number(type)
        .number<uint64_t>(0);
  }
  Bytes& fill(size_t n) {
    text_.resize(text_.size() + n, 'w');
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::optional<WeightFacts> read(const std::string& bytes) {
  const format::MemorySource source("test", std::as_bytes(std::span(bytes)));
  return read_weights({.source = source, .have = bytes.size()});
}

Bytes gguf(uint64_t n_tensors, uint64_t n_keys) {
  return Bytes().raw("GGUF").number<uint32_t>(3).number(n_tensors).number(n_keys);
}

/// IQ2_XS is a type that Lantern does not compute, "grok" an architecture that it does not know.
std::string foreign_model() {
  return gguf(2, 8)
      .key("general.architecture", "grok")
      .key("grok.context_length", 8192)
      .key("general.name", "Grok \x1b[2J")
      .key("general.license", "apache-2.0")
      .key("general.organization", "xAI")
      .key("general.file_type", 20)
      .string("tokenizer.ggml.tokens")
      .number<uint32_t>(9)
      .number<uint32_t>(8)
      .number<uint64_t>(2)
      .string("a")
      .string("b")
      .string("general.quantized")
      .number<uint32_t>(7)
      .number<uint8_t>(1)
      .tensor("blk.0.attn_q.weight", 256, 64, 17)
      .tensor("output_norm.weight", 256, 1, 0)
      .fill(20000)
      .text();
}

TEST(Weights, AGgufOfAnyArchitectureAndType) {
  const std::string bytes = foreign_model();
  const auto facts = read(bytes);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->fault, "");
  EXPECT_EQ(facts->format, "GGUF");
  EXPECT_EQ(facts->architecture, "grok");
  EXPECT_EQ(facts->name, "Grok \\x1b[2J");
  EXPECT_EQ(facts->licence, "apache-2.0");
  EXPECT_EQ(facts->publisher, "xAI");
  EXPECT_EQ(facts->quantization, "IQ2_XS");
  EXPECT_EQ(facts->context, 8192u);
  EXPECT_EQ(facts->tensors, 2u);
  EXPECT_EQ(facts->parameters, 256u * 65);
  EXPECT_EQ(facts->mix_text(), "IQ2_XS 98 %, F32 2 %");
  EXPECT_EQ(facts->header_bytes, bytes.size() - 20000);
  EXPECT_EQ(*facts->header_digest, base::sha256(bytes.substr(0, facts->header_bytes)));
}

// Every cut of it and every byte of it changed: facts, or a fault, within bounds.
TEST(Weights, ADamagedHeaderIsAFindingWithAFault) {
  const std::string bytes = foreign_model().substr(0, 1200);
  for (size_t n = 4; n < 500; ++n) {
    const auto facts = read(bytes.substr(0, n));
    ASSERT_TRUE(facts) << n;
    EXPECT_EQ(facts->format, "GGUF");
  }
  EXPECT_NE(read(bytes.substr(0, 100))->fault, "");
  for (size_t i = 0; i < 500; ++i)
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string changed = bytes;
      changed[i] = value;
      const auto facts = read(changed);
      EXPECT_LE(facts ? facts->parameters : 0, changed.size() * 8 * (facts ? facts->tensors : 0));
    }
}

TEST(Weights, SafetensorsOfAnyType) {
  const std::string header = R"({"__metadata__":{"format":"pt","modelspec.title":"T"},)"
                             R"("a":{"dtype":"F8_E4M3","shape":[64,32],"data_offsets":[0,2048]},)"
                             R"("b":{"dtype":"BF16","shape":[],"data_offsets":[2048,2050]}})";
  const std::string bytes = Bytes().number<uint64_t>(header.size()).raw(header).fill(2050).text();
  const auto facts = read(bytes);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->fault, "");
  EXPECT_EQ(facts->format, "safetensors");
  EXPECT_EQ(facts->name, "T");
  EXPECT_EQ(facts->parameters, 2049u);
  EXPECT_EQ(facts->mix_text(), "F8_E4M3 100 %");
  EXPECT_EQ(*facts->header_digest, base::sha256(bytes.substr(0, 8 + header.size())));
}

TEST(Weights, FormatsByTheirMagicAlone) {
  for (const auto& [head, format] : {std::pair{std::string("\x1c\0\0\0TFL3", 8), "TensorFlow Lite"},
                                     {std::string("\x1c\0\0\0ET12", 8), "ExecuTorch"},
                                     {std::string("tjgg"), "GGML (before GGUF)"}}) {
    const auto facts = read(head + std::string(100, 'x'));
    ASSERT_TRUE(facts) << format;
    EXPECT_EQ(facts->format, format);
  }
}

TEST(Weights, OnnxByItsGraph) {
  // ModelProto: ir_version 8, producer "pytorch", graph { name "g", initializer { dims 3, dims 5,
  // data_type FLOAT } }
  const std::string tensor("\x08\x03\x08\x05\x10\x01", 6);
  const std::string graph = "\x12\x01g\x2a\x06" + tensor;
  const std::string bytes =
      std::string("\x08\x08\x12\x07pytorch", 11) + "\x3a" + static_cast<char>(graph.size()) + graph;
  const auto facts = read(bytes);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->format, "ONNX");
  EXPECT_EQ(facts->publisher, "pytorch");
  EXPECT_EQ(facts->name, "g");
  EXPECT_EQ(facts->parameters, 15u);
  EXPECT_EQ(facts->mix_text(), "F32 100 %");
  EXPECT_FALSE(read(std::string("\x08\x08\x12\x07pytorch", 11) + std::string(60, '\0')))
      << "a protocol buffer of another kind";
}

/// An archive of stored entries behind `program`.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& entries,
                   const std::string& program = "") {
  Bytes file, directory;
  file.raw(program);
  for (const auto& [name, data] : entries) {
    const auto crc = static_cast<uint32_t>(
        ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
    const auto size = static_cast<uint32_t>(data.size());
    const auto length = static_cast<uint16_t>(name.size());
    const auto offset = static_cast<uint32_t>(file.text().size());
    // Version, flags, method 0, time, date, CRC-32, both sizes, lengths of name and extra field.
    const auto common = [&](Bytes& bytes) {
      bytes.number<uint16_t>(20).number<uint16_t>(0).number<uint16_t>(0).number<uint16_t>(0);
      bytes.number<uint16_t>(33).number(crc).number(size).number(size).number(length);
      bytes.number<uint16_t>(0);
    };
    file.raw("PK\x03\x04");
    common(file);
    file.raw(name).raw(data);
    directory.raw("PK\x01\x02").number<uint16_t>(20);
    common(directory);
    directory.number<uint16_t>(0).number<uint16_t>(0).number<uint16_t>(0).number<uint32_t>(0);
    directory.number(offset).raw(name);
  }
  const auto at = static_cast<uint32_t>(file.text().size());
  const auto n = static_cast<uint16_t>(entries.size());
  file.raw(directory.text()).raw("PK\x05\x06").number<uint32_t>(0).number(n).number(n);
  file.number(static_cast<uint32_t>(directory.text().size())).number(at).number<uint16_t>(0);
  return file.text();
}

TEST(Weights, PyTorchByItsStorages) {
  const std::string storages(64, 'w');
  const auto facts =
      read(zip_of({{"m/data.pkl", "ctorch\nHalfStorage\nq"}, {"m/data/0", storages}}));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->fault, "");
  EXPECT_EQ(facts->format, "PyTorch");
  EXPECT_EQ(facts->tensors, 1u);
  EXPECT_EQ(facts->parameters, 32u);
  EXPECT_EQ(facts->mix_text(), "F16 100 %");
  // Of two types nobody knows how many values there are.
  EXPECT_EQ(
      read(zip_of({{"m/data.pkl", "ComplexFloatStorage\nBFloat16Storage"}, {"m/data/0", storages}}))
          ->mix_text(),
      "BF16 100 %");
  EXPECT_EQ(read(zip_of({{"m/data.pkl", "ctorch\nHalfStorage\nctorch\nFloatStorage"},
                         {"m/data/0", storages}}))
                ->parameters,
            0u);
  EXPECT_FALSE(read(zip_of({{"word/document.xml", "x"}}))) << "an archive of something else";
}

TEST(Weights, TheModelInALlamafile) {
  const std::string program =
      "\x7f"
      "ELF" +
      std::string(5000, 'p');
  const auto facts =
      read(zip_of({{".args", "-m\nmodel.gguf\n"}, {"model.gguf", foreign_model()}}, program));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->fault, "");
  EXPECT_EQ(facts->format, "llamafile");
  EXPECT_EQ(facts->architecture, "grok");
  EXPECT_EQ(facts->parameters, 256u * 65);
  EXPECT_FALSE(read(zip_of({{"notes.txt", "x"}}, program))) << "a program with an archive";
}

TEST(Weights, WhatIsNoModelIsNone) {
  for (const std::string& bytes :
       {std::string(), std::string("x"), std::string(64, '\0'), std::string("GGU"),
        "PK\x03\x04" + std::string(200, 'x'),
        "\x7f"
        "ELF" +
            std::string(200, 'x'),
        std::string("SQLite format 3"), std::string("\x89PNG\r\n\x1a\n")})
    EXPECT_FALSE(read(bytes)) << bytes.substr(0, 8);
}

TEST(Weights, CrossTheChildsPipeUnchangedAndBounded) {
  const WeightFacts facts = *read(foreign_model());
  const auto back = weights_from_json(weights_to_json(facts));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(weights_to_json(*back), weights_to_json(facts));
  base::Json hostile = weights_to_json(facts);
  hostile["name"] = std::string(10'000, '\n');
  EXPECT_LE(weights_from_json(hostile)->name.size(), 300u);
  hostile["parameters"] = -1;
  EXPECT_FALSE(weights_from_json(hostile).ok());
  EXPECT_FALSE(weights_from_json(base::Json::array()).ok());
}

}  // namespace
}  // namespace lantern::sensor
