// GGUF, versions 2 and 3, of any architecture and tensor type (format/gguf.h reads those that
// Lantern computes, and keeps what it reads). Arrays are skipped, so memory stays small.
#include "format/gguf.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/checked.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

using format::MetadataType;
using format::SourceReader;

/// general.file_type, as llama.cpp numbers its mixes.
constexpr std::pair<uint64_t, std::string_view> kFileTypes[] = {
    {0, "F32"},      {1, "F16"},      {2, "Q4_0"},      {3, "Q4_1"},    {7, "Q8_0"},
    {8, "Q5_0"},     {9, "Q5_1"},     {10, "Q2_K"},     {11, "Q3_K_S"}, {12, "Q3_K_M"},
    {13, "Q3_K_L"},  {14, "Q4_K_S"},  {15, "Q4_K_M"},   {16, "Q5_K_S"}, {17, "Q5_K_M"},
    {18, "Q6_K"},    {19, "IQ2_XXS"}, {20, "IQ2_XS"},   {21, "Q2_K_S"}, {22, "IQ3_XS"},
    {23, "IQ3_XXS"}, {24, "IQ1_S"},   {25, "IQ4_NL"},   {26, "IQ3_S"},  {27, "IQ3_M"},
    {28, "IQ2_S"},   {29, "IQ2_M"},   {30, "IQ4_XS"},   {31, "IQ1_M"},  {32, "BF16"},
    {36, "TQ1_0"},   {37, "TQ2_0"},   {38, "MXFP4_MOE"}};

class HeaderWalk {
 public:
  HeaderWalk(const WeightInput& input, WeightFacts& facts)
      : input_(input),
        facts_(facts),
        reader_(input.source, std::min(input.have, limits_.header_bytes)) {}

  Status walk();

 private:
  Result<std::string_view> text(uint64_t bytes_max, std::string_view field);
  Status entry();
  Status skip(uint64_t bytes, std::string_view field);
  Status skip_array(std::string_view field);
  Result<uint64_t> scalar(uint32_t type, std::string_view field);
  void keep(const std::string& key, std::string_view value);
  void keep(const std::string& key, uint64_t value);
  Status tensor();

  const WeightInput& input_;
  WeightFacts& facts_;
  format::GgufLimits limits_;
  SourceReader reader_;
  uint64_t n_elements_ = 0;
  std::map<std::string, uint64_t> contexts_;  // "llama.context_length"
};

Status corrupt(std::string_view field, std::string_view fault) {
  return make_error(ErrorCode::kCorrupt, "{}: {}", field, fault);
}

uint64_t bytes_of(uint32_t type) {
  switch (static_cast<MetadataType>(type)) {
    case MetadataType::kUint8:
    case MetadataType::kInt8:
    case MetadataType::kBool:
      return 1;
    case MetadataType::kUint16:
    case MetadataType::kInt16:
      return 2;
    case MetadataType::kUint32:
    case MetadataType::kInt32:
    case MetadataType::kFloat32:
      return 4;
    case MetadataType::kUint64:
    case MetadataType::kInt64:
    case MetadataType::kFloat64:
      return 8;
    case MetadataType::kString:
      break;
  }
  return 0;
}

Result<std::string_view> HeaderWalk::text(uint64_t bytes_max, std::string_view field) {
  LANTERN_ASSIGN(const uint64_t n, reader_.read<uint64_t>(field));
  if (n > bytes_max) return corrupt(field, "is too long").error();
  return reader_.read_bytes(n, field);
}

Status HeaderWalk::skip(uint64_t bytes, std::string_view field) {
  while (bytes > 0) {
    const uint64_t piece = std::min<uint64_t>(bytes, 64u << 10);
    LANTERN_ASSIGN(const std::string_view skipped, reader_.read_bytes(piece, field));
    bytes -= skipped.size();
  }
  return {};
}

Status HeaderWalk::skip_array(std::string_view field) {
  LANTERN_ASSIGN(const uint32_t type, reader_.read<uint32_t>(field));
  LANTERN_ASSIGN(const uint64_t n, reader_.read<uint64_t>(field));
  if (n > limits_.elements - std::min(n_elements_, limits_.elements))
    return corrupt(field, "too many elements");
  n_elements_ += n;
  if (type != static_cast<uint32_t>(MetadataType::kString)) {
    if (bytes_of(type) == 0) return corrupt(field, "an array of what is no type");
    return skip(n * bytes_of(type), field);
  }
  for (uint64_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(const uint64_t bytes, reader_.read<uint64_t>(field));
    if (bytes > limits_.string_bytes) return corrupt(field, "is too long");
    LANTERN_TRY(skip(bytes, field));
  }
  return {};
}

Result<uint64_t> HeaderWalk::scalar(uint32_t type, std::string_view field) {
  switch (bytes_of(type)) {
    case 1: {
      LANTERN_ASSIGN(const uint8_t value, reader_.read<uint8_t>(field));
      return uint64_t{value};
    }
    case 2: {
      LANTERN_ASSIGN(const uint16_t value, reader_.read<uint16_t>(field));
      return uint64_t{value};
    }
    case 4: {
      LANTERN_ASSIGN(const uint32_t value, reader_.read<uint32_t>(field));
      return uint64_t{value};
    }
    case 8:
      return reader_.read<uint64_t>(field);
    default:
      return corrupt(field, "a value of what is no type").error();
  }
}

void HeaderWalk::keep(const std::string& key, std::string_view value) {
  if (key == "general.architecture") facts_.architecture = claim(value);
  if (key == "general.name") facts_.name = claim(value);
  if (key == "general.license") facts_.licence = claim(value);
  if (key == "general.organization" || (key == "general.author" && facts_.publisher.empty()))
    facts_.publisher = claim(value);
  if (key == "general.source.url" || key == "general.repo_url" ||
      (key == "general.url" && facts_.source.empty()))
    facts_.source = claim(value);
}

void HeaderWalk::keep(const std::string& key, uint64_t value) {
  if (key == "general.file_type")
    for (const auto& [number, name] : kFileTypes)
      if (number == value) facts_.quantization = name;
  if (key == "split.no") facts_.part = static_cast<uint32_t>(std::min<uint64_t>(value, 65535)) + 1;
  if (key == "split.count")
    facts_.n_parts = static_cast<uint32_t>(std::min<uint64_t>(value, 65535));
  if (key.ends_with(".context_length") && contexts_.size() < 16) contexts_[key] = value;
}

Status HeaderWalk::entry() {
  LANTERN_ASSIGN(const std::string_view view, text(limits_.key_bytes, "a metadata key"));
  const std::string key(view);
  const std::string field = "key " + claim(key);
  LANTERN_ASSIGN(const uint32_t type, reader_.read<uint32_t>(field));
  if (type == format::kGgufArrayType) return skip_array(field);
  if (type == static_cast<uint32_t>(MetadataType::kString)) {
    LANTERN_ASSIGN(const uint64_t n, reader_.read<uint64_t>(field));
    if (n > limits_.string_bytes) return corrupt(field, "is too long");
    const uint64_t kept = std::min<uint64_t>(n, 4 * kClaimBytesMax);
    LANTERN_ASSIGN(const std::string_view value, reader_.read_bytes(kept, field));
    keep(key, value);
    return skip(n - kept, field);
  }
  LANTERN_ASSIGN(const uint64_t value, scalar(type, field));
  keep(key, value);
  return {};
}

Status HeaderWalk::tensor() {
  LANTERN_ASSIGN(const std::string_view view, text(limits_.tensor_name_bytes, "a tensor's name"));
  const std::string field = "tensor " + claim(view);
  LANTERN_ASSIGN(const uint32_t n_dimensions, reader_.read<uint32_t>(field));
  if (n_dimensions > format::kGgufDimensionsMax) return corrupt(field, "too many dimensions");
  base::CheckedSize elements(1);
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    LANTERN_ASSIGN(const uint64_t n, reader_.read<uint64_t>(field));
    elements = elements * n;
  }
  LANTERN_ASSIGN(const uint32_t type, reader_.read<uint32_t>(field));
  LANTERN_ASSIGN(const uint64_t offset, reader_.read<uint64_t>(field));
  // Every type takes at least an eighth of a byte a value.
  const auto n = elements.value();
  if (!n || *n / 8 > input_.source.size() || offset > input_.source.size())
    return corrupt(field, "is larger than its file");
  std::string name(format::gguf_type_name(type));
  if (name == "unknown") name = fmt::format("type {}", type);
  count_tensor(facts_, name, *n);
  return {};
}

Status HeaderWalk::walk() {
  LANTERN_ASSIGN(const std::string_view magic, reader_.read_bytes(4, "magic"));
  if (magic != "GGUF") return corrupt("magic", "is not GGUF's");
  LANTERN_ASSIGN(const uint32_t version, reader_.read<uint32_t>("version"));
  if (version != 2 && version != 3)
    return make_error(ErrorCode::kUnsupported, "GGUF version {}", version);
  LANTERN_ASSIGN(const uint64_t n_tensors, reader_.read<uint64_t>("tensor count"));
  LANTERN_ASSIGN(const uint64_t n_keys, reader_.read<uint64_t>("key count"));
  if (n_tensors > limits_.tensors || n_keys > limits_.keys)
    return corrupt("counts", "more keys or tensors than any model has");
  for (uint64_t i = 0; i < n_keys; ++i) LANTERN_TRY(entry());
  if (const auto at = contexts_.find(facts_.architecture + ".context_length");
      at != contexts_.end())
    facts_.context = std::min<uint64_t>(at->second, INT64_MAX);
  for (uint64_t i = 0; i < n_tensors; ++i) LANTERN_TRY(tensor());
  facts_.header_bytes = reader_.position();
  return {};
}

bool matches(const FileEnds& ends) { return ends.head.starts_with("GGUF"); }

}  // namespace

Status read_gguf(const WeightInput& input, WeightFacts& facts) {
  LANTERN_TRY(HeaderWalk(input, facts).walk());
  LANTERN_ASSIGN(facts.header_digest, digest_of_front(input.source, facts.header_bytes));
  return {};
}

extern const WeightFormat k_gguf;
const WeightFormat k_gguf = {.name = "GGUF", .matches = matches, .read = read_gguf};

}  // namespace lantern::sensor
