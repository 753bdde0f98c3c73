// A model as far as it is read before its weights are: hyper-parameters, cost, tokenizer, chat
// template and what that says of calls of tools. 'g': a GGUF file. 'h': a Hugging Face folder, its
// files one after another, separated by a line "%%". What is checked besides memory: errors are one
// line, and a text's tokens say the text.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "arch/hf.h"
#include "engine/estimate.h"
#include "engine/text_io.h"
#include "format/temporary_folder.h"

namespace {

using namespace lantern;

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
bool is_good(const Result<T>& read) {
  if (!read.ok()) require(read.error().message.find('\n') == std::string::npos);
  return read.ok();
}

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The last file takes the rest: safetensors may hold the separator.
void write_folder(const std::filesystem::path& folder, std::string_view bytes) {
  constexpr std::string_view kSeparator = "\n%%\n";
  constexpr std::array<const char*, 5> kNames = {"config.json", "tokenizer_config.json",
                                                 "tokenizer.json", "generation_config.json",
                                                 "model.safetensors"};
  for (size_t i = 0; i < kNames.size(); ++i) {
    const size_t end = i + 1 < kNames.size() ? bytes.find(kSeparator) : std::string_view::npos;
    write(folder / kNames[i], bytes.substr(0, end));
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + kSeparator.size());
  }
}

void check_text(const format::Checkpoint& checkpoint) {
  const auto text = engine::TextIo::load(checkpoint);
  if (!is_good(text)) return;
  const text::MessageSyntax& syntax = text->message_syntax();
  require(syntax.calls != nullptr || !syntax.no_calls.empty());
  for (const int32_t id : text->encode_raw("Hello, <|im_start|> 12 \xC3\xA9"))
    require(id >= 0 && id < text->tokenizer().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const format::TemporaryFolder kFolder;
  const bool is_folder = data[0] == 'h';
  const std::filesystem::path path =
      is_folder ? kFolder.path() / "folder" : kFolder.path() / "m.gguf";
  if (is_folder) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
    write_folder(path, bytes);
  } else {
    write(path, bytes);
  }
  const auto checkpoint = arch::open_checkpoint(path);
  if (!is_good(checkpoint)) return 0;
  (void)is_good(engine::model_cost(**checkpoint));
  check_text(**checkpoint);
  return 0;
}
