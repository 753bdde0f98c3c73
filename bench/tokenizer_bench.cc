// tokenizer_bench TOKENIZER.json TEXT [--lines] [--special] [--ids FILE] [--repeat N]
//
// Makes the tokenizer, encodes TEXT (as one text, or line by line) and prints one line of JSON:
// milliseconds to parse and to create, megabytes per second of encoding and decoding on one
// thread (processor time, the best of N). --ids writes the tokens as little-endian int32, with -1
// after every line in --lines.
#include <fmt/core.h>

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace {

using lantern::text::TokenId;
using lantern::text::Tokenizer;

/// Processor time of this thread, so that other programs on the machine do not count.
double now_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}
double ms_since(double start) { return now_ms() - start; }

std::string read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Options {
  bool lines = false;
  bool special = false;
  const char* ids_path = nullptr;
  int repeat = 3;
};

std::vector<std::string_view> texts_of(std::string_view text, bool lines) {
  if (!lines) return {text};
  std::vector<std::string_view> all;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    all.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

int measure(const char* tokenizer_path, const char* text_path, const Options& options) {
  const std::string json = read_file(tokenizer_path);
  const std::string text = read_file(text_path);
  auto start = now_ms();
  auto spec = lantern::text::parse_tokenizer_json(json, tokenizer_path);
  const double parse_ms = ms_since(start);
  if (!spec.ok()) return fmt::print(stderr, "{}\n", spec.error().message), 2;
  start = now_ms();
  auto tokenizer = Tokenizer::create(std::move(spec).value());
  const double create_ms = ms_since(start);
  if (!tokenizer.ok()) return fmt::print(stderr, "{}\n", tokenizer.error().message), 2;

  double encode_ms = 1e300, decode_ms = 1e300;
  size_t n_tokens = 0;
  std::vector<TokenId> all;
  for (int round = 0; round < options.repeat; ++round) {
    all.clear();
    start = now_ms();
    for (std::string_view line : texts_of(text, options.lines)) {
      const auto ids = tokenizer->encode(line, {.special = options.special});
      all.insert(all.end(), ids.begin(), ids.end());
      if (options.lines) all.push_back(-1);
    }
    encode_ms = std::min(encode_ms, ms_since(start));
    start = now_ms();
    const std::string decoded = tokenizer->decode(all, {.special = true});
    decode_ms = std::min(decode_ms, ms_since(start));
    n_tokens = all.size();
  }
  if (options.ids_path != nullptr) {
    std::ofstream out(options.ids_path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(all.data()),
              static_cast<std::streamsize>(all.size() * sizeof(TokenId)));
  }
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  fmt::print(
      "{{\"parse_ms\": {:.1f}, \"create_ms\": {:.1f}, \"encode_mb_s\": {:.1f}, "
      "\"decode_mb_s\": {:.1f}, \"bytes\": {}, \"tokens\": {}}}\n",
      parse_ms, create_ms, megabytes / encode_ms * 1e3, megabytes / decode_ms * 1e3, text.size(),
      n_tokens);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr,
               "usage: tokenizer_bench TOKENIZER.json TEXT [--lines] [--special] [--ids FILE] "
               "[--repeat N]\n");
    return 2;
  }
  Options options;
  for (int i = 3; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--lines") options.lines = true;
    if (flag == "--special") options.special = true;
    if (flag == "--ids" && i + 1 < argc) options.ids_path = argv[++i];
    if (flag == "--repeat" && i + 1 < argc) options.repeat = std::max(1, std::atoi(argv[++i]));
  }
  return measure(argv[1], argv[2], options);
}
