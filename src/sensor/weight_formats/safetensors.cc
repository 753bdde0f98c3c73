// Safetensors of any type of number (format/safetensors.h reads those that Lantern computes). One
// file of a model: its folder says more (config.json), which the model stores read.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "format/safetensors.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

constexpr uint64_t kHeaderBytesMax = 64u << 20;  // of JSON; the largest published has 16 MB

uint64_t header_length(std::string_view head) {
  uint64_t length = 0;
  std::memcpy(&length, head.data(), 8);
  return length;
}

bool matches(const FileEnds& ends) {
  if (ends.head.size() < 10 || ends.head[8] != '{') return false;
  const uint64_t length = header_length(ends.head);
  return length >= 2 && length <= format::SafetensorsLimits().header_bytes && length < ends.size &&
         (ends.head[9] == '"' || ends.head[9] == ' ' || ends.head[9] == '}');
}

/// Takes the header event by event: tensors are counted, nothing is kept.
class Counter final : public nlohmann::json_sax<base::Json> {
 public:
  explicit Counter(WeightFacts& facts) : facts_(facts) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool binary(base::Json::binary_t&) override { return false; }
  bool number_unsigned(uint64_t value) override {
    if (in_shape_) elements_ = elements_ * value;
    return true;
  }
  bool string(std::string& value) override {
    if (depth_ == 2 && key_ == "dtype") type_ = value;
    if (depth_ == 2 && name_ == "__metadata__") keep(value);
    return true;
  }
  bool start_object(size_t) override {
    elements_ = base::CheckedSize(1);
    type_.clear();
    return ++depth_ <= 2;
  }
  bool end_object() override {
    if (depth_-- != 2 || name_ == "__metadata__" || type_.empty()) return true;
    if (!elements_.value()) return false;
    count_tensor(facts_, type_, *elements_.value());
    return true;
  }
  bool start_array(size_t) override {
    in_shape_ = key_ == "shape";
    return depth_ == 2;
  }
  bool end_array() override {
    in_shape_ = false;
    return true;
  }
  bool key(std::string& value) override {
    (depth_ == 1 ? name_ : key_) = value;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  /// What trainers write there (modelspec.* of the Stability AI model specification).
  void keep(const std::string& value) {
    if (key_ == "modelspec.architecture" || key_ == "ss_base_model_version")
      facts_.architecture = claim(value);
    if (key_ == "modelspec.title" || key_ == "name") facts_.name = claim(value);
    if (key_ == "modelspec.license" || key_ == "license") facts_.licence = claim(value);
    if (key_ == "modelspec.author") facts_.publisher = claim(value);
  }

  WeightFacts& facts_;
  int depth_ = 0;
  bool in_shape_ = false;
  std::string name_, key_, type_;
  base::CheckedSize elements_{1};
};

Status read(const WeightInput& input, WeightFacts& facts) {
  std::string head(8, '\0');
  LANTERN_TRY(input.source.read_at(0, std::as_writable_bytes(std::span(head))));
  const uint64_t length = header_length(head);
  if (length > kHeaderBytesMax || length > input.have - 8)
    return make_error(ErrorCode::kTooLarge, "a header of {} bytes", length);
  std::string text(length, '\0');
  LANTERN_TRY(input.source.read_at(8, std::as_writable_bytes(std::span(text))));
  Counter counter(facts);
  try {
    if (!base::Json::sax_parse(text.begin(), text.end(), &counter))
      return make_error(ErrorCode::kCorrupt, "its header is no table of tensors");
  } catch (const std::exception& fault) {
    return make_error(ErrorCode::kCorrupt, "header: {}", fault.what());
  }
  facts.header_bytes = 8 + length;
  LANTERN_ASSIGN(facts.header_digest, digest_of_front(input.source, facts.header_bytes));
  return {};
}

}  // namespace

extern const WeightFormat k_safetensors;
const WeightFormat k_safetensors = {.name = "safetensors", .matches = matches, .read = read};

}  // namespace lantern::sensor
