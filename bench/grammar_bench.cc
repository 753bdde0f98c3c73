// grammar_bench suite DIR [--verbose]        JSON-Schema-Test-Suite's tests (a draft's folder)
// grammar_bench schemas DIR [--verbose]      jsonschemabench: its maskbench/data, or data/<set>
// grammar_bench masks TOKENIZER.json DIR     masks over a byte-level vocabulary, along the valid
//                                            instances of maskbench/data in DIR
//
// The first two compile every schema and check the instances that come with it: of an accepted
// schema each valid instance must be generated in canonical form (with its members in some order,
// as documents do not know the schema's), and no invalid one. They print what was refused, by
// reason, what went wrong, and how long compiling took. `masks` prints the time of a mask and an
// accepted token, median and 99th percentile, on one thread.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/grammar.h"
#include "text/grammar/testing.h"
#include "text/piece_bytes.h"

namespace {

using lantern::Result;
using lantern::base::OrderedJson;
using lantern::text::Grammar;
using lantern::text::GrammarMatcher;
using lantern::text::GrammarPtr;
using lantern::text::GrammarVocabulary;
using lantern::text::TokenId;
using lantern::text::grammar::JsonGenerator;

/// Processor time of this thread, so that other programs on the machine do not count.
double now_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Tally {
  int schemas = 0, accepted = 0;
  int valid = 0, valid_missed = 0, invalid = 0, invalid_made = 0;
  std::map<std::string, int> refusals;
  std::vector<double> compile_us;
};

/// The part of a message that is the same for all schemas.
std::string reason_of(const std::string& message) {
  const size_t comma = message.find(": ");
  std::string reason = comma == std::string::npos ? message : message.substr(comma + 2);
  return reason.substr(0, 90);
}

void check_schema(const std::string& name, const OrderedJson& schema, const OrderedJson& tests,
                  bool verbose, Tally& tally) {
  ++tally.schemas;
  const double begin = now_us();
  const Result<GrammarPtr> grammar = Grammar::from_json_schema(schema);
  tally.compile_us.push_back(now_us() - begin);
  if (!grammar.ok()) {
    const bool admits_nothing =
        grammar.error().message.find("nothing can satisfy") != std::string::npos;
    ++tally.refusals[reason_of(grammar.error().message)];
    if (verbose) fmt::print("refused  {}: {}\n", name, grammar.error().message);
    if (admits_nothing)
      for (const OrderedJson& test : tests)
        if (test["valid"].get<bool>()) fmt::print("MISSED   {}: it admits nothing\n", name);
    return;
  }
  ++tally.accepted;
  JsonGenerator generator(*grammar);
  for (const OrderedJson& test : tests) {
    const bool valid = test["valid"].get<bool>();
    const bool made = generator.generate(test["data"]).has_value();
    ++(valid ? tally.valid : tally.invalid);
    if (valid == made) continue;
    ++(valid ? tally.valid_missed : tally.invalid_made);
    if (verbose)
      fmt::print("{}  {}: {} {}\n", valid ? "MISSED " : "INVALID", name,
                 test.value("description", ""), test["data"].dump().substr(0, 200));
  }
}

double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(p * static_cast<double>(values.size())))];
}

int report(Tally& tally) {
  std::vector<std::pair<int, std::string>> refusals;
  for (const auto& [reason, n] : tally.refusals) refusals.emplace_back(n, reason);
  std::ranges::sort(refusals, std::greater());
  for (size_t i = 0; i < std::min<size_t>(refusals.size(), 40); ++i)
    fmt::print("{:5} {}\n", refusals[i].first, refusals[i].second);
  fmt::print("{} of {} schemas accepted ({:.1f} %)\n", tally.accepted, tally.schemas,
             100.0 * tally.accepted / std::max(1, tally.schemas));
  fmt::print("valid instances: {}, {} not generated; invalid: {}, {} generated\n", tally.valid,
             tally.valid_missed, tally.invalid, tally.invalid_made);
  fmt::print("compiling, ms: median {:.3f}, p99 {:.3f}, most {:.3f}\n",
             percentile(tally.compile_us, 0.5) / 1e3, percentile(tally.compile_us, 0.99) / 1e3,
             percentile(tally.compile_us, 1) / 1e3);
  return 0;
}

std::vector<std::filesystem::path> json_files(const std::string& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".json") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

std::optional<OrderedJson> parse(const std::filesystem::path& path) {
  auto json = lantern::base::parse_ordered_json(read_file(path), path.filename().string());
  if (json.ok()) return *std::move(json);
  fmt::print("unread   {}\n", json.error().message);
  return std::nullopt;
}

int run_suite(const std::string& folder, bool verbose) {
  Tally tally;
  for (const auto& path : json_files(folder)) {
    const auto groups = parse(path);
    if (!groups) continue;
    for (const OrderedJson& group : *groups)
      check_schema(path.stem().string() + ": " + group["description"].get<std::string>(),
                   group["schema"], group["tests"], verbose, tally);
  }
  return report(tally);
}

int run_schemas(const std::string& folder, bool verbose) {
  Tally tally;
  for (const auto& path : json_files(folder)) {
    const auto document = parse(path);
    if (!document) continue;
    const bool with_tests = document->is_object() && document->contains("schema") &&
                            document->contains("tests") && document->contains("meta");
    check_schema(path.stem().string(), with_tests ? (*document)["schema"] : *document,
                 with_tests ? (*document)["tests"] : OrderedJson::array(), verbose, tally);
  }
  return report(tally);
}

std::vector<std::string> byte_level_tokens(const std::string& path) {
  const auto json = lantern::base::Json::parse(read_file(path));  // an ordered one is quadratic
  std::vector<std::string> tokens;
  for (const auto& [spelling, id] : json["model"]["vocab"].items()) {
    const auto i = id.get<size_t>();
    if (tokens.size() <= i) tokens.resize(i + 1);
    lantern::text::append_piece_bytes(lantern::text::TokenizerKind::kByteLevelBpe, spelling,
                                      tokens[i]);
  }
  return tokens;
}

/// The longest token at each place.
std::vector<TokenId> greedy_tokens(std::string_view text,
                                   const std::map<std::string, TokenId, std::less<>>& ids,
                                   size_t longest) {
  std::vector<TokenId> out;
  while (!text.empty()) {
    size_t n = std::min(longest, text.size());
    auto found = ids.find(text.substr(0, n));
    while (found == ids.end() && n > 1) found = ids.find(text.substr(0, --n));
    if (found == ids.end()) return {};
    out.push_back(found->second);
    text.remove_prefix(n);
  }
  return out;
}

int run_masks(const std::string& tokenizer, const std::string& folder) {
  const std::vector<std::string> tokens = byte_level_tokens(tokenizer);
  std::map<std::string, TokenId, std::less<>> ids;
  size_t longest = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].empty()) ids.emplace(tokens[i], static_cast<TokenId>(i));
    longest = std::max(longest, std::min<size_t>(tokens[i].size(), 32));
  }
  double begin = now_us();
  const auto vocabulary = GrammarVocabulary::create(tokens, std::vector<TokenId>{0});
  fmt::print("{} tokens, laid out in {:.0f} ms\n", tokens.size(), (now_us() - begin) / 1e3);
  std::vector<double> mask_us, accept_us;
  double worst = 0;
  std::string worst_name;
  for (const auto& path : json_files(folder)) {
    const auto document = parse(path);
    if (!document || !document->contains("tests")) continue;
    const Result<GrammarPtr> grammar = Grammar::from_json_schema((*document)["schema"]);
    if (!grammar.ok()) continue;
    JsonGenerator generator(*grammar);
    for (const OrderedJson& test : (*document)["tests"]) {
      if (!test["valid"].get<bool>()) continue;
      const auto text = generator.generate(test["data"]);
      if (!text) continue;
      GrammarMatcher matcher(*grammar, vocabulary);
      for (const TokenId id : greedy_tokens(*text, ids, longest)) {
        begin = now_us();
        if (!matcher.mask().ok()) return 1;
        mask_us.push_back(now_us() - begin);
        if (mask_us.back() > worst) worst = mask_us.back(), worst_name = path.stem().string();
        begin = now_us();
        if (!matcher.accept(id).ok()) return 1;
        accept_us.push_back(now_us() - begin);
      }
    }
  }
  fmt::print(
      "{} masks, us: median {:.2f}, p90 {:.1f}, p99 {:.1f}, p99.9 {:.1f}, most {:.0f} ({})\n",
      mask_us.size(), percentile(mask_us, 0.5), percentile(mask_us, 0.9), percentile(mask_us, 0.99),
      percentile(mask_us, 0.999), worst, worst_name);
  fmt::print("accepting a token, us: median {:.2f}, p99 {:.1f}\n", percentile(accept_us, 0.5),
             percentile(accept_us, 0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool verbose = std::ranges::find(args, "--verbose") != args.end();
  if (args.size() >= 2 && args[0] == "suite") return run_suite(args[1], verbose);
  if (args.size() >= 2 && args[0] == "schemas") return run_schemas(args[1], verbose);
  if (args.size() >= 3 && args[0] == "masks") return run_masks(args[1], args[2]);
  fmt::print(stderr, "grammar_bench suite|schemas DIR [--verbose] | masks TOKENIZER.json DIR\n");
  return 2;
}
