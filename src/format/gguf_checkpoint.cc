// A Checkpoint over one GGUF file, or over all parts of a split one.
#include <fmt/format.h>

#include <optional>
#include <string>

#include "format/file_checkpoint.h"
#include "format/gguf.h"
#include "format/tensor_table.h"

namespace lantern::format {
namespace {

/// NAME-00002-of-00003.gguf taken apart.
struct PartName {
  std::string prefix;  // NAME
  int64_t part = 0;    // from 1
  int64_t count = 0;

  [[nodiscard]] std::string of(int64_t number) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
  }
};

std::optional<PartName> parse_part_name(std::string_view name) {
  constexpr std::string_view kShape = "-NNNNN-of-NNNNN.gguf";
  if (name.size() <= kShape.size()) return std::nullopt;
  PartName result;
  result.prefix = name.substr(0, name.size() - kShape.size());
  std::string_view tail = name.substr(name.size() - kShape.size());
  int64_t* number = &result.part;
  for (size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'N') {
      if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
      *number = *number * 10 + (tail[i] - '0');
    } else {
      if (tail[i] != kShape[i]) return std::nullopt;
      if (kShape[i] == 'o') number = &result.count;
    }
  }
  return result;
}

struct Part {
  std::unique_ptr<Source> source;
  GgufHeader header;
};

Result<Part> open_part(const Folder& folder, const std::string& name, const GgufLimits& limits) {
  Part part;
  LANTERN_ASSIGN(part.source, folder.open(name));
  LANTERN_ASSIGN(part.header, parse_gguf(*part.source, limits));
  return part;
}

Status check_split_keys(const Part& part, int64_t number, int64_t count) {
  const Metadata& metadata = part.header.metadata;
  LANTERN_ASSIGN(int64_t its_count, metadata.get_int("split.count", 0, 65535));
  LANTERN_ASSIGN(int64_t its_number, metadata.get_int("split.no", 0, 65535));
  if (its_count != count || its_number != number - 1)
    return make_error(ErrorCode::kCorrupt,
                      "{}: its metadata says part {} of {}, its name part {} of {}",
                      part.source->name(), its_number + 1, its_count, number, count);
  return {};
}

Result<std::unique_ptr<Checkpoint>> open_split(const Folder& folder, const PartName* name,
                                               Part given, const GgufLimits& limits) {
  const std::string given_name = given.source->name();
  LANTERN_ASSIGN(const int64_t count, given.header.metadata.get_int("split.count", 0, 65535));
  if (static_cast<uint64_t>(count) > limits.parts)
    return make_error(ErrorCode::kTooLarge, "{}: split into {} parts, at most {} are read",
                      given_name, count, limits.parts);
  if (name == nullptr || name->count != count || name->part < 1 || name->part > count)
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: one of {} parts; its name must end in -00001-of-{:05}.gguf or alike, so "
                      "that the others can be found",
                      given_name, count, count);
  Metadata metadata;
  std::vector<Tensor> tensors;
  std::vector<FileCheckpoint::File> files;
  for (int64_t number = 1; number <= count; ++number) {
    const std::string part_name = name->of(number);
    Part part;
    if (number == name->part) {
      part = std::move(given);
    } else {
      LANTERN_ASSIGN(part, open_part(folder, part_name, limits));
    }
    LANTERN_TRY(check_split_keys(part, number, count));
    for (Tensor& tensor : part.header.tensors) {
      tensor.file = static_cast<uint32_t>(number - 1);
      tensors.push_back(std::move(tensor));
    }
    if (tensors.size() > limits.tensors)
      return make_error(ErrorCode::kTooLarge, "{}: tensor count: {} so far, at most {} are read",
                        part.source->name(), tensors.size(), limits.tensors);
    if (number == 1) metadata = std::move(part.header.metadata);
    files.push_back({folder.path() / part_name, std::move(part.source)});
  }
  LANTERN_ASSIGN(int64_t n_tensors, metadata.get_int_or("split.tensors.count", 0, INT32_MAX,
                                                        static_cast<int64_t>(tensors.size())));
  if (n_tensors != static_cast<int64_t>(tensors.size()))
    return make_error(ErrorCode::kCorrupt, "{}: key split.tensors.count: {}, the parts have {}",
                      files[0].source->name(), n_tensors, tensors.size());
  LANTERN_ASSIGN(TensorTable table,
                 TensorTable::create(std::move(tensors), files[0].source->name()));
  return std::unique_ptr<Checkpoint>(
      std::make_unique<FileCheckpoint>(std::move(metadata), std::move(table), std::move(files)));
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf(const std::filesystem::path& path,
                                              const GgufLimits& limits) {
  return open_gguf(DiskFolder(path.parent_path()), path.filename().string(), limits);
}

Result<std::unique_ptr<Checkpoint>> open_gguf(const Folder& folder, const std::string& name,
                                              const GgufLimits& limits) {
  LANTERN_ASSIGN(Part part, open_part(folder, name, limits));
  LANTERN_ASSIGN(int64_t count, part.header.metadata.get_int_or("split.count", 0, 65535, 1));
  const std::optional<PartName> part_name = parse_part_name(name);
  if (count > 1)
    return open_split(folder, part_name ? &*part_name : nullptr, std::move(part), limits);
  LANTERN_ASSIGN(TensorTable table,
                 TensorTable::create(std::move(part.header.tensors), part.source->name()));
  std::vector<FileCheckpoint::File> files;
  files.push_back({folder.path() / name, std::move(part.source)});
  return std::unique_ptr<Checkpoint>(std::make_unique<FileCheckpoint>(
      std::move(part.header.metadata), std::move(table), std::move(files)));
}

std::vector<std::string> gguf_part_names(std::string_view name) {
  const std::optional<PartName> part = parse_part_name(name);
  std::vector<std::string> names;
  if (!part || static_cast<uint64_t>(part->count) > GgufLimits().parts) return names;
  for (int64_t number = 1; number <= part->count; ++number) names.push_back(part->of(number));
  return names;
}

}  // namespace lantern::format
