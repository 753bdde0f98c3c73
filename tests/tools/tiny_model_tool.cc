// Writes engine::TinyModel as FOLDER/tiny.gguf, with a chat template of one's own:
//   tiny_model_tool TEMPLATE.jinja FOLDER
#include <cstdio>
#include <fstream>
#include <iterator>

#include "engine/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: tiny_model_tool TEMPLATE.jinja FOLDER\n");
    return 2;
  }
  std::ifstream in(argv[1]);
  lantern::engine::TinyModel tiny;
  tiny.chat_template = {std::istreambuf_iterator<char>(in), {}};
  tiny.context = 4096;
  const lantern::format::TemporaryFolder folder;
  const std::filesystem::path made = tiny.write(folder);
  std::error_code error;
  if (!tiny.chat_template.empty() && !made.empty())
    std::filesystem::copy_file(made, std::filesystem::path(argv[2]) / "tiny.gguf", error);
  if (tiny.chat_template.empty() || made.empty() || error) {
    std::fprintf(stderr, "tiny_model_tool: nothing was written\n");
    return 1;
  }
  return 0;
}
