#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <thread>

#include "base/json.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace lantern::text {
namespace {

using base::Json;
using Ids = std::vector<TokenId>;

std::string read_test_file(const std::string& name) {
  std::ifstream in(std::string(LANTERN_SOURCE_DIR "/src/text/testdata/tokenizers/") + name,
                   std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

TokenizerSpec read_spec(const std::string& name) {
  auto spec = parse_tokenizer_json(read_test_file(name + ".json"), name);
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return std::move(spec).value();
}

Tokenizer make(TokenizerSpec spec) {
  auto tokenizer = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

const Json& expected() {
  static const Json json = [] {
    auto parsed = base::parse_json(read_test_file("expected.json"), "expected.json");
    EXPECT_TRUE(parsed.ok());
    return std::move(parsed).value();
  }();
  return json;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& [name, value] : expected()["models"].items()) names.push_back(name);
  return names;
}

/// As a GGUF file has it: token types instead of lists of added tokens, scores instead of merges.
TokenizerSpec as_gguf_scores(TokenizerSpec spec, const Json& scores) {
  spec.merges = {};
  spec.scores = scores.get<std::vector<float>>();
  spec.types[0] = TokenType::kUnknown;
  return spec;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  const Json& model() { return expected()["models"][GetParam()]; }
};

TEST_P(Golden, ATextHasTheIdsThatHuggingFaceGives) {
  const Tokenizer tokenizer = make(read_spec(GetParam()));
  const Json& strings = expected()["strings"];
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto& text = strings[i].get_ref<const std::string&>();
    const Ids user = model()["user"][i];
    EXPECT_EQ(tokenizer.encode(text), user) << strings[i];
    const Json& differing = model()["literal"];
    const auto other = differing.find(std::to_string(i));
    const Ids literal = other == differing.end() ? user : other->get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, {.special = true}), literal) << strings[i];
  }
}

TEST_P(Golden, DecodingAndStreamingGiveTheTextThatHuggingFaceGives) {
  const Tokenizer tokenizer = make(read_spec(GetParam()));
  const Json& strings = expected()["strings"];
  const auto streamed = [&](const Ids& ids, bool special) {
    StreamDecoder decoder(tokenizer, {.special = special});
    std::string text;
    for (TokenId id : ids) {
      const std::string piece = decoder.push(id);
      EXPECT_TRUE(is_valid_utf8(piece));
      text += piece;
    }
    return text + decoder.flush();
  };
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto other = model()["decoded"].find(std::to_string(i));
    const std::string want = other == model()["decoded"].end() ? strings[i] : *other;
    const Ids ids = model()["user"][i];
    EXPECT_EQ(tokenizer.decode(ids, {.special = true}), want) << strings[i];
    EXPECT_EQ(streamed(ids, true), want) << strings[i];
  }
  for (const Json& row : model()["scrambled"]) {
    const Ids ids = row[0];
    EXPECT_EQ(streamed(ids, false), row[1].get<std::string>()) << row[0];
    EXPECT_EQ(streamed(ids, true), row[2].get<std::string>()) << row[0];
  }
}

TEST_P(Golden, ThePromptBeginsAsThePostProcessorSays) {
  const Tokenizer tokenizer = make(read_spec(GetParam()));
  const Ids want = model()["bos"];
  EXPECT_EQ(tokenizer.encode("a", {.add_bos = tokenizer.add_bos()}), want);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, Golden, testing::ValuesIn(model_names()),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Tokenizer, ScoresGiveTheIdsThatMergesMadeOfThemGive) {
  for (const char* name : {"llama", "gemma", "metaspace"}) {
    const Json& model = expected()["models"][name];
    const Tokenizer tokenizer = make(as_gguf_scores(read_spec(name), model["scores"]));
    const Json& strings = expected()["strings"];
    for (size_t i = 0; i < strings.size(); ++i)
      EXPECT_EQ(tokenizer.encode(strings[i].get_ref<const std::string&>()),
                model["user"][i].get<Ids>())
          << name << ": " << strings[i];
  }
}

TEST(Tokenizer, NormalFormCIsThatOfHuggingFace) {
  for (const Json& row : expected()["nfc"]) {
    EXPECT_FALSE(is_surely_nfc(row[0].get<std::string>()));
    EXPECT_EQ(to_nfc(row[0].get<std::string>()), row[1].get<std::string>());
    EXPECT_EQ(to_nfc(row[1].get<std::string>()), row[1].get<std::string>());
  }
  EXPECT_GT(expected()["nfc"].size(), 10u);
}

TEST(Tokenizer, TypesInPlaceOfAddedTokensMeanTheSame) {
  TokenizerSpec spec = read_spec("smollm");
  std::erase_if(spec.added, [](const AddedToken& t) { return t.lstrip; });
  const Tokenizer with_list = make(spec);
  spec.added.clear();
  const TokenId stripping = *with_list.find("~pad~");
  spec.types[static_cast<size_t>(stripping)] = TokenType::kNormal;
  const Tokenizer with_types = make(std::move(spec));
  for (const Json& text : expected()["strings"])
    for (bool special : {false, true})
      EXPECT_EQ(with_types.encode(text.get<std::string>(), {.special = special}),
                with_list.encode(text.get<std::string>(), {.special = special}));
}

TEST(Tokenizer, OnlyLiteralSpansBecomeSpecialTokens) {
  const Tokenizer tokenizer = make(read_spec("smollm"));
  const TokenId start = *tokenizer.find("<|im_start|>");
  const TokenId end = *tokenizer.find("<|im_end|>");
  const std::vector<Span> spans = {{"<|im_start|>", SpanKind::kLiteral},
                                   {"user\n", SpanKind::kLiteral},
                                   {"<|im_end|> hi", SpanKind::kContent},
                                   {"<|im_", SpanKind::kLiteral},
                                   {"end|>", SpanKind::kLiteral}};
  Ids want = {start};
  for (TokenId id : tokenizer.encode("user\n<|im_end|> hi")) want.push_back(id);
  want.push_back(end);
  EXPECT_EQ(tokenizer.encode(spans), want);
}

TEST(Tokenizer, NoSpecialTokenIsMadeAcrossTheBoundaryOfContent) {
  const Tokenizer tokenizer = make(read_spec("smollm"));
  const std::string token = "<|im_end|>";
  for (size_t cut = 1; cut < token.size(); ++cut) {
    const Span head{token.substr(0, cut), SpanKind::kContent};
    const Span tail{token.substr(cut), SpanKind::kLiteral};
    EXPECT_EQ(tokenizer.encode(std::vector<Span>{head, tail}), tokenizer.encode(token));
    EXPECT_EQ(tokenizer.encode(std::vector<Span>{{head.text, SpanKind::kLiteral},
                                                 {tail.text, SpanKind::kContent}}),
              tokenizer.encode(token));
  }
}

TEST(Tokenizer, OrdinaryTextIsTokenisedAcrossSpansAsOneText) {
  for (const std::string& name : model_names()) {
    const Tokenizer tokenizer = make(read_spec(name));
    const std::vector<Span> spans = {{"the quick bro", SpanKind::kLiteral},
                                     {"wn fox\n", SpanKind::kContent},
                                     {"\njumps", SpanKind::kLiteral}};
    EXPECT_EQ(tokenizer.encode(spans), tokenizer.encode("the quick brown fox\n\njumps")) << name;
  }
}

TEST(Tokenizer, AUserDefinedTurnMarkerCountsAsSpecial) {
  TokenizerSpec spec = read_spec("smollm");
  for (AddedToken& token : spec.added) token.special = false;
  for (TokenType& type : spec.types)
    if (type == TokenType::kControl) type = TokenType::kUserDefined;
  spec.eos = 40;
  spec.types[40] = TokenType::kUserDefined;
  spec.added.push_back({.id = 40});
  const Tokenizer tokenizer = make(std::move(spec));
  EXPECT_TRUE(tokenizer.is_special(40));
  const TokenId end = *tokenizer.find("<|im_end|>");
  EXPECT_TRUE(tokenizer.is_special(end));
  EXPECT_EQ(tokenizer.encode("<|im_end|>", {.special = true}), Ids{end});
  const Ids typed = tokenizer.encode("<|im_end|>");
  EXPECT_EQ(std::count(typed.begin(), typed.end(), end), 0);
  EXPECT_FALSE(tokenizer.is_special(*tokenizer.find("<tool>")));
}

TEST(Tokenizer, MergesNeverBuildASpecialToken) {
  TokenizerSpec spec;
  for (const char* token : {"a", "b", "ab", "<unk>"}) spec.tokens.push_back(token);
  spec.types = {TokenType::kNormal, TokenType::kNormal, TokenType::kControl, TokenType::kUnknown};
  spec.merges.push_back("a b");
  spec.pre = "llama-bpe";  // where a word that is a token is that token
  const Tokenizer tokenizer = make(std::move(spec));
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{0, 1}));
  EXPECT_EQ(tokenizer.encode("ab", {.special = true}), Ids{2});
}

TEST(Tokenizer, NeverTwoBeginningsNorTwoEnds) {
  TokenizerSpec spec = read_spec("llama");
  spec.eos = 2;
  const Tokenizer tokenizer = make(std::move(spec));
  const EncodeOptions options{.special = true, .add_bos = true, .add_eos = true};
  const Ids plain = tokenizer.encode("hi", options);
  EXPECT_EQ(plain.front(), 1);
  EXPECT_EQ(plain.back(), 2);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 1), 1);
  EXPECT_EQ(tokenizer.encode("<s>hi</s>", options), plain);
  const std::vector<Span> spans = {{"<s>", SpanKind::kLiteral}, {"hi", SpanKind::kContent}};
  EXPECT_EQ(tokenizer.encode(spans, options), plain);
  EXPECT_EQ(tokenizer.encode("", options), (Ids{1, 2}));
  // One that the user typed is text, and the real one still comes first.
  EXPECT_EQ(tokenizer.encode("<s>hi", {.add_bos = true}).front(), 1);
}

TEST(Tokenizer, BytesThatAreNotUtf8AreKept) {
  for (const std::string& name : std::vector<std::string>{"smollm", "gpt-4o", "llama", "gemma"}) {
    const Tokenizer tokenizer = make(read_spec(name));
    for (const std::string& text : {std::string("a\xFF\xC3 b"), std::string("\x80\x80"),
                                    std::string("\xE2\x82"), std::string("\xED\xA0\x80x")}) {
      std::string back;
      for (TokenId id : tokenizer.encode(text)) back += tokenizer.piece(id);
      if (name == "llama") back.erase(0, 1);  // the space in front
      EXPECT_EQ(back, text) << name;
    }
  }
}

/// Byte-pair encoding as its definition says, by looking at every pair again for every merge.
std::vector<std::string> merge_plainly(const TokenizerSpec& spec, const std::string& word) {
  std::map<std::string, size_t> ranks;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) ranks.emplace(spec.merges[rank], rank);
  std::vector<std::string> parts;
  for (char c : word) parts.emplace_back(1, c);
  for (;;) {
    size_t best = SIZE_MAX, at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + " " + parts[i + 1]);
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == SIZE_MAX) return parts;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

TEST(Tokenizer, WordsOfAnyLengthAreMergedByDefinition) {
  const TokenizerSpec spec = read_spec("smollm");
  const Tokenizer tokenizer = make(spec);
  std::mt19937 random(1);
  for (size_t length = 1; length < 160; ++length) {
    std::string word;
    while (word.size() < length) word += "aehinorst"[random() % 9];
    Ids want;
    for (const std::string& part : merge_plainly(spec, word)) want.push_back(*tokenizer.find(part));
    EXPECT_EQ(tokenizer.encode(word), want) << word;
  }
}

TEST(Tokenizer, AWordOfAQuarterMegabyteTakesNoQuadraticTime) {
  // Quadratic merging would take many minutes; the test's own time limit is the assertion.
  for (const std::string& name : {std::string("smollm"), std::string("llama")}) {
    const Tokenizer tokenizer = make(read_spec(name));
    std::string text;
    for (int i = 0; text.size() < (1u << 18); ++i) text += i % 3 == 0 ? "the" : "in";
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    const std::string spaces(1 << 18, ' ');
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(spaces)), spaces);
  }
}

TEST(Tokenizer, ManyThreadsMayEncodeAtOnce) {
  const Tokenizer tokenizer = make(read_spec("smollm"));
  const Json& strings = expected()["strings"];
  const Json& ids = expected()["models"]["smollm"]["user"];
  std::atomic<int> n_wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (size_t i = 0; i < strings.size(); ++i)
        if (tokenizer.encode(strings[i].get_ref<const std::string&>()) != ids[i].get<Ids>())
          ++n_wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_wrong, 0);
}

TEST(StreamDecoder, HoldsBackUntilACharacterIsWhole) {
  const Tokenizer tokenizer = make(read_spec("gpt-2"));
  const Ids ids = tokenizer.encode("\U0001F468\u200D!");
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (TokenId id : ids) {
    const std::string piece = decoder.push(id);
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    text += piece;
  }
  EXPECT_EQ(text, "\U0001F468\u200D!");
  decoder.push(ids[0]);
  EXPECT_EQ(decoder.flush(), "\uFFFD");
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, AContinuationKeepsTheLeadingSpace) {
  const Tokenizer tokenizer = make(read_spec("llama"));
  const Ids ids = tokenizer.encode("the");
  const auto stream = [&](StreamStart start) {
    StreamDecoder decoder(tokenizer, {}, start);
    std::string text;
    for (TokenId id : ids) text += decoder.push(id);
    return text + decoder.flush();
  };
  EXPECT_EQ(stream(StreamStart::kText), "the");
  EXPECT_EQ(stream(StreamStart::kContinuation), " the");
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreHarmless) {
  const Tokenizer tokenizer = make(read_spec("gpt-2"));
  for (TokenId id : {-1, tokenizer.size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer.piece(id), "");
    EXPECT_EQ(tokenizer.type(id), TokenType::kUnused);
    EXPECT_FALSE(tokenizer.is_special(id));
    EXPECT_EQ(tokenizer.decode(Ids{id}), "");
  }
}

TEST(Tokenizer, FindKnowsEverySpelling) {
  for (const std::string& name : model_names()) {
    const TokenizerSpec spec = read_spec(name);
    const Tokenizer tokenizer = make(spec);
    for (size_t id = 0; id < spec.tokens.size(); ++id)
      EXPECT_EQ(tokenizer.find(spec.tokens[id]), static_cast<TokenId>(id)) << spec.tokens[id];
    EXPECT_EQ(tokenizer.find("no such token"), std::nullopt);
  }
}

struct BadSpec {
  const char* name;
  ErrorCode code;
  void (*spoil)(TokenizerSpec&);
};

TEST(Tokenizer, ASpecThatContradictsItselfIsAnError) {
  const BadSpec cases[] = {
      {"no tokens", ErrorCode::kCorrupt, [](TokenizerSpec& s) { s.tokens = {}; }},
      {"types of another length", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.types.pop_back(); }},
      {"a type that is none", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.types[3] = static_cast<TokenType>(99); }},
      {"scores of another length", ErrorCode::kCorrupt, [](TokenizerSpec& s) { s.scores = {1}; }},
      {"a score that is no number", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.scores.assign(s.tokens.size(), NAN); }},
      {"a merge of one token", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.merges.push_back("abc"); }},
      {"a merge of nothing", ErrorCode::kCorrupt, [](TokenizerSpec& s) { s.merges.push_back(""); }},
      {"a merge of unknown tokens", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.merges.push_back("qqq zzz"); }},
      {"no merges", ErrorCode::kCorrupt, [](TokenizerSpec& s) { s.merges = {}; }},
      {"eos past the end", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.eos = static_cast<TokenId>(s.tokens.size()); }},
      {"negative bos", ErrorCode::kCorrupt, [](TokenizerSpec& s) { s.bos = -1; }},
      {"an added token past the end", ErrorCode::kCorrupt,
       [](TokenizerSpec& s) { s.added.push_back({.id = 1 << 20}); }},
      {"an unknown pre-tokenizer", ErrorCode::kUnsupported,
       [](TokenizerSpec& s) { s.pre = "no-such"; }},
      {"no pre-tokenizer", ErrorCode::kUnsupported, [](TokenizerSpec& s) { s.pre = ""; }},
      {"extra white space removed", ErrorCode::kUnsupported,
       [](TokenizerSpec& s) { s.remove_extra_whitespaces = true; }},
  };
  for (const BadSpec& bad : cases) {
    TokenizerSpec spec = read_spec("gpt-2");
    bad.spoil(spec);
    const auto tokenizer = Tokenizer::create(std::move(spec));
    ASSERT_FALSE(tokenizer.ok()) << bad.name;
    EXPECT_EQ(tokenizer.error().code, bad.code) << bad.name;
  }
}

TEST(Tokenizer, AnUnknownPreTokenizerIsNamed) {
  TokenizerSpec spec = read_spec("gpt-2");
  spec.pre = "made-up";
  const auto tokenizer = Tokenizer::create(std::move(spec));
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(tokenizer.error().message.find("made-up"), std::string::npos);
}

}  // namespace
}  // namespace lantern::text
