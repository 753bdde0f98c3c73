// Invariants 1 and 4 from outside: every command that uses a model refuses one that nobody approved
// and one that was revoked, with exit code 4 and the rule; those that describe one do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/json.h"
#include "cli/command.h"
#include "program.h"

namespace lantern::tests {
namespace {

using ::testing::HasSubstr;

std::string golden_model() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
}

std::string scratch_file(const std::string& name) { return (scratch_folder() / name).string(); }

/// How each command that uses a model is called; a new one fails here until it says so.
std::map<std::string, std::vector<std::string>> arguments_of_users(const std::string& model) {
  const std::string messages = scratch_file("messages.json");
  std::ofstream(messages) << R"([{"role":"user","content":"Hi"}])";
  return {{"run", {"run", model, "--max-tokens", "1", "Hi"}},
          {"chat", {"chat", model}},
          {"serve", {"serve", model, "--listen", "127.0.0.1:0"}},
          {"bench", {"bench", model, "--prompt", "4", "--generate", "1", "--repetitions", "1"}},
          {"embed", {"embed", model, "Hi"}},
          {"logits", {"logits", model, "--tokens", "1,2", "--out", scratch_file("refused.npy")}},
          {"convert", {"convert", model, "--out", scratch_file("refused.gguf")}},
          {"tokenize", {"tokenize", model, "Hi"}},
          {"template", {"template", model, "--messages", messages}}};
}

void expect_refusals(const std::string& model, const std::string& rule) {
  const auto arguments = arguments_of_users(model);
  size_t n_users = 0;
  for (const cli::Command* command : cli::all_commands()) {
    if (command->access.kind != cli::ModelAccess::kUses) continue;
    ++n_users;
    SCOPED_TRACE(command->name);
    const auto call = arguments.find(std::string(command->name));
    ASSERT_NE(call, arguments.end()) << "say here how it is called";
    const Ran ran = run_lantern(call->second, {.input = "Hi\n"});
    EXPECT_EQ(ran.exit_code, 4) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("denied by rule " + rule));
    EXPECT_EQ(ran.out, "");
  }
  EXPECT_EQ(n_users, arguments.size());
  EXPECT_FALSE(std::filesystem::exists(scratch_file("refused.npy")));
  EXPECT_FALSE(std::filesystem::exists(scratch_file("refused.gguf")));
}

TEST(GateCommands, AnUnapprovedPathIsRefusedByEveryCommandThatUsesIt) {
  const ScopedHome home("unapproved");
  expect_refusals(golden_model(), "lantern.approvers");
  EXPECT_EQ(run_lantern({"inspect", golden_model()}).exit_code, 0);
  EXPECT_EQ(run_lantern({"fit", golden_model()}).exit_code, 0);
}

TEST(GateCommands, ARevokedModelIsRefusedByEveryCommandThatUsesIt) {
  const ScopedHome home("revoked");
  ASSERT_EQ(run_lantern({"approve", golden_model(), "--reason", "test"}).exit_code, 0);
  ASSERT_EQ(run_lantern({"tokenize", golden_model(), "Hi"}).exit_code, 2)
      << "approved; it has no tokenizer";
  ASSERT_EQ(run_lantern({"revoke", golden_model(), "--reason", "test"}).exit_code, 0);
  expect_refusals(golden_model(), "lantern.revoked");
  EXPECT_EQ(run_lantern({"inspect", golden_model()}).exit_code, 0);
  // Nor does an approval bring it back.
  EXPECT_EQ(run_lantern({"approve", golden_model(), "--reason", "test"}).exit_code, 4);
}

TEST(GateCommands, ACopyUnderAnotherNameIsRevokedWithWhatItIsACopyOf) {
  namespace fs = std::filesystem;
  const ScopedHome home("renamed");
  const fs::path folder = scratch_folder() / "renamed";
  fs::create_directories(folder);
  const std::string base = folder / "base.gguf", copy = folder / "copy.gguf";
  const std::string derived = folder / "derived.gguf", moved = folder / "moved.gguf";
  for (const std::string& path : {base, copy, derived, moved}) fs::remove(path);
  auto logits = [](const std::string& model) {
    return run_lantern({"logits", model, "--tokens", "1,2", "--out", scratch_file("renamed.npy"),
                        "--approve", "made by the tests"});
  };
  ASSERT_EQ(run_lantern({"convert", golden_model(), "--out", base, "--approve", "t"}).exit_code, 0);
  ASSERT_EQ(run_lantern({"pull", base, "--name", "base", "--approve", "t"}).exit_code, 0);
  ASSERT_EQ(run_lantern({"convert", "base", "--out", derived, "--type", "f16"}).exit_code, 0);
  fs::copy_file(base, copy);
  fs::copy_file(derived, moved);
  ASSERT_EQ(logits(copy).exit_code, 0);
  ASSERT_EQ(logits(moved).exit_code, 0);

  ASSERT_EQ(run_lantern({"revoke", "base", "--reason", "test"}).exit_code, 0);
  for (const std::string& model : {std::string("base"), base, copy, derived, moved}) {
    const Ran ran = logits(model);
    EXPECT_EQ(ran.exit_code, 4) << model << ran.err;
    EXPECT_THAT(ran.err, ::testing::HasSubstr("lantern.revoked")) << model;
  }
}

TEST(GateCommands, ARevocationWaitsForNoLog) {
  namespace fs = std::filesystem;
  const ScopedHome home("no-log");
  ASSERT_EQ(run_lantern({"approve", golden_model(), "--reason", "test"}).exit_code, 0);
  const fs::path journal = home.path() / "state" / "audit" / "journal";
  ASSERT_TRUE(fs::exists(journal)) << journal;
  const fs::path kept = journal.string() + ".kept";
  fs::rename(journal, kept);
  fs::create_directories(journal);  // where the journal should be
  ASSERT_NE(run_lantern({"audit", "verify"}).exit_code, 0);
  EXPECT_EQ(run_lantern({"revoke", golden_model(), "--reason", "test"}).exit_code, 0);
  fs::remove(journal);
  fs::rename(kept, journal);
  expect_refusals(golden_model(), "lantern.revoked");
  const Ran log = run_lantern({"audit", "query", "--json"});
  EXPECT_THAT(log.out, ::testing::HasSubstr("\"revoke\"")) << "the record came in from the spool";
}

TEST(GateCommands, AModelWhoseNameIsNoUtf8IsNoReasonToEnd) {
  namespace fs = std::filesystem;
  const ScopedHome home("bytes");
  const fs::path folder = scratch_folder() / "bytes\xff";
  fs::remove_all(folder);
  fs::copy(golden_model(), folder, fs::copy_options::recursive);
  const Ran ran = run_lantern({"approve", folder.string(), "--reason", "test"});
  EXPECT_GE(ran.exit_code, 0) << "ended by a signal";
  EXPECT_LE(ran.exit_code, 6) << ran.err;
}

TEST(GateCommands, ConsentOnTheCommandLineIsAnApproval) {
  const ScopedHome home("consent");
  const std::string out = scratch_file("consent.npy");
  EXPECT_EQ(run_lantern({"logits", golden_model(), "--tokens", "1,2", "--out", out}).exit_code, 4);
  EXPECT_EQ(run_lantern({"logits", golden_model(), "--tokens", "1,2", "--out", out, "--approve",
                         "made by the tests"})
                .exit_code,
            0);
  EXPECT_EQ(run_lantern({"logits", golden_model(), "--tokens", "1,2", "--out", out}).exit_code, 0)
      << "it is approved from then on";
}

/// A model whose chat template ends in the middle.
std::string model_with_half_a_template() {
  const std::filesystem::path folder = scratch_folder() / "half-template";
  std::filesystem::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(std::filesystem::path(golden_model()) / name, folder / name,
                               std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder / "tokenizer.json") << "{}";
  std::ofstream(folder / "chat_template.jinja") << "{% for m in messages %}{{ m.content ";
  return folder.string();
}

TEST(GateCommands, WhatTheScanCouldNotReadIsApprovedByNoScriptUnlessItSaysSo) {
  const ScopedHome home("inconclusive");
  const std::string model = model_with_half_a_template();
  ASSERT_EQ(run_lantern({"scan-model", model}).exit_code, 3);
  const std::vector<std::string> use = {"logits", model,   "--tokens",
                                        "1,2",    "--out", scratch_file("half.npy")};
  std::vector<std::string> use_and_approve = use;
  use_and_approve.insert(use_and_approve.end(), {"--approve", "script"});
  for (const auto& arguments :
       {std::vector<std::string>{"approve", model, "--reason", "script"}, use_and_approve}) {
    const Ran refused = run_lantern(arguments, {.input = "yes\n"});
    EXPECT_EQ(refused.exit_code, 4) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("lantern.scan-inconclusive"));
    EXPECT_THAT(refused.err, HasSubstr("--accept-inconclusive"));
  }
  EXPECT_EQ(run_lantern(use).exit_code, 4);
  const Ran approved =
      run_lantern({"approve", model, "--reason", "read by hand", "--accept-inconclusive"});
  EXPECT_EQ(approved.exit_code, 0) << approved.err;
  EXPECT_EQ(run_lantern(use).exit_code, 0);
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"scan\":\"inconclusive\""));
}

TEST(GateCommands, ARevocationOutlivesTheStateInTheLogAndALogThatWasCutIsNamedInIt) {
  const ScopedHome home("keepers");
  const std::vector<std::string> use = {"logits",    golden_model(),
                                        "--tokens",  "1,2",
                                        "--out",     scratch_file("keepers.npy"),
                                        "--approve", "r"};
  ASSERT_EQ(run_lantern(use).exit_code, 0);
  ASSERT_EQ(run_lantern({"revoke", golden_model(), "--reason", "r"}).exit_code, 0);
  ASSERT_EQ(run_lantern(use).exit_code, 4);
  for (const char* name : {"state.db", "state.db-wal", "state.db-shm"})
    std::filesystem::remove(home.path() / "data" / name);
  const Ran refused = run_lantern(use);
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("lantern.revoked"));
  for (const char* name : {"audit", "audit-anchor"})
    std::filesystem::remove_all(home.path() / "state" / name);
  EXPECT_EQ(run_lantern(use).exit_code, 4) << "the state knows, too";
  EXPECT_EQ(run_lantern(use).exit_code, 4);
  const std::string log = run_lantern({"audit", "export", "--format", "jsonl"}).out;
  const size_t named = log.find("lantern.audit-log");
  EXPECT_NE(named, std::string::npos);
  EXPECT_EQ(log.find("lantern.audit-log", named + 1), std::string::npos) << "once is enough";
}

TEST(GateCommands, AnOldLogBesideItsCheckpointIsRefusedByItsRule) {
  namespace fs = std::filesystem;
  const ScopedHome home("old-log");
  const std::vector<std::string> use = {"logits",    golden_model(),
                                        "--tokens",  "1,2",
                                        "--out",     scratch_file("old-log.npy"),
                                        "--approve", "r"};
  ASSERT_EQ(run_lantern(use).exit_code, 0);
  const fs::path log = home.path() / "state/audit", old = home.path() / "old";
  fs::copy(log, old, fs::copy_options::recursive);
  ASSERT_EQ(run_lantern(use).exit_code, 0);
  fs::remove_all(log);
  fs::rename(old, log);
  for (const auto& arguments : {use, std::vector<std::string>{"pull", golden_model()}}) {
    const Ran refused = run_lantern(arguments);
    EXPECT_EQ(refused.exit_code, 4);
    EXPECT_THAT(refused.err, HasSubstr("denied by rule lantern.audit-log"));
  }
  fs::remove_all(home.path() / "state/audit-anchor");
  EXPECT_EQ(run_lantern(use).exit_code, 0) << "the person says that the copy is meant";
}

TEST(GateCommands, ARevocationThatCannotBeRecordedIsInForceAndRecordedLater) {
  namespace fs = std::filesystem;
  const ScopedHome home("revoke-unrecorded");
  const std::vector<std::string> use = {"logits",    golden_model(),
                                        "--tokens",  "1,2",
                                        "--out",     scratch_file("unrecorded.npy"),
                                        "--approve", "r"};
  ASSERT_EQ(run_lantern(use).exit_code, 0);
  const fs::path log = home.path() / "state/audit", spool = home.path() / "state/audit-spool";
  const auto revocations = [] {
    return base::parse_json(
               run_lantern({"audit", "query", "--action", "revoke", "--since", "1h", "--json"}).out,
               "records")
        .value()["records"];
  };
  for (const bool can_spool : {true, false}) {
    SCOPED_TRACE(can_spool);
    const std::string digest(64, can_spool ? 'a' : 'b');
    fs::rename(log, home.path() / "away");
    std::ofstream(log) << "no folder";
    if (!can_spool) {
      fs::remove_all(spool);
      std::ofstream(spool) << "no folder";
    }
    const Ran revoked = run_lantern({"revoke", "sha256:" + digest, "--reason", "r"});
    EXPECT_EQ(revoked.exit_code, 0) << revoked.err;
    EXPECT_EQ(revoked.err.find("not in the audit log yet") == std::string::npos, can_spool);
    fs::remove(log);
    if (!can_spool) fs::remove(spool);
    fs::rename(home.path() / "away", log);
    ASSERT_EQ(run_lantern(use).exit_code, 0);
    const auto records = revocations();
    ASSERT_EQ(records.size(), can_spool ? 1u : 2u);
    ASSERT_EQ(run_lantern(use).exit_code, 0);
    EXPECT_EQ(revocations().size(), records.size()) << "once";
  }
}

TEST(GateCommands, NoAtTheTerminalIsNo) {
  const ScopedHome home("say-no");
  const std::string model = golden_model() + "/model.gguf";
  const auto use = [] {
    return run_lantern({"logits", "mine", "--tokens", "1,2", "--out", scratch_file("no.npy")})
        .exit_code;
  };
  for (const char* no : {"n\n", "No\n", "\n", "y\n\n"}) {
    SCOPED_TRACE(no);
    const Ran refused = run_at_terminal({"pull", model, "--name", "mine"},
                                        {{.prompt = "Enter for no", .typed = no}});
    EXPECT_EQ(refused.exit_code, 4) << refused.out;
    EXPECT_EQ(use(), 4);
  }
  const Ran approved = run_at_terminal({"pull", model, "--name", "mine"},
                                       {{.prompt = "Enter for no", .typed = "yes\n"},
                                        {.prompt = "Why?", .typed = "because it was evaluated\n"}});
  EXPECT_EQ(approved.exit_code, 0) << approved.out;
  EXPECT_EQ(use(), 0);
}

TEST(GateCommands, EveryDecisionIsInTheLog) {
  const ScopedHome home("log");
  run_lantern({"tokenize", golden_model(), "Hi"});
  run_lantern({"approve", golden_model(), "--reason", "a reason to remember"});
  run_lantern({"revoke", golden_model(), "--reason", "another one"});
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_EQ(log.exit_code, 0) << log.err;
  for (const char* part : {"lantern.approvers", "a reason to remember", "another one", "\"deny\""})
    EXPECT_THAT(log.out, HasSubstr(part));
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
}

}  // namespace
}  // namespace lantern::tests
