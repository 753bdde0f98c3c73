// lantern audit and lantern keys as a person runs them, and the exports against the published
// OCSF schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/hash.h"
#include "gate/audit.h"
#include "json_schema.h"
#include "program.h"

namespace lantern::tests {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

Json read_json(const fs::path& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

/// One entry for each action, by turns allowed, denied, recorded and failed, with and without what
/// is optional.
void record_everything() {
  const auto log = gate::AuditLog::of_user();
  ASSERT_TRUE(log.ok()) << log.error().message;
  for (int i = 0; i <= static_cast<int>(audit::Action::kLogPrune); ++i)
    for (int decision = 0; decision < 4; ++decision) {
      audit::Event event{.action = static_cast<audit::Action>(i),
                         .decision = static_cast<audit::Decision>(decision)};
      if (decision != 1) {
        event.actor = {.user = "ada", .uid = 1000, .program = "/usr/bin/curl", .key_id = "k"};
        event.rule = "a-rule";
        event.reason = "because \"of\" it";
      }
      if (decision != 2)
        event.model =
            audit::ModelRef{.id = std::string(64, 'a'), .name = decision == 0 ? "smollm2" : ""};
      event.digests = {log->digest("request", "what nobody may read here")};
      event.facts = {{"tokens", int64_t{7}}};
      ASSERT_TRUE(log->append(event).ok());
    }
}

TEST(Audit, ExportsFollowThePublishedOcsfSchema) {
  const ScopedHome home("audit-ocsf");
  record_everything();
  const Json ocsf = read_json(fs::path(LANTERN_SOURCE_DIR) / "tests/data/ocsf-1.8.0.json");
  const Json event_schema = published_schema("audit-event");
  const Ran ran = run_lantern({"audit", "export", "--format", "ocsf"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, ::testing::Not(HasSubstr("what nobody may read here")));
  std::set<int> classes;
  std::istringstream lines(ran.out);
  int n_lines = 0;
  for (std::string line; std::getline(lines, line); ++n_lines) {
    const Json record = Json::parse(line);
    EXPECT_EQ(schema_violations(ocsf, record), "") << line;
    classes.insert(record["class_uid"].get<int>());
    Json without = record;
    without.erase("metadata");
    EXPECT_NE(schema_violations(ocsf, without), "");
  }
  EXPECT_EQ(n_lines, 4 * (static_cast<int>(audit::Action::kLogPrune) + 1));
  EXPECT_EQ(classes, (std::set<int>{2004, 2006, 5020, 6003}));

  const Ran jsonl = run_lantern({"audit", "export", "--format", "jsonl"});
  std::istringstream entries(jsonl.out);
  for (std::string line; std::getline(entries, line);)
    EXPECT_EQ(schema_violations(event_schema, Json::parse(line)["event"]), "") << line;
  const Ran syslog = run_lantern({"audit", "export", "--format", "syslog", "--action", "chat"});
  EXPECT_EQ(std::count(syslog.out.begin(), syslog.out.end(), '\n'), 4);
  EXPECT_THAT(syslog.out,
              ::testing::MatchesRegex("(<1[0-9]+>1 [^\n]* lantern - chat \\[[^\n]*\n)+"));
  EXPECT_THAT(syslog.out, HasSubstr("[lantern@32473 index="));
  const Ran own = run_lantern({"audit", "export", "--format", "syslog", "--action", "chat",
                               "--enterprise-number", "4294967295"});
  EXPECT_THAT(own.out, HasSubstr("[lantern@4294967295 index="));
  for (const char* number : {"0", "-1", "4294967296", "x", "1 2"})
    EXPECT_EQ(run_lantern({"audit", "export", "--format", "syslog", "--enterprise-number", number})
                  .exit_code,
              2)
        << number;
  EXPECT_EQ(run_lantern({"audit", "export", "--format", "xml"}).exit_code, 2);
}

TEST(Audit, CommandsShowQueryProveAndVerify) {
  const ScopedHome home("audit-commands");
  EXPECT_EQ(run_lantern({"audit", "show"}).exit_code, 2);  // no log yet
  record_everything();
  const Ran show = run_lantern({"audit", "show", "--last", "3", "--json"});
  ASSERT_EQ(show.exit_code, 0) << show.err;
  EXPECT_EQ(schema_violations(published_schema("audit-query"), Json::parse(show.out)), "");
  EXPECT_EQ(Json::parse(show.out)["records"].size(), 3u);

  const Ran query = run_lantern(
      {"audit", "query", "--model", "smollm2", "--action", "chat", "--since", "1h", "--json"});
  ASSERT_EQ(query.exit_code, 0) << query.err;
  const Json found = Json::parse(query.out)["records"];
  ASSERT_EQ(found.size(), 1u);
  const std::string index = std::to_string(found[0]["index"].get<int>());

  const std::string proof = (scratch_folder() / "entry.tlog-proof").string();
  ASSERT_EQ(run_lantern({"audit", "prove", index, "--out", proof}).exit_code, 0);
  const Ran proven = run_lantern({"audit", "verify", "--proof", proof});
  EXPECT_EQ(proven.exit_code, 0) << proven.err;
  EXPECT_THAT(proven.out, HasSubstr("\"action\":\"chat\""));
  EXPECT_EQ(run_lantern({"audit", "prove", "100000"}).exit_code, 2);
  std::string text;
  std::getline(std::ifstream(proof), text, '\0');
  text.replace(text.find("index "), 7, "index 1");
  std::ofstream(proof) << text;
  EXPECT_EQ(run_lantern({"audit", "verify", "--proof", proof}).exit_code, 1);
}

TEST(Audit, VerifyTellsWhatItIsSureOf) {
  const ScopedHome home("audit-verify");
  record_everything();
  const fs::path folder = gate::audit_places()->log;
  const auto verdict = [](const std::vector<std::string>& arguments, int exit_code) {
    std::vector<std::string> all = {"audit", "verify", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ran ran = run_lantern(all);
    EXPECT_EQ(ran.exit_code, exit_code) << ran.err << ran.out;
    const Json json = Json::parse(ran.out, nullptr, false);
    EXPECT_EQ(schema_violations(published_schema("audit-verify"), json), "") << ran.out;
    return json;
  };
  // This user's own log has its anchor, which whoever puts back the log may put back, too; a copy
  // has none.
  EXPECT_EQ(verdict({}, 0)["verdict"], "consistent");
  EXPECT_EQ(verdict({"--strict"}, 3)["verdict"], "consistent");
  EXPECT_EQ(verdict({folder.string()}, 0)["verdict"], "unanchored");
  EXPECT_EQ(verdict({folder.string(), "--strict"}, 3)["verdict"], "unanchored");
  const std::string kept = (scratch_folder() / "kept").string();
  ASSERT_EQ(run_lantern({"audit", "checkpoint", "--out", kept}).exit_code, 0);
  EXPECT_EQ(verdict({folder.string(), "--strict", "--since", kept}, 0)["verdict"], "consistent");

  const fs::path old = scratch_folder() / "old";
  fs::copy(folder, old, fs::copy_options::recursive);
  record_everything();
  const std::string newer = (scratch_folder() / "newer").string();
  ASSERT_EQ(run_lantern({"audit", "checkpoint", "--out", newer}).exit_code, 0);
  const Json replayed = verdict({old.string(), "--since", newer}, 1);
  EXPECT_EQ(replayed["findings"][0]["fault"], "replayed_old_log");

  // A changed entry; and then nothing is appended any more.
  const fs::path bundle =
      folder /
      fmt::format("tile/entries/000.p/{}", 8 * (static_cast<int>(audit::Action::kLogPrune) + 1));
  ASSERT_TRUE(fs::exists(bundle));
  std::fstream file(bundle, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);
  file.put('~');
  file.close();
  EXPECT_EQ(verdict({}, 1)["findings"][0]["fault"], "changed_entry");
  EXPECT_EQ(run_lantern({"audit", "verify", "/nowhere"}).exit_code, 2);
}

TEST(Audit, PruneDropsWhatIsOldAndSaysSo) {
  const ScopedHome home("audit-prune");
  EXPECT_EQ(run_lantern({"audit", "prune", "--keep", "forever"}).exit_code, 2);
  {
    const auto log = gate::AuditLog::of_user();
    ASSERT_TRUE(log.ok()) << log.error().message;
    const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
    std::vector<audit::Event> events(
        600, audit::Event{.action = audit::Action::kChat, .time_ms = now_ms - 400 * 86'400'000LL});
    ASSERT_TRUE(log->log().append(events).ok());
    events.assign(300, audit::Event{.action = audit::Action::kChat});
    ASSERT_TRUE(log->log().append(events).ok());
  }
  const fs::path folder = gate::audit_places()->log;
  const auto pruned = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"audit", "prune", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ran ran = run_lantern(all);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    const Json json = Json::parse(ran.out, nullptr, false);
    EXPECT_EQ(schema_violations(published_schema("audit-prune"), json), "") << ran.out;
    return json;
  };
  Json plan = pruned({"--keep", "365d", "--dry-run"});
  EXPECT_EQ(plan["dropped"], false);
  EXPECT_EQ(plan["entries"], 512);  // of 600 that are old enough: whole bundles
  EXPECT_EQ(run_lantern({"audit", "prove", "100"}).exit_code, 0);
  EXPECT_EQ(pruned({"--keep", "500d"})["entries"], 0);

  Json done = pruned({"--keep", "365d"});
  EXPECT_EQ(done["dropped"], true);
  plan["dropped"] = true;
  EXPECT_EQ(done, plan);
  EXPECT_FALSE(fs::exists(folder / "tile/entries/000"));
  EXPECT_FALSE(fs::exists(folder / "tile/entries/001"));
  EXPECT_TRUE(fs::exists(folder / "tile/entries/002"));
  EXPECT_EQ(pruned({"--keep", "365d"})["entries"], 0);

  const Ran verified = run_lantern({"audit", "verify"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  EXPECT_THAT(verified.out, HasSubstr("begins with entry 512"));
  EXPECT_EQ(Json::parse(run_lantern({"audit", "verify", "--json"}).out)["drop_record"], 900);
  EXPECT_EQ(run_lantern({"audit", "prove", "100"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"audit", "prove", "600"}).exit_code, 0);
  const Json record = Json::parse(
      run_lantern({"audit", "query", "--action", "log_prune", "--json"}).out)["records"][0];
  EXPECT_EQ(record["event"]["facts"]["first_kept"], 512);
  // A bundle in the middle is not excused.
  fs::remove(folder / "tile/entries/002");
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 1);
}

TEST(Audit, PruneRecordsAnewWhatTheStateMustNotForget) {
  const std::string model = std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
  const std::string id = [&] {
    const ScopedHome elsewhere("audit-prune-id");
    const Ran approved = run_lantern({"approve", model, "--reason", "r", "--json"});
    return Json::parse(approved.out)["id"].get<std::string>().substr(7);
  }();
  const ScopedHome home("audit-prune-restates");
  {
    const auto log = gate::AuditLog::of_user();
    ASSERT_TRUE(log.ok()) << log.error().message;
    const int64_t long_ago = audit::parse_time("2020-01-01T00:00:00.000Z").value();
    std::vector<audit::Event> old(
        600, audit::Event{.action = audit::Action::kChat, .time_ms = long_ago});
    old.front() = {.action = audit::Action::kRevoke,
                   .model = audit::ModelRef{.id = id},
                   .reason = "long ago",
                   .time_ms = long_ago};
    ASSERT_TRUE(log->log().append(old).ok());
  }
  const std::vector<std::string> use = {
      "logits",    model, "--tokens", "1,2", "--out", (scratch_folder() / "pruned.npy").string(),
      "--approve", "r"};
  EXPECT_EQ(run_lantern(use).exit_code, 4);
  const Ran pruned = run_lantern({"audit", "prune", "--keep", "365d", "--json"});
  EXPECT_EQ(Json::parse(pruned.out)["first_kept"], 512) << pruned.err;
  for (const char* name : {"state.db", "state.db-wal", "state.db-shm"})
    fs::remove(home.path() / "data" / name);
  const Ran refused = run_lantern(use);
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("lantern.revoked"));
}

TEST(Audit, KeysAreMadeRotatedAndBackedUpAndEachIsRecorded) {
  const ScopedHome home("audit-keys");
  const Ran created = run_lantern({"keys", "create", "signing", "--kind", "p384"});
  ASSERT_EQ(created.exit_code, 0) << created.err;
  EXPECT_THAT(created.out, ::testing::StartsWith("-----BEGIN PUBLIC KEY-----"));
  EXPECT_THAT(created.err, HasSubstr("if it is lost: "));
  EXPECT_EQ(run_lantern({"keys", "create", "signing"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"keys", "create", "nonsense"}).exit_code, 2);
  ASSERT_EQ(run_lantern({"keys", "rotate", "log"}).exit_code, 0);
  const std::string backup = (scratch_folder() / "backup").string();
  const std::string phrase = (scratch_folder() / "phrase").string();
  fs::remove(backup);
  std::ofstream(phrase) << "short\n";
  const std::vector<std::string> back_up = {"keys", "backup", backup, "--passphrase-file", phrase};
  EXPECT_EQ(run_lantern(back_up).exit_code, 2);
  std::ofstream(phrase) << "correct horse battery staple\n";
  ASSERT_EQ(run_lantern(back_up).exit_code, 0);
  EXPECT_EQ(fs::status(backup).permissions(), fs::perms(0600));
  EXPECT_EQ(run_lantern(back_up).exit_code, 2);  // nothing is overwritten
  const Ran listed = run_lantern({"keys", "list", "--json"});
  const Json list = Json::parse(listed.out);
  EXPECT_EQ(schema_violations(published_schema("keys"), list), "");
  ASSERT_EQ(list["keys"].size(), 4u);  // the old log key, the new one, signing, digest
  EXPECT_EQ(list["keys"][0]["has_private"], false);
  EXPECT_THAT(list["keys"][1]["vkey"].get<std::string>(), HasSubstr("lantern-audit/"));

  const Json shown = Json::parse(run_lantern({"audit", "show", "--json"}).out);
  std::vector<std::string> actions;
  for (const Json& record : shown["records"]) actions.push_back(record["event"]["action"]);
  EXPECT_EQ(actions,
            (std::vector<std::string>{"key_create", "key_rotate", "key_rotate", "key_backup"}));
  // Both keys' signatures count; the new one's alone does not reach back, nor need it: the journal
  // was sealed under it.
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
  const std::string vkey = (scratch_folder() / "vkey").string();
  std::ofstream(vkey) << list["keys"][1]["vkey"].get<std::string>() << "\n";
  EXPECT_EQ(run_lantern({"audit", "verify", "--key", vkey}).exit_code, 0);
}

TEST(Audit, APassphraseIsAskedForAndNotShown) {
  const ScopedHome home("audit-terminal");
  const std::string backup = (scratch_folder() / "terminal.keys").string();
  fs::remove(backup);
  const std::vector<std::string> back_up = {"keys", "backup", backup};
  ASSERT_EQ(run_lantern({"keys", "create", "log"}).exit_code, 0);
  const Ran differ =
      run_at_terminal(back_up, {{"passphrase of the backup: ", "correct horse one\r"},
                                {"the same again: ", "correct horse two\r"}});
  EXPECT_EQ(differ.exit_code, 2) << differ.out;
  EXPECT_THAT(differ.out, HasSubstr("differ"));
  EXPECT_EQ(run_at_terminal(back_up, {{"passphrase of the backup: ", "correct\x03"}}).exit_code,
            130);
  EXPECT_FALSE(fs::exists(backup));
  // With a letter too many taken back, a whole one of two bytes.
  const Ran done =
      run_at_terminal(back_up, {{"passphrase of the backup: ", "correct h\xc3\xb6\x7forse one\r"},
                                {"the same again: ", "correct horse one\r"}});
  EXPECT_EQ(done.exit_code, 0) << done.out;
  EXPECT_THAT(done.out, ::testing::Not(HasSubstr("correct")));
  const Ran restored = run_at_terminal({"keys", "restore", backup},
                                       {{"passphrase of the backup: ", "correct horse one\r"}});
  EXPECT_EQ(restored.exit_code, 0) << restored.out;
}

TEST(Audit, ALostMachineComesBackFromItsBackup) {
  const std::string backup = (scratch_folder() / "moved.keys").string();
  const std::string phrase = (scratch_folder() / "moved.phrase").string();
  fs::remove(backup);
  std::ofstream(phrase) << "correct horse battery staple\n";
  std::vector<std::string> restore = {"keys", "restore", backup, "--passphrase-file", phrase};
  const fs::path log = scratch_folder() / "moved-log";
  fs::remove_all(log);
  std::string keys;
  {
    const ScopedHome home("audit-moved");
    record_everything();
    ASSERT_EQ(run_lantern({"keys", "backup", backup, "--passphrase-file", phrase}).exit_code, 0);
    keys = run_lantern({"keys", "list"}).out;
    fs::copy(gate::audit_places()->log, log, fs::copy_options::recursive);
  }
  // Another machine, to which the log was copied before any key was made there.
  const ScopedHome home("audit-moved-to");
  fs::create_directories(gate::audit_places()->log.parent_path());
  fs::copy(log, gate::audit_places()->log, fs::copy_options::recursive);
  std::ofstream(phrase) << "incorrect horse\n";
  const Ran wrong = run_lantern(restore);
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("the passphrase is wrong"));
  std::ofstream(phrase) << "correct horse battery staple\n";
  const Ran restored = run_lantern(restore);
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.err, HasSubstr("2 keys added"));
  EXPECT_EQ(run_lantern({"keys", "list"}).out, keys);
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
  const Json last = Json::parse(run_lantern({"audit", "show", "--last", "1", "--json"}).out);
  EXPECT_EQ(last["records"][0]["event"]["action"], "key_restore");

  // A third one has a key of its own by now.
  const ScopedHome third("audit-moved-third");
  ASSERT_EQ(run_lantern({"keys", "create", "log"}).exit_code, 0);
  const Ran refused = run_lantern(restore);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--replace"));
  restore.push_back("--replace");
  EXPECT_EQ(run_lantern(restore).exit_code, 0);
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
}

// Content reaches the log as a keyed digest: the same content has the same one, under one key.
TEST(Audit, ContentIsRecordedByKeyedDigestAlone) {
  const ScopedHome home("audit-content");
  const auto log = gate::AuditLog::of_user();
  ASSERT_TRUE(log.ok()) << log.error().message;
  const audit::KeyedDigest digest = log->digest("request", "123-45-6789");
  EXPECT_EQ(digest.hmac, log->digest("request", "123-45-6789").hmac);
  EXPECT_NE(digest.hmac, base::to_hex(base::sha256("123-45-6789")));
  EXPECT_EQ(digest.bytes, 11u);
  const ScopedHome other("audit-content-2");
  EXPECT_NE(digest.hmac, gate::AuditLog::of_user()->digest("request", "123-45-6789").hmac);
}

}  // namespace
}  // namespace lantern::tests
