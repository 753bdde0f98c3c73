// What a LoRA adapter says of itself: a GGUF file's header ('g'), or PEFT's adapter_config.json, a
// zero byte, and lines of tensor name, rows and columns ('p'). What is checked besides memory: what
// is read consists of pairs of one rank with finite scales, and errors are one line.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arch/lora_file.h"
#include "base/json.h"
#include "format/gguf.h"
#include "format/hf_folder.h"

namespace {

using namespace lantern;

void require(bool condition) {
  if (!condition) std::abort();
}

class Header final : public format::Checkpoint {
 public:
  Header(format::Metadata metadata, std::vector<format::Tensor> tensors)
      : metadata_(std::move(metadata)), tensors_(std::move(tensors)) {}
  [[nodiscard]] const format::Metadata& metadata() const override { return metadata_; }
  [[nodiscard]] std::span<const format::Tensor> tensors() const override { return tensors_; }
  [[nodiscard]] std::span<const std::filesystem::path> files() const override { return {}; }
  [[nodiscard]] const format::Tensor* find(std::string_view name) const override {
    const auto found = std::ranges::find(tensors_, name, &format::Tensor::name);
    return found == tensors_.end() ? nullptr : &*found;
  }

 protected:
  Status read(const format::Tensor&, uint64_t, std::span<std::byte>) const override { return {}; }

 private:
  format::Metadata metadata_;
  std::vector<format::Tensor> tensors_;
};

std::unique_ptr<Header> from_gguf(std::span<const std::byte> bytes) {
  format::MemorySource source("f.gguf", bytes);
  auto header = format::parse_gguf(source);
  if (!header.ok()) return nullptr;
  return std::make_unique<Header>(std::move(header->metadata), std::move(header->tensors));
}

std::unique_ptr<Header> from_peft(std::string_view text) {
  auto folder = std::make_shared<format::HfFolder>();
  folder->path = "folder";
  folder->is_adapter = true;
  auto config = base::parse_json(text.substr(0, text.find('\0')), "adapter_config.json");
  if (!config.ok() || !config->is_object()) return nullptr;
  folder->config = std::move(*config);
  std::vector<format::Tensor> tensors;
  const size_t zero = std::min(text.find('\0'), text.size() - 1);
  std::istringstream lines{std::string(text.substr(zero + 1))};
  for (format::Tensor tensor; tensors.size() < 64;) {
    int64_t rows = 0, cols = 0;
    if (!(lines >> tensor.name >> rows >> cols)) break;
    tensor.shape = {rows, cols};
    tensors.push_back(tensor);
  }
  auto header = std::make_unique<Header>(format::Metadata("f"), std::move(tensors));
  header->keep_folder(std::move(folder));
  return header;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto rest = std::span(data + 1, size - 1);
  const std::unique_ptr<Header> header =
      data[0] == 'g' ? from_gguf(std::as_bytes(rest))
                     : from_peft({reinterpret_cast<const char*>(rest.data()), rest.size()});
  if (header == nullptr) return 0;
  for (const arch::Spec* spec : arch::all_specs()) {
    const auto file = arch::read_lora_file(*header, *spec);
    if (!file.ok()) {
      require(file.error().message.find('\n') == std::string::npos);
      continue;
    }
    require(!file->parts.empty());
    for (const arch::LoraPart& part : file->parts) {
      require(part.a != nullptr && part.b != nullptr && std::isfinite(part.scale));
      require(part.a->shape.size() == 2 && part.b->shape.size() == 2);
      require(part.a->shape[0] == part.b->shape[1] && part.a->shape[0] >= 1);
      require(part.a->shape[0] <= arch::kLoraRankMax);
    }
  }
  return 0;
}
