#include "text/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "text/grammar/automaton.h"
#include "text/grammar/testing.h"

namespace lantern::text {
namespace {

using ::testing::HasSubstr;

/// Single bytes, then words and fragments of JSON, a special token, and an end.
struct TestVocabulary {
  std::vector<std::string> tokens;
  TokenId end = 0;
  std::shared_ptr<const GrammarVocabulary> vocabulary;

  TestVocabulary() {
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    for (const char* text : {"true",
                             "false",
                             "null",
                             "{\"",
                             "\":",
                             "\": ",
                             "\",\"",
                             "\"}",
                             "},",
                             "[{",
                             "]}",
                             "}]",
                             "abc",
                             " abc",
                             "name",
                             "\"name",
                             "\":\"",
                             "12",
                             "123",
                             "1.5",
                             "é",
                             "日本",
                             "\xE6\x97",
                             "\xA5",
                             "\\n",
                             "\\\"",
                             "\\u00",
                             "1f",
                             "aaaaaaaaaaaaaaaaaaaaaaaa",
                             "a\"b",
                             "  ",
                             " {",
                             "-1",
                             ".0",
                             "e+",
                             "<call>",
                             "<ca",
                             "ll>",
                             "0",
                             "00",
                             "000000"})
      tokens.emplace_back(text);
    tokens.push_back("\xFF<|tool|>");
    tokens.emplace_back();  // an empty one is never allowed
    end = static_cast<TokenId>(tokens.size());
    tokens.emplace_back("</s>");
    vocabulary = GrammarVocabulary::create(tokens, std::vector<TokenId>{end});
  }
};

const TestVocabulary& test_vocabulary() {
  static const TestVocabulary kVocabulary;
  return kVocabulary;
}

bool matches(const GrammarPtr& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar, test_vocabulary().vocabulary);
  return matcher.accept_text(text).ok() && matcher.may_end();
}

GrammarPtr schema(std::string_view text) {
  Result<GrammarPtr> grammar = Grammar::from_json_schema(text);
  EXPECT_TRUE(grammar.ok()) << text << ": " << grammar.error().message;
  return grammar.ok() ? *grammar : *Grammar::literal("");
}

std::string schema_error(std::string_view text) {
  const Result<GrammarPtr> grammar = Grammar::from_json_schema(text);
  return grammar.ok() ? "" : grammar.error().message;
}

GrammarPtr regex(std::string_view text) {
  Result<GrammarPtr> grammar = Grammar::from_regex(text);
  EXPECT_TRUE(grammar.ok()) << text << ": " << grammar.error().message;
  return grammar.ok() ? *grammar : *Grammar::literal("");
}

GrammarPtr gbnf(std::string_view text) {
  Result<GrammarPtr> grammar = Grammar::from_gbnf(text);
  EXPECT_TRUE(grammar.ok()) << text << ": " << grammar.error().message;
  return grammar.ok() ? *grammar : *Grammar::literal("");
}

/// Random walks: at each place a token is in the mask exactly where its bytes can be taken one
/// after the other, and some token always is.
void expect_masks_by_bytes(const GrammarPtr& grammar, uint32_t seed) {
  const TestVocabulary& v = test_vocabulary();
  std::mt19937 random(seed);
  for (int walk = 0; walk < 4; ++walk) {
    GrammarMatcher matcher(grammar, v.vocabulary);
    grammar::Automaton automaton(
        std::shared_ptr<const grammar::Network>(grammar, &grammar->network()));
    auto here = automaton.start();
    std::string text;
    for (int step = 0; step < 40; ++step) {
      const Result<const TokenMask*> mask = matcher.mask();
      ASSERT_TRUE(mask.ok()) << mask.error().message;
      std::vector<TokenId> allowed;
      for (size_t i = 0; i < v.tokens.size(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const bool can = id == v.end ? automaton.may_end(here)
                                     : !v.tokens[i].empty() && automaton.step(here, v.tokens[i]) !=
                                                                   grammar::Automaton::kDead;
        ASSERT_EQ((*mask)->allows(id), can)
            << "token " << i << " \"" << v.tokens[i] << "\" after \"" << text << "\"";
        if (can) allowed.push_back(id);
      }
      const TokenId next = allowed[random() % allowed.size()];
      ASSERT_TRUE(matcher.accept(next).ok());
      if (next == v.end) break;
      here = automaton.step(here, v.tokens[static_cast<size_t>(next)]);
      text += v.tokens[static_cast<size_t>(next)];
    }
  }
}

TEST(GrammarTest, RegexMatchesTheWholeText) {
  const GrammarPtr g = regex("(ab|c)+[0-9]{2,3}x?");
  EXPECT_TRUE(matches(g, "abcab12"));
  EXPECT_TRUE(matches(g, "c123x"));
  EXPECT_FALSE(matches(g, "c1x"));
  EXPECT_FALSE(matches(g, "12"));
  EXPECT_TRUE(matches(regex("^(a|b$)"), "b"));
  EXPECT_FALSE(matches(regex("é."), "é"));
  EXPECT_TRUE(matches(regex("é[^a]\\u{1F600}"), "éb😀"));
}

TEST(GrammarTest, RegexRefusesByName) {
  for (const auto& [pattern, what] :
       std::vector<std::pair<std::string, std::string>>{{"(a)\\1", "back reference"},
                                                        {"a(?=b)", "look-ahead"},
                                                        {"(?<!b)a", "look-behind"},
                                                        {"\\bword", "\\b"},
                                                        {"(a", "( without )"},
                                                        {"a)", "unmatched )"},
                                                        {"[z-a]", "backwards"},
                                                        {"a{3,2}", "backwards"},
                                                        {"*a", "nothing before"},
                                                        {"(a{200}){900}", "more than"}}) {
    const Result<GrammarPtr> g = Grammar::from_regex(pattern);
    ASSERT_FALSE(g.ok()) << pattern;
    EXPECT_THAT(g.error().message, HasSubstr(what)) << pattern;
  }
}

TEST(GrammarTest, GbnfMatches) {
  const GrammarPtr g = gbnf(R"(
    root  ::= "yes" | "no, " reason{1,2} # a comment
    reason ::= [a-z]+ "."
  )");
  EXPECT_TRUE(matches(g, "yes"));
  EXPECT_TRUE(matches(g, "no, it.is."));
  EXPECT_FALSE(matches(g, "no, "));
  // Nesting, and a list written by recursion on its right.
  const GrammarPtr nested = gbnf("root ::= \"(\" root \")\" | [a-z] (\",\" root)?");
  EXPECT_TRUE(matches(nested, "((a,b,(c)))"));
  EXPECT_TRUE(matches(nested, "((a))"));
  EXPECT_FALSE(matches(nested, "((a)"));
  std::string list = "a";
  for (int i = 0; i < 5000; ++i) list += ",a";
  EXPECT_TRUE(matches(gbnf("root ::= [a] tail\ntail ::= \"\" | \",\" [a] tail"), list));
}

TEST(GrammarTest, GbnfRefusesByName) {
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {"root ::= root \"a\" | \"b\"", "left recursion"},
           {"root ::= a \"b\"\na ::= \"\" | root", "left recursion"},
           {"root ::= missing", "not defined"},
           {"a ::= \"b\"", "no rule \"root\""},
           {"root ::= \"a", "without its end"},
           {"root ::= (\"a\"", "( without )"},
           {"root ::= \"a\" root", "nothing can satisfy"},
           {"root ::= \"a\"\n\nroot ::= \"b\"", "line 3"},
           {"root ::= (\"a\"?){1,1000}", "may be empty"}}) {
    const Result<GrammarPtr> g = Grammar::from_gbnf(text);
    ASSERT_FALSE(g.ok()) << text;
    EXPECT_THAT(g.error().message, HasSubstr(what)) << text;
  }
}

TEST(GrammarTest, JsonSchemaKeepsOrderAndBounds) {
  const GrammarPtr g = schema(R"({"type": "object",
    "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 12},
                   "b": {"type": "string", "minLength": 2, "maxLength": 3}},
    "required": ["b"], "additionalProperties": false})");
  EXPECT_TRUE(matches(g, R"({"a":-3,"b":"xy"})"));
  EXPECT_TRUE(matches(g, R"({"a": 12, "b": "xyz"})"));
  EXPECT_TRUE(matches(g, R"({"b":"日\n"})"));
  EXPECT_FALSE(matches(g, R"({"a":13,"b":"xy"})"));
  EXPECT_FALSE(matches(g, R"({"a":1})"));
  EXPECT_FALSE(matches(g, R"({"b":"x"})"));
  EXPECT_FALSE(matches(g, R"({"b":"xyzw"})"));
  EXPECT_FALSE(matches(g, R"({"b":"xy","a":1})"));
  EXPECT_FALSE(matches(g, R"({"b":"xy","c":1})"));
}

/// A model that repeats a digit must not do so to the end of its context.
TEST(GrammarTest, ANumberComesToAnEnd) {
  for (const auto& [text, begin] : std::vector<std::pair<const char*, std::string>>{
           {R"({"type":"integer"})", "3"},
           {R"({"type":"integer","minimum":0})", "3"},
           {R"({"type":"integer","multipleOf":3})", "3"},
           {R"({"type":"number"})", "-3"},
           {R"({"type":"number"})", "0."},
           {R"({"type":"number"})", "3e"},
           {R"({"type":"number","minimum":0,"maximum":1})", "0."},
           {"{}", "3"}}) {
    GrammarMatcher matcher(schema(text), test_vocabulary().vocabulary);
    ASSERT_TRUE(matcher.accept_text(begin).ok()) << text;
    size_t n = begin.size();
    while (n < 1000 && matcher.accept(static_cast<uint8_t>('3')).ok()) ++n;
    EXPECT_EQ(n, 327u) << text << " " << begin;
    EXPECT_TRUE(matcher.may_end()) << text;
  }
}

TEST(GrammarTest, ANumberMayBeAsLongAsADouble) {
  const std::string zeros(308, '0');
  for (const char* text : {R"({"type":"integer"})", R"({"type":"integer","minimum":-1e308})",
                           R"({"type":"number","multipleOf":0.5})"}) {
    EXPECT_TRUE(matches(schema(text), "12345678910111213141516171819")) << text;
    EXPECT_TRUE(matches(schema(text), "1" + zeros)) << text;
    EXPECT_TRUE(matches(schema(text), "-1" + zeros)) << text;
  }
  const std::string least = "0." + std::string(323, '0') + "5";
  EXPECT_TRUE(matches(schema(R"({"type":"number","exclusiveMinimum":0})"), least));
  EXPECT_TRUE(matches(schema(R"({"type":"number","maximum":0})"), "-" + least));
}

TEST(GrammarTest, JsonSchemaRefersToItself) {
  const GrammarPtr g = schema(R"({"type": "object", "properties": {
    "value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["value", "next"], "additionalProperties": false})");
  EXPECT_TRUE(matches(g, R"({"value":1,"next":{"value":2,"next":null}})"));
  EXPECT_FALSE(matches(g, R"({"value":1,"next":{"value":2}})"));
}

TEST(GrammarTest, JsonSchemaOneOfIsExclusive) {
  const GrammarPtr g = schema(R"({"type": "object", "properties": {"a": {"type": "null"},
    "b": {"type": "null"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    "additionalProperties": false})");
  EXPECT_TRUE(matches(g, R"({"a":null})"));
  EXPECT_TRUE(matches(g, R"({"b":null})"));
  EXPECT_FALSE(matches(g, R"({"a":null,"b":null})"));
  EXPECT_FALSE(matches(g, "{}"));
}

/// tools/golden/json_schema_instances.py: PyPI's jsonschema is the judge.
TEST(GrammarTest, GeneratesExactlyTheValidInstances) {
  const auto text = base::read_text_file(
      LANTERN_SOURCE_DIR "/src/text/testdata/json_schema_instances.json", 1u << 20);
  ASSERT_TRUE(text.ok());
  const base::OrderedJson json = base::OrderedJson::parse(*text);
  size_t n_valid = 0;
  for (const base::OrderedJson& test : json["cases"]) {
    const Result<GrammarPtr> g = Grammar::from_json_schema(test["schema"]);
    ASSERT_TRUE(g.ok()) << test["schema"] << ": " << g.error().message;
    grammar::JsonGenerator generator(*g);
    const std::set<size_t> valid(test["valid"].begin(), test["valid"].end());
    n_valid += valid.size();
    for (size_t i = 0; i < json["values"].size(); ++i)
      EXPECT_EQ(generator.generate(json["values"][i]).has_value(), valid.contains(i))
          << test["schema"] << " " << json["values"][i];
  }
  EXPECT_GT(n_valid, 500u);
}

TEST(GrammarTest, AnEnumMayBeLong) {
  const auto list = [](size_t n) {
    base::OrderedJson values = base::OrderedJson::array();
    for (size_t i = 0; i < n; ++i)
      values.push_back(base::to_hex(base::sha256(std::to_string(i))).substr(0, 32));
    return base::OrderedJson{{"type", "object"},
                             {"required", {"id"}},
                             {"properties", {{"id", {{"type", "string"}, {"enum", values}}}}}};
  };
  const auto many = list(5'000);
  const auto g = Grammar::from_json_schema(many);
  ASSERT_TRUE(g.ok()) << g.error().message;
  grammar::JsonGenerator generator(*g);
  const base::OrderedJson& last = many["properties"]["id"]["enum"].back();
  EXPECT_TRUE(generator.generate({{"id", last}}).has_value());
  EXPECT_FALSE(generator.generate({{"id", last.get<std::string>() + "0"}}).has_value());

  const auto too_many = Grammar::from_json_schema(list(20'000));
  ASSERT_FALSE(too_many.ok());
  EXPECT_THAT(too_many.error().message, ::testing::HasSubstr("states"));
}

TEST(GrammarTest, JsonSchemaRefusesByName) {
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {R"({"contains": {}})", "\"contains\""},
           {R"({"properties": {"a": {"unevaluatedItems": false}}})", "unevaluatedItems"},
           {R"({"maxlength": 3})", "\"maxlength\""},
           {R"({"type": "integer", "min": 3})", "\"min\""},
           {R"({"items": {"regexp": "a+"}})", "\"regexp\""},
           {R"({"type": "strin"})", "\"type\""},
           {R"({"$ref": "other.json"})", "outside the document"},
           {R"({"$ref": "#"})", "leads back to itself"},
           {R"({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}})",
            "leads back to itself"},
           {R"({"$ref": "#/$defs/x"})", "nothing is at"},
           {R"({"type": "string", "format": "klingon"})", "klingon"},
           {R"x({"type": "string", "pattern": "(?=a)"})x", "look-ahead"},
           {R"({"type": "integer", "minimum": 3, "maximum": 2})", "nothing can satisfy"},
           {R"({"type": "array", "uniqueItems": true})", "uniqueItems"},
           {"false", "nothing can satisfy"},
           {"3", "an object or a boolean"},
           {"{\"a\":", "JSON schema"}}) {
    EXPECT_THAT(schema_error(text), HasSubstr(what)) << text;
  }
}

TEST(GrammarTest, MasksAreWhatTheBytesSay) {
  uint32_t seed = 1;
  for (const char* text :
       {R"({})", R"({"type":"object"})", R"({"type":"string","maxLength":20})",
        R"({"type":"string","pattern":"^[a-z]{3,18}$"})", R"({"type":"number","maximum":123.5})",
        R"({"type":"integer"})", R"({"type":"array","items":{"type":"number"}})",
        R"({"enum":["a\"b","abc",{"name":[1,true]},1.5,null]})",
        R"({"type":"array","items":{"type":"object","properties":{"name":{"type":"string"}}},
            "minItems":1,"maxItems":3})",
        R"({"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2,
            "properties":{"name":{"type":"boolean"}}})"})
    expect_masks_by_bytes(schema(text), seed++);
  expect_masks_by_bytes(regex("(abc|日本|[a-c]+\"){1,9}"), seed++);
  expect_masks_by_bytes(gbnf("root ::= \"(\" root \")\" | . (\",\" root)?"), seed++);
  const std::vector<std::string> triggers = {"<call>"};
  const std::vector<GrammarPtr> parts = {
      *Grammar::text_without(triggers), *Grammar::literal("<call>"),
      schema(R"({"type":"boolean"})"), *Grammar::special_token("<|tool|>")};
  expect_masks_by_bytes(*Grammar::sequence(parts), seed++);
}

TEST(GrammarTest, AGrammarBeginsAfterItsTrigger) {
  const std::vector<std::string> triggers = {"<call>"};
  const std::vector<GrammarPtr> call = {*Grammar::literal("<call>"),
                                        schema(R"({"type":"integer"})"), *Grammar::literal(";")};
  const std::vector<GrammarPtr> round = {*Grammar::text_without(triggers),
                                         *Grammar::sequence(call)};
  const std::vector<GrammarPtr> all = {*Grammar::repeat(*Grammar::sequence(round), 0, -1),
                                       *Grammar::text_without(triggers)};
  const GrammarPtr g = *Grammar::sequence(all);
  EXPECT_TRUE(matches(g, "just text < call"));
  EXPECT_TRUE(matches(g, "text <<call>12; and <call>-3;"));
  EXPECT_FALSE(matches(g, "text <call>twelve;"));
  EXPECT_FALSE(matches(g, "text <call>12"));
}

TEST(GrammarTest, RollbackTakesTokensBack) {
  GrammarMatcher matcher(regex("ab[cd]"), test_vocabulary().vocabulary);
  const auto accept = [&](char c) { return matcher.accept(static_cast<uint8_t>(c)).ok(); };
  EXPECT_EQ(matcher.forced_text(), "ab");
  ASSERT_TRUE(accept('a') && accept('b') && accept('c') && matcher.may_end());
  ASSERT_TRUE(matcher.accept(test_vocabulary().end).ok());
  EXPECT_TRUE(matcher.ended());
  EXPECT_FALSE(accept('d'));
  EXPECT_FALSE(matcher.rollback(5).ok());
  ASSERT_TRUE(matcher.rollback(2).ok());
  EXPECT_FALSE(matcher.ended());
  EXPECT_TRUE(accept('d') && matcher.may_end());
}

TEST(GrammarTest, ASpaceThatTheTokenizerDropsIsPassedOver) {
  GrammarMatcher matcher(regex("abc"), test_vocabulary().vocabulary, StreamStart::kText);
  const Result<const TokenMask*> mask = matcher.mask();
  ASSERT_TRUE(mask.ok());
  size_t n = 0;
  for (size_t i = 0; i < test_vocabulary().tokens.size(); ++i)
    n += (*mask)->allows(static_cast<TokenId>(i)) ? 1 : 0;
  EXPECT_EQ(n, 4u);  // "a", "abc", " ", " abc"
}

TEST(GrammarTest, CostsNoStatesForLongRepeats) {
  const GrammarPtr g = schema(R"({"type":"array","minItems":100000,"maxItems":1000000000})");
  EXPECT_LT(g->network().n_states(), 1000u);
  EXPECT_LT(schema(R"({"type":"string","maxLength":1000000})")->network().n_states(), 1000u);
}

}  // namespace
}  // namespace lantern::text
