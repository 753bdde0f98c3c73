#include "format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/checked.h"
#include "base/printable.h"
#include "format/tensor_table.h"

namespace lantern::format {
namespace {

using base::CheckedSize;
using base::printable;

/// Takes the header event by event, so that memory is what the tensors need: a hundred megabytes
/// of JSON as a document would be some gigabytes. Returning false ends the parse.
///
///   {"__metadata__": {"key": "text", ...},
///    "name": {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [begin, end]}, ...}
class HeaderHandler {
 public:
  using Json = nlohmann::json;

  HeaderHandler(SafetensorsHeader& header, const SafetensorsLimits& limits)
      : header_(header), limits_(limits) {}

  /// What ended the parse; without the file's name.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  bool null() { return misplaced("null"); }
  bool boolean(bool) { return misplaced("a boolean"); }
  bool number_integer(Json::number_integer_t) { return misplaced("a negative number"); }
  bool number_float(Json::number_float_t, const std::string&) { return misplaced("a fraction"); }
  bool binary(Json::binary_t&) { return misplaced("binary data"); }

  bool number_unsigned(Json::number_unsigned_t value) {
    if (state_ == State::kShape) return add_dimension(value);
    if (state_ == State::kOffsets) {
      if (n_offsets_ == 2) return corrupt("tensor {}: data_offsets: more than two numbers");
      offsets_[n_offsets_++] = value;
      return true;
    }
    return misplaced("a number");
  }

  bool string(std::string& value) {
    if (state_ == State::kMetadata && !key_.empty()) {
      if (!header_.metadata.emplace(key_, value).second)
        return fail(ErrorCode::kCorrupt,
                    fmt::format("__metadata__: key {} stands twice", printable(key_)));
      return true;
    }
    if (state_ == State::kTensor && key_ == "dtype") return take_dtype(value);
    return misplaced("a string");
  }

  bool start_object(size_t) {
    if (state_ == State::kBegin) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && name_ == "__metadata__") {
      if (had_metadata_) return fail(ErrorCode::kCorrupt, "__metadata__ stands twice");
      had_metadata_ = true;
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      begin_tensor();
    } else {
      return misplaced("an object");
    }
    key_.clear();
    return true;
  }

  bool key(std::string& value) {
    if (state_ == State::kTop) {
      name_ = value;
      return true;
    }
    key_ = value;
    if (state_ == State::kMetadata) {
      if (header_.metadata.size() >= limits_.metadata_entries)
        return fail(ErrorCode::kTooLarge,
                    fmt::format("__metadata__: more than {} entries", limits_.metadata_entries));
      // string() tells an absent key by its emptiness.
      if (key_.empty()) return fail(ErrorCode::kCorrupt, "__metadata__: an empty key");
      return true;
    }
    bool* seen = key_ == "dtype"          ? &has_dtype_
                 : key_ == "shape"        ? &has_shape_
                 : key_ == "data_offsets" ? &has_offsets_
                                          : nullptr;
    if (seen == nullptr)
      return fail(ErrorCode::kUnsupported,
                  fmt::format("tensor {}: unknown key {}", printable(name_), printable(key_)));
    if (*seen)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("tensor {}: key {} stands twice", printable(name_), key_));
    *seen = true;
    return true;
  }

  bool end_object() {
    if (state_ == State::kTensor) {
      if (!end_tensor()) return false;
      state_ = State::kTop;
    } else if (state_ == State::kMetadata) {
      state_ = State::kTop;
    } else {
      state_ = State::kEnd;
    }
    return true;
  }

  bool start_array(size_t) {
    if (state_ == State::kTensor && key_ == "shape") {
      state_ = State::kShape;
    } else if (state_ == State::kTensor && key_ == "data_offsets") {
      state_ = State::kOffsets;
    } else {
      return misplaced("an array");
    }
    return true;
  }

  bool end_array() {
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& e) {
    // nlohmann's text begins with "[json.exception...] "; a person needs what follows.
    std::string_view message = e.what();
    if (auto end = message.find("] "); end != std::string_view::npos)
      message.remove_prefix(end + 2);
    return fail(ErrorCode::kCorrupt,
                fmt::format("header: not valid JSON: {}", printable(message, 300)));
  }

 private:
  enum class State { kBegin, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool fail(ErrorCode code, std::string message) {
    if (!error_) error_ = Error{code, std::move(message)};
    return false;
  }
  bool corrupt(fmt::format_string<std::string> format) {
    return fail(ErrorCode::kCorrupt, fmt::format(format, printable(name_)));
  }
  bool misplaced(std::string_view what) {
    switch (state_) {
      case State::kBegin:
      case State::kEnd:
        return fail(ErrorCode::kCorrupt, fmt::format("header: {}, an object is needed", what));
      case State::kTop:
        return fail(ErrorCode::kCorrupt,
                    fmt::format("tensor {}: is {}, an object is needed", printable(name_), what));
      case State::kMetadata:
        return fail(
            ErrorCode::kCorrupt,
            fmt::format("__metadata__: key {} is {}, a string is needed", printable(key_), what));
      default:
        return fail(ErrorCode::kCorrupt, fmt::format("tensor {}: key {}: {} is out of place",
                                                     printable(name_), printable(key_), what));
    }
  }

  void begin_tensor() {
    state_ = State::kTensor;
    tensor_ = Tensor{};
    n_offsets_ = 0;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    n_elements_ = CheckedSize(1);
  }

  bool add_dimension(uint64_t n) {
    constexpr size_t kDimensionsMax = 8;
    n_elements_ = n_elements_ * n;
    if (tensor_.shape.size() == kDimensionsMax) return corrupt("tensor {}: too many dimensions");
    if (n > uint64_t{INT64_MAX} || !n_elements_.value_as<int64_t>())
      return corrupt("tensor {}: the product of its dimensions overflows");
    tensor_.shape.push_back(static_cast<int64_t>(n));
    return true;
  }

  bool take_dtype(const std::string& name) {
    if (name == "F32") {
      tensor_.type = quant::DType::kF32;
    } else if (name == "F16") {
      tensor_.type = quant::DType::kF16;
    } else if (name == "BF16") {
      tensor_.type = quant::DType::kBF16;
    } else {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("tensor {}: dtype {}; F32, F16 and BF16 are read", printable(name_),
                              printable(name)));
    }
    return true;
  }

  bool end_tensor() {
    if (!has_dtype_ || !has_shape_ || !has_offsets_)
      return corrupt("tensor {}: dtype, shape and data_offsets are needed");
    if (n_offsets_ != 2 || offsets_[0] > offsets_[1])
      return corrupt("tensor {}: data_offsets: two numbers in order are needed");
    uint64_t value_bytes = tensor_.type == quant::DType::kF32 ? 4 : 2;
    auto bytes = (n_elements_ * value_bytes).value();
    if (!bytes) return corrupt("tensor {}: its size overflows");
    if (*bytes != offsets_[1] - offsets_[0])
      return fail(ErrorCode::kCorrupt,
                  fmt::format("tensor {}: data_offsets hold {} bytes, its shape {} needs {}",
                              printable(name_), offsets_[1] - offsets_[0],
                              describe_shape(tensor_.shape), *bytes));
    if (header_.tensors.size() >= limits_.tensors)
      return fail(ErrorCode::kTooLarge, fmt::format("more than {} tensors", limits_.tensors));
    if (tensor_.shape.empty()) tensor_.shape = {1};
    tensor_.name = std::move(name_);
    tensor_.bytes = *bytes;
    tensor_.offset = offsets_[0];
    header_.tensors.push_back(std::move(tensor_));
    name_.clear();
    return true;
  }

  SafetensorsHeader& header_;
  const SafetensorsLimits& limits_;
  std::optional<Error> error_;
  State state_ = State::kBegin;
  std::string name_, key_;
  Tensor tensor_;
  CheckedSize n_elements_{1};
  uint64_t offsets_[2] = {0, 0};
  int n_offsets_ = 0;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false, had_metadata_ = false;
};

/// Sorts by offset, makes offsets absolute; the reference allows neither holes nor overlaps.
Status place(std::vector<Tensor>& tensors, uint64_t data_offset, const Source& source) {
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  uint64_t next = 0, data_bytes = source.size() - data_offset;
  for (Tensor& tensor : tensors) {
    if (tensor.offset != next)
      return make_error(ErrorCode::kCorrupt,
                        "{}: tensor {}: data_offsets begin at {}, the data before it {} at {}",
                        source.name(), printable(tensor.name), tensor.offset,
                        tensor.offset > next ? "ends, with a hole," : "ends, overlapping it,",
                        next);
    if (tensor.bytes > data_bytes - next)
      return make_error(ErrorCode::kCorrupt,
                        "{}: tensor {}: data_offsets end at {}, the file has {} bytes of data (is "
                        "the download complete?)",
                        source.name(), printable(tensor.name), next + tensor.bytes, data_bytes);
    next += tensor.bytes;
    tensor.offset += data_offset;
  }
  if (next != data_bytes)
    return make_error(ErrorCode::kCorrupt, "{}: {} bytes after the last tensor's data",
                      source.name(), data_bytes - next);
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors(const Source& source, const SafetensorsLimits& limits) {
  SourceReader reader(source, source.size());
  LANTERN_ASSIGN(uint64_t header_bytes, reader.read<uint64_t>("header length"));
  if (header_bytes > limits.header_bytes)
    return make_error(ErrorCode::kTooLarge,
                      "{}: header length: {}, at most {} are read (not a safetensors file?)",
                      source.name(), header_bytes, limits.header_bytes);
  LANTERN_ASSIGN(std::string_view text, reader.read_bytes(header_bytes, "header"));
  if (!text.starts_with('{'))
    return make_error(ErrorCode::kCorrupt, "{}: header: does not begin with {{", source.name());
  SafetensorsHeader header;
  HeaderHandler handler(header, limits);
  bool complete = nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  if (!complete || handler.error()) {
    Error error = handler.error().value_or(Error{ErrorCode::kCorrupt, "header: not valid JSON"});
    return std::move(error).within(source.name());
  }
  LANTERN_TRY(check_names(header.tensors, source.name()));
  LANTERN_TRY(place(header.tensors, 8 + header_bytes, source));
  return header;
}

}  // namespace lantern::format
