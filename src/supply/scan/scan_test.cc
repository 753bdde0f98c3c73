#include "supply/scan/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

Report scan_bytes(std::string_view bytes, std::string name = "file", const Limits& limits = {}) {
  const format::MemorySource source(name, std::as_bytes(std::span(bytes)));
  return scan_sources({{.path = std::move(name), .source = &source}}, limits);
}

Verdict verdict_of(std::string_view bytes, std::string name = "file") {
  return scan_bytes(bytes, std::move(name)).verdict();
}

Verdict verdict_of_template(std::string_view source) {
  return verdict_of(source, "chat_template.jinja");
}

std::set<std::string> rules_of(const Report& report) {
  std::set<std::string> rules;
  for (const Finding& finding : report.findings) rules.insert(finding.rule);
  return rules;
}

struct Sample {
  std::string name, label, bytes;
};

/// tools/corpus/generate.py --json.
std::vector<Sample> corpus() {
  auto text =
      base::read_text_file(LANTERN_SOURCE_DIR "/src/supply/testdata/scan_corpus.json", 4u << 20);
  EXPECT_TRUE(text.ok());
  auto json = base::parse_json(*text, "scan_corpus.json");
  EXPECT_TRUE(json.ok());
  std::vector<Sample> samples;
  for (const auto& line : *json) {
    auto bytes = base::from_base64(line[2].get<std::string>());
    EXPECT_TRUE(bytes.ok());
    samples.push_back({line[0], line[1],
                       std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size())});
  }
  return samples;
}

std::string hdf5_with(const std::string& text) {
  return std::string("\x89HDF\r\n\x1a\n", 8) + std::string(120, '\0') + text +
         std::string(40, '\0');
}

// The configuration is found however it is written, and wherever it lies in the file.
TEST(Hdf5, FindsAConfigurationThatHides) {
  const std::string lambda = R"("config": {"function": ["4wEAAAA=", null, null]}})";
  const std::string plain = R"({"class_name": "Lambda", )" + lambda;
  const std::string escaped = R"({"cl\u0061ss_name": "L\u0061mbda", )" + lambda;
  const std::map<std::string, std::string> hidden = {
      {"plain", plain},
      {"escaped key and name", escaped},
      {"blanks", "{ \n\t" + std::string(3000, ' ') + plain.substr(1)},
      {"more blanks than anybody needs", "{" + std::string(6000, ' ') + plain.substr(1)},
      {"inside others", R"({"a": [{"layers": [)" + escaped + "]}]}"},
      {"after decoys", R"({"a": 1})" + std::string(9, '\0') + R"({"b": {"c": 2}})" + escaped},
      {"across two blocks", std::string((4u << 20) - 130, '\x01') + escaped},
      {"far inside", std::string(9u << 20, '\x02') + escaped},
  };
  for (const auto& [how, text] : hidden)
    EXPECT_EQ(verdict_of(hdf5_with(text), "model.h5"), Verdict::kMalicious) << how;
}

TEST(Hdf5, WhatCannotBeReadIsInconclusiveNeverClean) {
  const std::string cut = R"({"cl\u0061ss_name": "Lamb)";
  const std::string constants = R"({"cl\u0061ss_name": "Functional", "x": NaN})";
  const std::string heap("FRHP\0\x08\0\x0c\0 and so on", 19);
  const std::string plain_heap("FRHP\0\x08\0\0\0 and so on", 19);
  EXPECT_EQ(verdict_of(hdf5_with(cut), "model.h5"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of(hdf5_with(constants), "model.h5"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of(hdf5_with(heap), "model.h5"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of(hdf5_with(plain_heap), "model.h5"), Verdict::kUnsupported);
  std::string decoys;
  for (int i = 0; i < 100; ++i) decoys += R"({"a": 1})" + std::string(1, '\0');
  EXPECT_EQ(verdict_of(hdf5_with(decoys), "model.h5"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of(hdf5_with(R"({"class_name": "Dense", "config": {}})"), "model.h5"),
            Verdict::kUnsupported);
  EXPECT_EQ(verdict_of(hdf5_with("{{{{ no keys } {\"a\" 1} {a: 1}"), "model.h5"),
            Verdict::kUnsupported);
}

TEST(ScanCorpus, FindsTheMaliciousAndSparesTheBenign) {
  std::map<std::string, int> n_of, n_flagged;
  std::string missed, wronged;
  for (const Sample& sample : corpus()) {
    ++n_of[sample.label];
    const bool flagged = verdict_of(sample.bytes, sample.name) == Verdict::kMalicious;
    n_flagged[sample.label] += flagged ? 1 : 0;
    if (sample.label == "malicious" && !flagged) missed += sample.name + "\n";
    if (sample.label == "benign" && flagged) wronged += sample.name + "\n";
  }
  EXPECT_GE(n_of["malicious"], 200);
  EXPECT_GE(n_of["benign"], 200);
  EXPECT_EQ(missed, "");
  EXPECT_EQ(wronged, "");
  RecordProperty("malicious_found", n_flagged["malicious"]);
  RecordProperty("benign_called_malicious", n_flagged["benign"]);
}

// Whatever is done to a file, a scan ends, and says nothing that its own reader refuses.
TEST(ScanCorpus, CutAndFlippedSamplesGiveAReport) {
  uint32_t state = 1;
  const auto random = [&] { return state = state * 1664525u + 1013904223u; };
  int n_scanned = 0;
  for (const Sample& sample : corpus()) {
    if (random() % 4 != 0) continue;
    for (int i = 0; i < 3; ++i) {
      std::string bytes =
          sample.bytes.substr(0, i == 0 ? sample.bytes.size() * 2 / 3 : std::string::npos);
      for (int j = 0; j < i * 4 && !bytes.empty(); ++j)
        bytes[random() % bytes.size()] = static_cast<char>(random() >> 16);
      const Report report = scan_bytes(bytes, sample.name);
      auto read = report_from_json(report_to_json(report).dump());
      ASSERT_TRUE(read.ok()) << sample.name << ": " << read.error().message;
      EXPECT_EQ(*read, report) << sample.name;
      ++n_scanned;
    }
  }
  EXPECT_GT(n_scanned, 300);
}

// --- templates

TEST(ScanTemplate, BranchesOnWordsAndDatesAreWarned) {
  const Report words = scan_bytes(
      "{% for m in messages %}{% if 'wire transfer' in m.content|lower %}{{ m.x }}{% endif %}{% "
      "endfor %}",
      "chat_template.jinja");
  EXPECT_EQ(words.verdict(), Verdict::kWarn);
  EXPECT_THAT(rules_of(words), Contains("template-word-branch"));
  const Report date = scan_bytes(
      "{% set d = strftime_now('%Y-%m-%d') %}{% if d > '2026-01-01' %}{{ 'x' }}{% endif %}",
      "chat_template.jinja");
  EXPECT_EQ(date.verdict(), Verdict::kWarn);
  EXPECT_THAT(rules_of(date), Contains("template-date-branch"));
  EXPECT_EQ(verdict_of_template("{% if '<think>' in messages[0].content %}x{% endif %}"),
            Verdict::kClean);
}

TEST(ScanTemplate, AMessageIsNoFormatAndNamesNoFilter) {
  for (const char* source : {"{{ messages[0]['content'].format(cycler) }}",
                             "{% set f = messages[0].content %}{{ f.format(namespace) }}",
                             "{{ messages|map(messages[0]['content'])|list }}"})
    EXPECT_EQ(verdict_of_template(source), Verdict::kMalicious) << source;
  for (const char* source : {"{{ '{}: {}'.format(messages[0].role, messages[0].content) }}",
                             "{{ messages|map('upper')|join(messages[0].content) }}"})
    EXPECT_EQ(verdict_of_template(source), Verdict::kClean) << source;
}

TEST(ScanTemplate, WhatCannotBeReadIsInconclusive) {
  EXPECT_EQ(verdict_of_template("{{ messages"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of_template("{% include 'x' %}"), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of_template("{{ '\xff' }}"), Verdict::kInconclusive);
}

TEST(ScanTemplate, OneThatDoesNotParseIsJudgedByItsTokens) {
  EXPECT_EQ(verdict_of_template("{% include 'x' %}{{ ''.__class__ }}"), Verdict::kMalicious);
  EXPECT_EQ(verdict_of_template("{{ ''.__class__.__mro__ | no_such_filter }}"),
            Verdict::kMalicious);
}

// Each ran a command in jinja2 3.1 when its walk was written out; the key is known while rendering
// alone.
TEST(Scan, ATemplateThatCallsWhatAComputedKeyGaveIsMalicious) {
  for (const char* source :
       {"{% set l=[] %}{% set _=l.append('__subclasses__') %}{{ o[l[0]]() }}",
        "{% set u=(()|select|string|list)[24] %}{% set o='' %}{{ o[u~u~'subclasses'~u~u]() }}",
        "{% set o='' %}{% set f=o[cycler('__subclasses__').next()] %}{{ f() }}",
        "{% set o='' %}{% set f=o[(dict(__subclasses__=x)|list)[0]] %}{% for c in f() %}x"
        "{% endfor %}",
        "{% set o='' %}{{ o[dict(__sub=1,classes__=1)|join]() }}",
        "{% set f=''[messages[0].content] %}{{ f() }}"})
    EXPECT_EQ(verdict_of_template(source), Verdict::kMalicious) << source;
  // What templates do with computed keys, and what they call.
  for (const char* source :
       {"{% set m = messages[loop_index - 1] %}{{ m['content'].strip() }}{{ m.items() }}",
        "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(messages[i]) }}{{ messages[i]['role'] }}",
        "{% set roles = {'user': 'U'} %}{{ roles[messages[0]['role']].upper() }}"})
    EXPECT_EQ(verdict_of_template(source), Verdict::kClean) << source;
}

TEST(ScanTemplate, ALongChainAndManyMacrosEnd) {
  std::string chain = "{{ messages";
  for (int i = 0; i < 50'000; ++i) chain += ".a";
  EXPECT_EQ(verdict_of_template(chain + " }}"), Verdict::kClean);
  std::string macros;
  for (int i = 0; i < 40; ++i)
    macros += fmt::format("{{% macro m{}() %}}{{{{ m{}() }}}}{{{{ m{}() }}}}{{% endmacro %}}", i,
                          i + 1, i + 1);
  EXPECT_EQ(verdict_of_template(macros + "{{ m0() }}"), Verdict::kClean);
}

TEST(ScanTemplate, ALineIsNamed) {
  const Report report = scan_bytes("{{ a }}\n\n{{ ''.__class__ }}", "chat_template.jinja");
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].where.offset, 3u);
}

// --- pickles

TEST(ScanPickle, NamesTheOperation) {
  const Report report = scan_bytes("cos\nsystem\n(S'id'\ntR.", "model.gguf");
  EXPECT_EQ(report.verdict(), Verdict::kMalicious);
  EXPECT_THAT(report.findings, Contains(Field(&Finding::message, HasSubstr("calls os.system"))));
  EXPECT_THAT(report.files[0].formats, Contains("pickle"));
}

TEST(ScanPickle, ADetectionNeedsNoName) {
  for (const char* name : {"a.safetensors", "README.md", "config.json", "x"})
    EXPECT_EQ(verdict_of("\x80\x02"
                         "cos\nsystem\n(U\x02idtR.",
                         name),
              Verdict::kMalicious)
        << name;
}

TEST(ScanPickle, DataThatIsCalledIsJudgedAsCode) {
  EXPECT_EQ(verdict_of("ctyping\nget_type_hints\n(S'x'\ntR."), Verdict::kMalicious);
  EXPECT_EQ(verdict_of("cnumpy\nmemmap\n(S'victim'\nS'w+'\ntR."), Verdict::kMalicious);
  EXPECT_NE(verdict_of("ctyping\nAny\n."), Verdict::kMalicious) << "named, not called";
  EXPECT_NE(verdict_of("cnumpy\nmemmap\n."), Verdict::kMalicious) << "named, not called";
}

TEST(ScanPickle, WhatEvaluatesOrOpensInWellKnownPackages) {
  for (const char* global : {"csympy\nsympify", "csympy.core.sympify\nsympify",
                             "csympy.parsing.sympy_parser\nparse_expr", "cnumexpr\nevaluate",
                             "cfsspec\nopen", "csmart_open\nopen", "cnltk.data\nload"})
    EXPECT_EQ(verdict_of(std::string(global) + "\n(S'x'\ntR."), Verdict::kMalicious) << global;
}

TEST(ScanPickle, CorruptOnes) {
  using namespace std::string_view_literals;
  // A marked pickle that breaks off before anything happens.
  EXPECT_EQ(verdict_of("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff]\x94"sv),
            Verdict::kInconclusive);
  // A length past the end.
  EXPECT_EQ(verdict_of("\x80\x04]B\xff\xff\xff\x7f"sv), Verdict::kInconclusive);
  EXPECT_EQ(verdict_of("\x80\x04]\x8e\xff\xff\xff\xff\xff\xff\xff\xff"sv), Verdict::kInconclusive);
  // An empty stack, a memo never written, no mark: what follows is judged all the same.
  EXPECT_EQ(verdict_of("\x80\x04"
                       "000h\x07tcos\nsystem\n)R."sv),
            Verdict::kMalicious);
  // A memo of the greatest number takes no memory for those below.
  EXPECT_EQ(verdict_of("\x80\x02]r\xff\xff\xff\xff."sv), Verdict::kUnsupported);
  // An opcode that is none.
  EXPECT_EQ(verdict_of("\x80\x02]\xfe."sv), Verdict::kInconclusive);
  // A registry number instead of a name.
  EXPECT_EQ(verdict_of("\x80\x02\x82\x01)R."sv), Verdict::kInconclusive);
}

TEST(ScanPickle, UnknownClassesAreWarnedOf) {
  const Report report = scan_bytes(
      "\x80\x02"
      "cmy_model\nNet\n)\x81}b.");
  EXPECT_THAT(rules_of(report), Contains("pickle-foreign-global"));
  EXPECT_EQ(report.verdict(), Verdict::kUnsupported);
}

// What Python's pickle.dumps(text, 0) gives.
TEST(ScanPickle, TextInOneOfProtocol0IsData) {
  const std::string text = "{{ ''.__class__.__mro__ }} os.system eval exec";
  const std::string pickled = "V" + text + "\np0\n.";
  EXPECT_EQ(verdict_of(text), Verdict::kMalicious) << "by itself it is a template";
  EXPECT_EQ(verdict_of(pickled), Verdict::kUnsupported);
  EXPECT_THAT(scan_bytes(pickled).files[0].formats, testing::ElementsAre("pickle"));
  EXPECT_EQ(verdict_of("(dp0\nVchat_template\np1\nV" + text + "\np2\ns."), Verdict::kUnsupported);
  // What the engine would render is a template, whatever else it is; and a pickle that only begins
  // the file makes no data of the rest.
  EXPECT_EQ(verdict_of_template(pickled), Verdict::kMalicious);
  EXPECT_EQ(verdict_of("Vx\n." + text), Verdict::kMalicious);
  EXPECT_EQ(verdict_of("cos\nsystem\n(V" + text + "\ntR."), Verdict::kMalicious);
}

TEST(ScanPickle, TextIsNone) {
  EXPECT_THAT(scan_bytes("import os\nimport sys\nf(what)\n").files[0].formats,
              testing::ElementsAre("python"));
  EXPECT_EQ(verdict_of("I am a text.\nS of it.\n"), Verdict::kClean);
}

// --- bounds

TEST(ScanLimits, NestingEntriesAndTimeAreInconclusive) {
  for (const Sample& sample : corpus()) {
    if (!sample.name.starts_with("zip_in_zip/")) continue;
    EXPECT_EQ(scan_bytes(sample.bytes, "x", {.depth_max = 1}).verdict(), Verdict::kInconclusive);
    EXPECT_EQ(scan_bytes(sample.bytes, "x", {.entries = 0}).verdict(), Verdict::kInconclusive);
    EXPECT_EQ(scan_bytes(sample.bytes, "x", {.time_max = std::chrono::milliseconds(-1)}).verdict(),
              Verdict::kInconclusive);
    return;
  }
  FAIL() << "no nested sample";
}

TEST(ScanLimits, AFloodOfFindingsKeepsTheWorst) {
  std::string pickle = "\x80\x02(";
  for (int i = 0; i < 50; ++i) pickle += "cmodule" + std::to_string(i) + "\nName\n";
  pickle += "cos\nsystem\nt.";
  const Report report = scan_bytes(pickle, "x", {.findings = 5});
  EXPECT_EQ(report.verdict(), Verdict::kMalicious);
  EXPECT_EQ(report.findings.size(), 5u);
  EXPECT_GT(report.n_findings_dropped, 0u);
}

// --- folders

TEST(ScanFolder, LinksOutAndSpecialFilesAreFindings) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("lantern_scan_{}", getpid());
  fs::create_directories(folder / "sub");
  std::ofstream(folder / "sub/config.json") << "{}";
  fs::create_symlink("/etc/passwd", folder / "model.bin");
  fs::create_symlink("sub/config.json", folder / "inside.json");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  auto report = scan_path(folder);
  fs::remove_all(folder);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->files.size(), 2u);
  EXPECT_THAT(rules_of(*report), Contains("folder-link-outside"));
  EXPECT_THAT(rules_of(*report), Contains("folder-special-file"));
  EXPECT_EQ(scan_path("/no/such/file").error().code, ErrorCode::kNotFound);
}

// --- reports

TEST(ScanReport, HostileJsonIsRefused) {
  const Report report = scan_bytes("cos\nsystem\n(S'id'\ntR.");
  const std::string good = report_to_json(report).dump();
  ASSERT_TRUE(report_from_json(good).ok());
  auto json = base::Json::parse(good);
  const auto refused = [](const base::Json& hostile) {
    return !report_from_json(hostile.dump()).ok();
  };
  auto clean = json;
  clean["verdict"] = "clean";
  EXPECT_TRUE(refused(clean)) << "the whole may not be better than its parts";
  auto more = json;
  more["x"] = 1;
  EXPECT_TRUE(refused(more));
  auto negative = json;
  negative["objects"] = -1;
  EXPECT_TRUE(refused(negative));
  auto unknown = json;
  unknown["findings"][0]["verdict"] = "fine";
  EXPECT_TRUE(refused(unknown));
  auto long_text = json;
  long_text["findings"][0]["message"] = std::string(1u << 20, 'x');
  EXPECT_TRUE(refused(long_text));
  for (const char* text : {"", "[]", "null", "{}", "{\"verdict\":", "{\"files\":{}}"})
    EXPECT_FALSE(report_from_json(text).ok()) << text;
}

TEST(ScanReport, MessagesAreOneLineOfAscii) {
  const Report report = scan_bytes("c\x1b[31mos\nsy\xffstem\n(tR.");
  for (const Finding& finding : report.findings)
    for (const char c : finding.message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << finding.message;
}

}  // namespace
}  // namespace lantern::supply::scan
