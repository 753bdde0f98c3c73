#include "format/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "base/printable.h"
#include "format/gguf.h"
#include "format/tensor_table.h"

namespace lantern::format {
namespace {

using base::CheckedSize;
using base::printable;

class Bytes {
 public:
  template <typename T>
  void number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    text_.append(raw, sizeof(T));
  }
  void string(std::string_view s) {
    number(uint64_t{s.size()});
    text_.append(s);
  }
  void pad_to(uint64_t alignment) {
    text_.append((alignment - text_.size() % alignment) % alignment, '\0');
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// A number as the type on disk; false where it does not fit, or the type is no number's.
template <typename Wide>
bool put_number(Bytes& out, MetadataType type, Wide value) {
  auto put = [&]<typename T>(T) {
    if constexpr (std::is_integral_v<T> && std::is_integral_v<Wide>) {
      if (!std::in_range<T>(value)) return false;
      out.number(static_cast<T>(value));
      return true;
    } else if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<Wide>) {
      out.number(static_cast<T>(value));
      return true;
    } else {
      return false;
    }
  };
  switch (type) {
    case MetadataType::kUint8:
      return put(uint8_t{});
    case MetadataType::kInt8:
      return put(int8_t{});
    case MetadataType::kUint16:
      return put(uint16_t{});
    case MetadataType::kInt16:
      return put(int16_t{});
    case MetadataType::kUint32:
      return put(uint32_t{});
    case MetadataType::kInt32:
      return put(int32_t{});
    case MetadataType::kUint64:
      return put(uint64_t{});
    case MetadataType::kInt64:
      return put(int64_t{});
    case MetadataType::kFloat32:
      return put(float{});
    case MetadataType::kFloat64:
      return put(double{});
    default:
      return false;
  }
}

/// One value of any kind; false where value and type contradict each other.
template <typename T>
bool put_value(Bytes& out, MetadataType type, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (type != MetadataType::kBool) return false;
    out.number(static_cast<uint8_t>(value));
    return true;
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    if (type != MetadataType::kString) return false;
    out.string(value);
    return true;
  } else {
    return put_number(out, type, value);
  }
}

template <typename T>
constexpr bool kIsScalar = std::is_arithmetic_v<T> || std::is_same_v<T, std::string>;

bool put_entry(Bytes& out, const MetadataEntry& entry) {
  auto type_id = static_cast<uint32_t>(entry.type);
  return std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (kIsScalar<T>) {
          out.number(type_id);
          return put_value(out, entry.type, value);
        } else {
          out.number(kGgufArrayType);
          out.number(type_id);
          out.number(uint64_t{value.size()});
          for (auto element : value)
            if (!put_value(out, entry.type, static_cast<typename T::value_type>(element)))
              return false;
          return true;
        }
      },
      entry.value);
}

Result<uint64_t> plan_bytes(const TensorPlan& plan) {
  if (plan.name.empty() || plan.shape.empty() || plan.shape.size() > kGgufDimensionsMax)
    return make_error(ErrorCode::kInvalidArgument,
                      "tensor \"{}\" {}: a name and one to {} dimensions are needed",
                      printable(plan.name), describe_shape(plan.shape), kGgufDimensionsMax);
  auto row =
      quant::row_bytes(plan.type, static_cast<uint64_t>(std::max<int64_t>(plan.shape.back(), 0)));
  if (!row.ok()) return std::move(row).error().within("tensor " + printable(plan.name));
  CheckedSize bytes(*row), n_elements(1);
  for (size_t i = 0; i < plan.shape.size(); ++i) {
    if (plan.shape[i] <= 0)
      return make_error(ErrorCode::kInvalidArgument, "tensor {}: shape {} makes no tensor",
                        printable(plan.name), describe_shape(plan.shape));
    n_elements = n_elements * static_cast<uint64_t>(plan.shape[i]);
    if (i + 1 < plan.shape.size()) bytes = bytes * static_cast<uint64_t>(plan.shape[i]);
  }
  if (!bytes.value() || !n_elements.value_as<int64_t>())
    return make_error(ErrorCode::kInvalidArgument, "tensor {}: its size overflows",
                      printable(plan.name));
  return *bytes.value();
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const Metadata& metadata,
                                      std::vector<TensorPlan> tensors) {
  LANTERN_ASSIGN(int64_t alignment_key,
                 metadata.get_int_or("general.alignment", 1, 1 << 20, kGgufAlignment));
  auto alignment = static_cast<uint64_t>(alignment_key);
  if (!std::has_single_bit(alignment))
    return make_error(ErrorCode::kInvalidArgument, "key general.alignment: {} is no power of two",
                      alignment);
  Bytes header;
  header.number(uint32_t{0x46554747});  // "GGUF"
  header.number(uint32_t{3});
  header.number(uint64_t{tensors.size()});
  header.number(uint64_t{metadata.all().size()});
  for (const auto& [key, entry] : metadata.all()) {
    header.string(key);
    if (!put_entry(header, entry))
      return make_error(ErrorCode::kInvalidArgument, "key {}: its value does not fit its type",
                        printable(key));
  }
  std::vector<Placed> placed;
  std::vector<Tensor> names;
  CheckedSize position(0);
  for (TensorPlan& plan : tensors) {
    LANTERN_ASSIGN(uint64_t bytes, plan_bytes(plan));
    header.string(plan.name);
    header.number(static_cast<uint32_t>(plan.shape.size()));
    for (auto n = plan.shape.rbegin(); n != plan.shape.rend(); ++n)
      header.number(static_cast<uint64_t>(*n));
    header.number(static_cast<uint32_t>(plan.type));
    header.number(position.value().value_or(0));
    position = (position + bytes).align_up(alignment);
    if (!position.value())
      return make_error(ErrorCode::kInvalidArgument, "tensor {}: the file's size overflows",
                        printable(plan.name));
    Tensor named;
    named.name = plan.name;
    names.push_back(std::move(named));
    placed.push_back({std::move(plan.name), bytes, *position.value()});
  }
  header.pad_to(alignment);
  if (auto table = TensorTable::create(std::move(names), path.string()); !table.ok())
    return Error{ErrorCode::kInvalidArgument, table.error().message};
  LANTERN_ASSIGN(base::AtomicFile file, base::AtomicFile::create(path));
  LANTERN_TRY(file.write(header.text()));
  return GgufWriter(std::move(file), std::move(placed));
}

Status GgufWriter::write(size_t index, std::span<const std::byte> bytes) {
  if (index != current_ || index >= tensors_.size() ||
      bytes.size() > tensors_[index].bytes - written_)
    return make_error(
        ErrorCode::kInvalidArgument, "tensor {}: {} bytes of data are out of order or too many",
        index < tensors_.size() ? printable(tensors_[index].name) : "past the last", bytes.size());
  LANTERN_TRY(file_.write(bytes));
  written_ += bytes.size();
  position_ += bytes.size();
  const Placed& tensor = tensors_[current_];
  if (written_ < tensor.bytes) return {};
  if (position_ < tensor.end) LANTERN_TRY(file_.write(std::string(tensor.end - position_, '\0')));
  position_ = tensor.end;
  written_ = 0;
  ++current_;
  return {};
}

Status GgufWriter::commit() {
  if (current_ != tensors_.size())
    return make_error(ErrorCode::kInvalidArgument, "tensor {}: its data was not written in full",
                      printable(tensors_[current_].name));
  return file_.commit();
}

}  // namespace lantern::format
