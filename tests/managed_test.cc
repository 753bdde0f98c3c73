// The managed profile, with the real program: /etc/lantern and /var/lib/lantern are this test's
// own, in a mount namespace of its own, which takes root. SKIPPED where that is not allowed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <tuple>

#include "audit/spool.h"
#include "base/file.h"
#include "base/keys.h"
#include "base/time.h"
#include "engine/tiny_model.h"
#include "kill.h"
#include "policy/revocations.h"
#include "policy/signed_policy.h"
#include "program.h"
#include "served_program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kEtc = "/etc/lantern", kState = "/var/lib/lantern";

std::string golden_model() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
}

class Managed : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    allowed_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }

  void SetUp() override {
    if (!allowed_) GTEST_SKIP() << "a mount namespace of its own takes root";
    // What the program needs of /etc; nothing of the machine's own changes.
    const fs::path etc = scratch_folder() / "etc", var = scratch_folder() / "var-lib";
    fs::remove_all(etc);
    fs::remove_all(var);
    fs::create_directories(etc / "lantern/trust");
    fs::create_directories(var / "lantern");
    for (const char* name : {"passwd", "group", "nsswitch.conf", "ld.so.cache", "localtime"}) {
      std::error_code ignored;
      fs::copy_file(fs::path("/etc") / name, etc / name, ignored);
    }
    fs::permissions(etc, fs::perms(0755));
    fs::permissions(etc / "lantern", fs::perms(0755));
    fs::permissions(etc / "lantern/trust", fs::perms(0755));
    ASSERT_EQ(::mount(etc.c_str(), "/etc", nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(::mount(var.c_str(), "/var/lib", nullptr, MS_BIND, nullptr), 0);
    mounted_ = true;
    ASSERT_TRUE(
        base::write_file_atomically(kEtc / "trust/root.pem", root_.public_key().to_pem()).ok());
    fs::permissions(kEtc / "trust/root.pem", fs::perms(0644));
  }
  void TearDown() override {
    if (!mounted_) return;
    ::umount2("/var/lib", MNT_DETACH);
    ::umount2("/etc", MNT_DETACH);
  }

  static std::string indented(const std::string& pem) {
    return "pem = \"\"\"\n" + pem + "\"\"\"\n";
  }

  std::string policy_text(int version, const std::string& revocations, const std::string& rules) {
    const base::UtcTime now = base::utc_clock();
    return fmt::format(
        "format = 1\nversion = {}\nissued = {}\nexpires = {}\nask = \"ask the platform team\"\n"
        "[models]\ncatalog = \"needs-approval\"\nin_place = [\"/\"]\nadvisories = \"deny\"\n"
        "[approvals]\n{}in_scripts = true\ndays_max = 90\n"
        "[revocations]\n{}\n"
        "[break_glass]\npeople = [\"root\"]\nhours_max = 2\n"
        "[[keys]]\nname = \"security\"\nuses = [\"revocations\"]\n{}\n{}",
        version, base::format_utc(now - std::chrono::hours(1)),
        base::format_utc(now + std::chrono::hours(24)), approvals_, revocations,
        indented(security_.public_key().to_pem()), rules);
  }
  void install_policy(int version, const std::string& revocations = "required = false",
                      const std::string& rules = kRules) {
    const auto envelope = policy::sign_policy(policy_text(version, revocations, rules), "policy",
                                              root_, [](std::string_view) { return Error{}; });
    ASSERT_TRUE(envelope.ok()) << envelope.error().message;
    ASSERT_TRUE(base::write_file_atomically(kEtc / "policy.dsse", *envelope).ok());
    fs::permissions(kEtc / "policy.dsse", fs::perms(0644));
  }
  std::string revocation_list(int version, std::vector<policy::Revocation> entries,
                              std::chrono::hours from = std::chrono::hours(-1),
                              std::chrono::hours until = std::chrono::hours(24)) {
    const base::UtcTime now = base::utc_clock();
    const auto list =
        policy::RevocationList::create(version, now + from, now + until, std::move(entries));
    const std::string path = (scratch_folder() / fmt::format("list-{}.dsse", version)).string();
    std::ofstream(path) << policy::sign_revocations(list.value(), security_).value();
    return path;
  }
  static Ran use(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"logits",   golden_model(),
                                          "--tokens", "1,2",
                                          "--out",    (scratch_folder() / "managed.npy").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_lantern(arguments);
  }
  /// A list that names the weights of the golden model.
  std::string list_against_the_model(int version) {
    const auto weights =
        base::read_text_file(golden_model() + "/model.safetensors", 64 << 20).value();
    return revocation_list(
        version,
        {{.digest = base::sha256(weights), .reason = "backdoor", .when = base::utc_clock()}});
  }
  /// The state as it is now, to be put back later; its side files belong to it.
  static fs::path copy_of_state() {
    static int n = 0;
    const fs::path copy = scratch_folder() / fmt::format("state-{}", ++n);
    fs::create_directories(copy);
    for (const auto& entry : fs::directory_iterator(kState / "data"))
      if (entry.path().filename().string().starts_with("state.db"))
        fs::copy_file(entry.path(), copy / entry.path().filename());
    return copy;
  }
  static void put_back_state(const fs::path& copy) {
    remove_state();
    for (const auto& entry : fs::directory_iterator(copy))
      fs::copy_file(entry.path(), kState / "data" / entry.path().filename());
  }
  static void remove_state() {
    for (const char* name : {"state.db", "state.db-wal", "state.db-shm"})
      fs::remove(kState / "data" / name);
  }
  static void expect_refused(const Ran& ran, const std::string& rule) {
    EXPECT_EQ(ran.exit_code, 4) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("denied by rule "));
    EXPECT_THAT(ran.err, HasSubstr(rule));
  }

  static constexpr const char* kRules =
      "[[rules]]\nid = \"use\"\neffect = \"allow\"\naction = [\"load\", \"convert\"]\n"
      "model.approved = true\n"
      "[[rules]]\nid = \"manage\"\neffect = \"allow\"\n"
      "action = [\"import\", \"approve\", \"revoke\"]\n";
  /// Lines of [approvals].
  std::string approvals_ = "approvers_min = 1\nimporter_may_approve = true\n";
  static inline bool allowed_ = false;
  bool mounted_ = false;
  base::PrivateKey root_ = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  base::PrivateKey security_ = base::PrivateKey::generate(base::KeyKind::kP256).value();
};

TEST_F(Managed, ATrustRootWithoutAPolicyDenies) {
  expect_refused(use(), "lantern.no-policy");
  expect_refused(use({"--approve", "please"}), "lantern.no-policy");
}

TEST_F(Managed, TheDefaultIsNoAndTheRefusalSaysHowToAsk) {
  install_policy(1);
  const Ran refused = use();
  expect_refused(refused, "denied by rule");
  EXPECT_THAT(refused.err, HasSubstr("ask the platform team"));
  EXPECT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  EXPECT_EQ(use().exit_code, 0);
  EXPECT_TRUE(fs::exists(kState / "data/state.db"));
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
}

TEST_F(Managed, TheAuditLogIsPrunedOnlyAsFarAsThePolicySays) {
  install_policy(1);
  const auto prune = [](const char* keep) {
    return run_lantern({"audit", "prune", "--keep", keep, "--dry-run"});
  };
  expect_refused(prune("3000d"), "lantern.audit-retention");
  install_policy(2, "required = false\n[audit]\nkeep_days_min = 365");
  expect_refused(prune("364d"), "keeps entries of the audit log for 365 days; ask the platform");
  EXPECT_EQ(prune("365d").exit_code, 0);
  const Ran denied = run_lantern({"audit", "query", "--action", "log_prune", "--json"});
  EXPECT_THAT(denied.out, HasSubstr("lantern.audit-retention"));
}

TEST_F(Managed, TheEnvironmentDoesNotMoveTheState) {
  install_policy(1);
  const fs::path elsewhere = scratch_folder() / "elsewhere";
  const Ran ran = run_lantern({"approve", golden_model(), "--reason", "r"},
                              {.environment = {{"LANTERN_HOME", elsewhere.string()}}});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_FALSE(fs::exists(elsewhere));
  EXPECT_TRUE(fs::exists(kState / "data/state.db"));
}

TEST_F(Managed, AnotherAccountIsRefusedByEveryCommandThatTouchesStateAndToldHowToAsk) {
  install_policy(1);
  ASSERT_EQ(::chown(kState.c_str(), 65534, 65534), 0);
  const std::string out = (scratch_folder() / "another").string();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"pull", golden_model()},
                                             {"list"},
                                             {"list", "--names"},
                                             {"show", "mine"},
                                             {"remove", "mine"},
                                             {"approve", golden_model(), "--reason", "r"},
                                             {"revoke", golden_model(), "--reason", "r"},
                                             {"revoke", "--list", revocation_list(1, {})},
                                             {"break-glass", "--reason", "r"},
                                             {"policy", "explain"},
                                             {"advisories", golden_model()},
                                             {"advisories", "import", golden_model()},
                                             {"bom", golden_model()},
                                             {"licence", golden_model()},
                                             {"convert", golden_model(), "--out", out},
                                             {"store", "verify"},
                                             {"store", "collect"},
                                             {"audit", "show"},
                                             {"audit", "verify"},
                                             {"audit", "checkpoint"},
                                             {"audit", "export", "--format", "jsonl"},
                                             {"keys", "list"},
                                             {"keys", "create", "signing"},
                                             {"keys", "backup", out}}) {
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const Ran ran = run_lantern(arguments);
    expect_refused(ran, "lantern.service-account");
    EXPECT_THAT(ran.err, HasSubstr("ask for `sudo -u "));
    EXPECT_EQ(ran.out, "");
  }
  EXPECT_TRUE(fs::is_empty(kState));
  // What only describes a file, or what anybody may read.
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"inspect", golden_model()},
                                             {"fit", golden_model()},
                                             {"scan-model", golden_model() + "/model.safetensors"},
                                             {"policy", "show"}}) {
    const Ran ran = run_lantern(arguments);
    EXPECT_EQ(ran.exit_code, 0) << arguments[0] << ran.err;
  }
}

/// lantern as another account, which takes root.
Ran run_as(uid_t uid, const std::vector<std::string>& arguments, const std::string& input = {}) {
  const fs::path in = scratch_folder() / "as.in", out = scratch_folder() / "as.out",
                 err = scratch_folder() / "as.err";
  std::ofstream(in) << input;
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open(in.c_str(), O_RDONLY), 0);
    ::dup2(::open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), 1);
    ::dup2(::open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), 2);
    if (::setgroups(0, nullptr) != 0 || ::setgid(uid) != 0 || ::setuid(uid) != 0) ::_exit(126);
    become_lantern(arguments);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = base::read_text_file(out, 1 << 20).value(),
          .err = base::read_text_file(err, 1 << 20).value()};
}

TEST_F(Managed, UsersOfOtherAccountsAskTheServiceWhichAsksThePolicy) {
  const fs::path run = scratch_folder() / "run";
  fs::create_directories(run / "lantern");
  fs::permissions(run, fs::perms(0755));
  fs::permissions(run / "lantern", fs::perms(0755));
  ASSERT_EQ(::mount(run.c_str(), "/run", nullptr, MS_BIND, nullptr), 0);
  const struct Unmount {
    ~Unmount() { ::umount2("/run", MNT_DETACH); }
  } unmount;
  install_policy(1, "required = false",
                 std::string(kRules) +
                     "[[rules]]\nid = \"serve\"\neffect = \"allow\"\naction = [\"serve\"]\n"
                     "model.approved = true\n"
                     "[[rules]]\nid = \"nobody-chats\"\neffect = \"allow\"\naction = [\"chat\"]\n"
                     "subject.user = [\"nobody\"]\nmodel.approved = true\n");
  const format::TemporaryFolder folder;
  const std::string model = engine::TinyModel{}.write(folder).string();
  constexpr unsigned kNobody = 65534, kStranger = 12345;
  const std::vector<std::string> ask = {"run", "tiny.gguf", "Hi", "--max-tokens", "4"};
  const Ran before = run_as(kNobody, ask);
  expect_refused(before, "lantern.service-account");
  EXPECT_THAT(before.err, HasSubstr("the service is not running"));
  expect_refused(run_as(kNobody, {"chat", "tiny.gguf"}, "Hi\n"), "lantern.service-account");
  expect_refused(run_as(kNobody, {"key", "list"}), "lantern.service-account");

  const ServedProgram service({model, "--approve", "reviewed"});
  const Ran answered = run_as(kNobody, ask);
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  EXPECT_NE(answered.out, "\n");
  const Ran chatted = run_as(kNobody, {"chat", "tiny.gguf", "--max-tokens", "4"}, "Hi\nAgain\n");
  EXPECT_EQ(chatted.exit_code, 0) << chatted.err;
  expect_refused(run_as(kStranger, ask), "lantern.default");
  expect_refused(run_as(kStranger, {"chat", "tiny.gguf"}, "Hi\n"), "lantern.default");
  expect_refused(run_as(kNobody, {"key", "create", "--name", "mine"}), "lantern.admin-socket");
  expect_refused(run_as(kNobody, {"ps"}), "lantern.admin-socket");
  const Ran own = run_lantern({"ps"});
  EXPECT_EQ(own.exit_code, 0) << own.err;
  EXPECT_THAT(own.out, HasSubstr("user:nobody"));
  EXPECT_EQ(run_as(kNobody, {"run", "tiny.gguf", "Hi", "--threads", "2"}).exit_code, 2);
  const Ran log = run_lantern({"audit", "query", "--action", "chat", "--json"});
  EXPECT_THAT(log.out, HasSubstr("nobody-chats"));
}

TEST_F(Managed, CachedPrefixesAreSharedWithinAGroupThatThePolicyNamesAlone) {
  std::ofstream(fs::path("/etc/passwd"), std::ios::app)
      << "ann:x:20001:20001::/:/bin/false\nben:x:20002:20002::/:/bin/false\n"
         "cid:x:20003:20003::/:/bin/false\nann2:x:20004:20004::/:/bin/false\n";
  std::ofstream(fs::path("/etc/group"), std::ios::app)
      << "support:x:20010:ann,ben\nann2:x:20004:\nother:x:20011:cid,ann2\n";
  install_policy(1, "required = false",
                 std::string("[prefix_cache]\ngroups = [\"support\"]\n") + kRules +
                     "[[rules]]\nid = \"chats\"\neffect = \"allow\"\n"
                     "action = [\"chat\", \"serve\"]\nmodel.approved = true\n");
  const format::TemporaryFolder folder;
  const std::string model = engine::TinyModel{.context = 1024}.write(folder).string();
  const ServedProgram service({model, "--approve", "reviewed"});
  std::map<std::string, std::string> keys;
  for (const std::string user : {"ann", "ben", "cid", "ann2"}) {
    const Ran made = run_lantern({"key", "create", "--name", user, "--user", user, "--json"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    keys[user] = base::Json::parse(made.out)["keys"][0]["key"];
  }
  const auto cached = [&](const std::string& user, char letter) -> int64_t {
    const base::Json ask = {
        {"model", "tiny.gguf"}, {"prompt", std::string(500, letter)}, {"max_tokens", 2}};
    const std::string answer = service.exchange(http_request(
        "POST", "/v1/completions", ask.dump(),
        "Authorization: Bearer " + keys[user] + "\r\nContent-Type: application/json\r\n"));
    const auto body = body_of(answer);
    EXPECT_TRUE(body.contains("usage")) << answer;
    return body["usage"]["prompt_tokens_details"]["cached_tokens"];
  };
  EXPECT_EQ(cached("ann", 'a'), 0);
  EXPECT_GT(cached("ben", 'a'), 400) << "of his group";
  EXPECT_EQ(cached("cid", 'a'), 0) << "of another, which the policy does not name";
  EXPECT_EQ(cached("ann2", 'a'), 0) << "of cid's, by which nothing is shared";
  EXPECT_GT(cached("cid", 'a'), 400) << "his own";
  EXPECT_LE(cached("ann", 'b'), 1) << "the token of the beginning at most";
}

TEST_F(Managed, AUsedUpBudgetNamesItsRule) {
  std::ofstream(fs::path("/etc/passwd"), std::ios::app) << "ann:x:20001:20001::/:/bin/false\n";
  install_policy(1, "required = false",
                 std::string(kRules) +
                     "[[rules]]\nid = \"serve\"\neffect = \"allow\"\naction = [\"serve\"]\n"
                     "model.approved = true\n"
                     "[[rules]]\nid = \"a-little\"\neffect = \"allow\"\naction = [\"chat\"]\n"
                     "model.approved = true\nbudget.requests_a_minute = 1\n");
  const format::TemporaryFolder folder;
  const std::string model = engine::TinyModel{}.write(folder).string();
  const ServedProgram service({model, "--approve", "reviewed"});
  const Ran made = run_lantern({"key", "create", "--name", "a", "--user", "ann", "--json"});
  const std::string key = base::Json::parse(made.out)["keys"][0]["key"];
  const auto ask = [&] {
    return service.post("/v1/completions", R"({"model":"tiny.gguf","prompt":"Hi","max_tokens":2})",
                        "Authorization: Bearer " + key + "\r\n");
  };
  EXPECT_THAT(ask(), ::testing::StartsWith("HTTP/1.1 200"));
  const std::string spent = ask();
  EXPECT_THAT(spent, ::testing::StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(spent, HasSubstr("denied by rule a-little: the requests a minute"));
  EXPECT_NE(header_of(spent, "Retry-After"), "");
}

TEST_F(Managed, NothingIsPulledThatThePolicyDoesNotLetIn) {
  const auto expect_refused_pull = [&](const std::string& rule) {
    const Ran explained =
        run_lantern({"policy", "explain", "--action", "import", "--model", golden_model()});
    EXPECT_NE(explained.exit_code, 0);
    expect_refused(run_lantern({"pull", golden_model(), "--name", "mine"}), rule);
    EXPECT_FALSE(fs::exists(kState / "data/models"));
    EXPECT_FALSE(fs::exists(kState / "data/blobs"));
  };
  expect_refused_pull("lantern.no-policy");
  install_policy(1, "required = false",
                 "[[rules]]\nid = \"use\"\neffect = \"allow\"\naction = [\"load\"]\n");
  expect_refused_pull("lantern.default");
  // What a source says of itself is enough to deny, and what is not known denies.
  install_policy(2, "required = false",
                 "[[rules]]\nid = \"take\"\neffect = \"allow\"\naction = [\"import\"]\n"
                 "[[rules]]\nid = \"ours-alone\"\neffect = \"deny\"\naction = [\"import\"]\n"
                 "unless.model.publisher = [\"ours\"]\n");
  expect_refused_pull("ours-alone");
  for (const auto& [source, exit_code] :
       std::map<std::string, int>{{"hf:theirs/model", 1}, {"hf:ours/model", 0}})
    EXPECT_EQ(run_lantern({"policy", "explain", "--action", "import", "--model", source}).exit_code,
              exit_code)
        << source;
  expect_refused(run_lantern({"pull", "hf:theirs/model", "--offline"}), "ours-alone");
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("hf:theirs/model"));
  install_policy(3);
  EXPECT_EQ(
      run_lantern({"policy", "explain", "--action", "import", "--model", golden_model()}).exit_code,
      0);
  const Ran taken = run_lantern({"pull", golden_model(), "--name", "mine"});
  expect_refused(taken, "lantern.approvers");
  EXPECT_TRUE(fs::exists(kState / "data/models")) << "kept, in quarantine";
}

TEST_F(Managed, APolicyThatWasChangedOrIsOlderDenies) {
  install_policy(5);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  install_policy(4);
  expect_refused(use(), "lantern.no-policy");
  expect_refused(run_lantern({"policy", "show"}), "lantern.no-policy");
  install_policy(6);
  EXPECT_EQ(use().exit_code, 0);
  std::string envelope = base::read_text_file(kEtc / "policy.dsse", 1 << 20).value();
  const size_t at = envelope.find("\"payload\"") + 200;
  envelope[at] = envelope[at] == 'A' ? 'B' : 'A';
  ASSERT_TRUE(base::write_file_atomically(kEtc / "policy.dsse", envelope).ok());
  fs::permissions(kEtc / "policy.dsse", fs::perms(0644));
  expect_refused(use(), "lantern.no-policy");
}

TEST_F(Managed, APolicyThatOthersMayWriteDenies) {
  install_policy(1);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  fs::permissions(kEtc / "policy.dsse", fs::perms(0666));
  expect_refused(use(), "lantern.no-policy");
}

TEST_F(Managed, ARequiredRevocationListMustBeThereAndNeverGoesBack) {
  install_policy(1, "required = true");
  expect_refused(use({"--approve", "reviewed"}), "revocation");
  const std::string second = revocation_list(2, {}), first = revocation_list(1, {});
  ASSERT_EQ(run_lantern({"revoke", "--list", second}).exit_code, 0);
  EXPECT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  expect_refused(run_lantern({"revoke", "--list", first}), "lantern.revocation-list");
  EXPECT_EQ(use().exit_code, 0);
  // A file of the model is revoked by the next list.
  const auto weights =
      base::read_text_file(golden_model() + "/model.safetensors", 64 << 20).value();
  const std::string third = revocation_list(
      3, {{.digest = base::sha256(weights), .reason = "backdoor", .when = base::utc_clock()}});
  ASSERT_EQ(run_lantern({"revoke", "--list", third}).exit_code, 0);
  expect_refused(use(), "lantern.revoked");
}

TEST_F(Managed, TheSignedListRevokesWhateverTheStateSays) {
  for (const char* required : {"required = true", "required = false"}) {
    SCOPED_TRACE(required);
    fs::remove_all(kState);
    fs::create_directories(kState);
    install_policy(1, required);
    ASSERT_EQ(run_lantern({"revoke", "--list", revocation_list(1, {})}).exit_code, 0);
    ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
    ASSERT_EQ(run_lantern({"revoke", "--list", list_against_the_model(2)}).exit_code, 0);
    expect_refused(use(), "lantern.revoked");
    // Without the records and the log, the list is the only one that still knows.
    fs::remove_all(kState / "state");
    remove_state();
    expect_refused(use({"--approve", "again"}), "lantern.revoked");
    expect_refused(run_lantern({"approve", golden_model(), "--reason", "again"}),
                   "lantern.revoked");
    // A list that was in force and is gone leaves in doubt what it named.
    fs::remove(kState / "data/revocations.dsse");
    EXPECT_EQ(use({"--approve", "again"}).exit_code, 4);
  }
}

TEST_F(Managed, AnOldStateGetsBackFromTheLogWhatItHasForgotten) {
  install_policy(1);
  const std::string first = revocation_list(1, {});
  ASSERT_EQ(run_lantern({"revoke", "--list", first}).exit_code, 0);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  const fs::path old_state = copy_of_state();
  const std::string old_list =
      base::read_text_file(kState / "data/revocations.dsse", 1 << 20).value();
  // The version of the list.
  ASSERT_EQ(run_lantern({"revoke", "--list", list_against_the_model(2)}).exit_code, 0);
  expect_refused(use(), "lantern.revoked");
  put_back_state(old_state);
  ASSERT_TRUE(base::write_file_atomically(kState / "data/revocations.dsse", old_list).ok());
  EXPECT_EQ(use().exit_code, 4) << "an old list beside an old state";
  expect_refused(run_lantern({"revoke", "--list", first}), "older");
  // A revocation of this machine's own.
  ASSERT_EQ(run_lantern({"revoke", "--list", revocation_list(3, {})}).exit_code, 0);
  EXPECT_EQ(use().exit_code, 0) << "the newest list names it no longer";
  const fs::path unrevoked = copy_of_state();
  ASSERT_EQ(run_lantern({"revoke", golden_model(), "--reason", "ours"}).exit_code, 0);
  put_back_state(unrevoked);
  expect_refused(use(), "lantern.revoked");
  remove_state();
  expect_refused(use({"--approve", "again"}), "lantern.revoked");
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
}

TEST_F(Managed, AnOldStateGetsBackThePolicysVersionFromTheLog) {
  install_policy(1);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  const std::string first = base::read_text_file(kEtc / "policy.dsse", 1 << 20).value();
  const fs::path old_state = copy_of_state();
  install_policy(3);
  ASSERT_EQ(use().exit_code, 0);
  put_back_state(old_state);
  ASSERT_TRUE(base::write_file_atomically(kEtc / "policy.dsse", first).ok());
  fs::permissions(kEtc / "policy.dsse", fs::perms(0644));
  const Ran refused = use();
  expect_refused(refused, "lantern.no-policy");
  EXPECT_THAT(refused.err, HasSubstr("version 1 is older than 3"));
}

TEST_F(Managed, ALogThatIsShorterOrAnotherThanTheStateKnowsIsRefused) {
  install_policy(1);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  const fs::path old_log = scratch_folder() / "old-log";
  fs::copy(kState / "state", old_log, fs::copy_options::recursive);
  ASSERT_EQ(use().exit_code, 0);
  ASSERT_EQ(use().exit_code, 0);
  // The whole folder, its anchor with it.
  fs::remove_all(kState / "state");
  fs::copy(old_log, kState / "state", fs::copy_options::recursive);
  const Ran cut = use();
  expect_refused(cut, "lantern.audit-log");
  EXPECT_THAT(cut.err, HasSubstr("cut or an old copy was put back"));
  // Grown past what the state knows, by other entries.
  for (int i = 0; i < 8; ++i) ASSERT_EQ(run_lantern({"keys", "rotate", "digest"}).exit_code, 0);
  const Ran forked = use();
  expect_refused(forked, "lantern.audit-log");
  EXPECT_THAT(forked.err, HasSubstr("two stories"));
  fs::remove_all(kState / "state/audit");
  fs::remove_all(kState / "state/audit-anchor");
  expect_refused(use(), "lantern.audit-log");
}

TEST_F(Managed, ThatTheClockIsRightAgainIsRootsToSay) {
  install_policy(1);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  const auto put_ahead = [] {
    const auto time = base::utc_clock() + std::chrono::hours(2);
    ASSERT_TRUE(audit::spool_event(kState / "state/audit-spool",
                                   {.action = audit::Action::kScan,
                                    .time_ms = 1000 * time.time_since_epoch().count()})
                    .ok());
  };
  const auto correct = [] { return run_lantern({"audit", "clock", "--reason", "set by NTP"}); };
  const auto consent = [](const std::string& entries) {
    ASSERT_TRUE(base::write_file_atomically(kEtc / "clock", entries + "\n").ok());
  };
  put_ahead();
  expect_refused(use(), "the clock says");
  const Ran refused = correct();
  expect_refused(refused, "lantern.clock");
  const size_t at = refused.err.find("number of entries, ");
  ASSERT_NE(at, std::string::npos) << refused.err;
  const int n_entries = std::stoi(refused.err.substr(at + 19));
  consent(std::to_string(n_entries + 100));
  expect_refused(correct(), "lantern.clock");
  consent(std::to_string(n_entries) + "x");
  expect_refused(correct(), "lantern.clock");
  consent(std::to_string(n_entries));
  const Ran corrected = correct();
  EXPECT_EQ(corrected.exit_code, 0) << corrected.err;
  EXPECT_EQ(use().exit_code, 0);
  put_ahead();
  expect_refused(use(), "the clock says");
  expect_refused(correct(), "lantern.clock");
}

TEST_F(Managed, AListThatIsExpiredOrNotYetValidIsNotTakenIn) {
  install_policy(1);
  ASSERT_EQ(run_lantern({"revoke", "--list", list_against_the_model(2)}).exit_code, 0);
  using std::chrono::hours;
  for (const auto& [from, until, fault] : {std::tuple(hours(-48), hours(-24), "expired on"),
                                           std::tuple(hours(2), hours(4), "yet to come")}) {
    const Ran ran = run_lantern({"revoke", "--list", revocation_list(3, {}, from, until)});
    expect_refused(ran, "lantern.revocation-list");
    EXPECT_THAT(ran.err, HasSubstr(fault));
  }
  expect_refused(use({"--approve", "r"}), "lantern.revoked");
  EXPECT_EQ(run_lantern({"revoke", "--list", revocation_list(3, {})}).exit_code, 0)
      << "the refused ones have not used up their number";
  EXPECT_EQ(use({"--approve", "r"}).exit_code, 0);
}

TEST_F(Managed, AnImportOfAListThatDiesLeavesTheOldListOrTheNewInForce) {
  install_policy(1, "required = true");
  ASSERT_EQ(run_lantern({"revoke", "--list", revocation_list(1, {})}).exit_code, 0);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0);
  const auto weights = base::sha256(
      base::read_text_file(golden_model() + "/model.safetensors", uint64_t{1} << 30).value());
  const std::string second =
      revocation_list(2, {{.digest = weights, .reason = "backdoor", .when = base::utc_clock()}});
  const fs::path before = scratch_folder() / "before-list";
  fs::copy(kState, before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  bool was_revoked = false;
  kill_at_every_step({"revoke", "--list", second}, before, kState, [&] {
    const Ran used = use();
    const bool is_revoked = used.exit_code == 4;
    if (is_revoked) {
      EXPECT_THAT(used.err, HasSubstr("lantern.revoked"));
    } else {
      EXPECT_EQ(used.exit_code, 0) << used.err;
    }
    EXPECT_TRUE(is_revoked || !was_revoked) << "the new list was in force at an earlier step";
    was_revoked = was_revoked || is_revoked;
  });
  EXPECT_TRUE(was_revoked);
}

TEST_F(Managed, AListThatNoTrustedKeySignedIsRefused) {
  install_policy(1);
  security_ = base::PrivateKey::generate(base::KeyKind::kP256).value();
  EXPECT_EQ(run_lantern({"revoke", "--list", revocation_list(1, {})}).exit_code, 4);
}

TEST_F(Managed, APolicyThatAsksForASignerSeesTheOneThatWasKept) {
  const base::PrivateKey signer = base::PrivateKey::generate(base::KeyKind::kP256).value();
  const std::string key = (scratch_folder() / "signer.pem").string(),
                    pub = (scratch_folder() / "signer.pub").string(),
                    model = (scratch_folder() / "signed").string(),
                    signature = (scratch_folder() / "signed.sig").string();
  fs::remove(key);
  ASSERT_TRUE(signer.save(key).ok());
  std::ofstream(pub) << signer.public_key().to_pem();
  fs::create_directories(model);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(fs::path(golden_model()) / name, fs::path(model) / name,
                  fs::copy_options::overwrite_existing);
  install_policy(1, "required = false",
                 "[[keys]]\nname = \"release\"\nuses = [\"models\"]\n" +
                     indented(signer.public_key().to_pem()) +
                     "[[rules]]\nid = \"signed\"\neffect = \"allow\"\naction = [\"load\"]\n"
                     "model = { approved = true, signer = [\"release\"] }\n"
                     "[[rules]]\nid = \"manage\"\neffect = \"allow\"\n"
                     "action = [\"import\", \"approve\", \"revoke\"]\n");
  const std::vector<std::string> use_it = {
      "logits", model, "--tokens", "1,2", "--out", (scratch_folder() / "s.npy").string()};
  ASSERT_EQ(run_lantern({"approve", model, "--reason", "r"}).exit_code, 0);
  EXPECT_EQ(run_lantern(use_it).exit_code, 4) << "approved, not signed";
  const Ran made = run_lantern({"sign", model, "--key", key, "--signature", signature});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Ran kept = run_lantern({"verify", model, "--signature", signature, "--key", pub, "--keep"});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  const Ran used = run_lantern(use_it);
  EXPECT_EQ(used.exit_code, 0) << used.err;
}

/// Two people must approve, and the importer is none of them.
class TwoApprovers : public Managed {
 protected:
  void SetUp() override {
    Managed::SetUp();
    if (IsSkipped()) return;
    approvals_ = "approvers_min = 2\nimporter_may_approve = false\n";
    std::string keys;
    for (const char* person : {"alice", "bob", "mallory"}) {
      const auto key = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
      fs::remove(key_of(person));
      ASSERT_TRUE(key.save(key_of(person)).ok());
      if (std::string(person) == "mallory") continue;  // no key of the policy
      keys += fmt::format("[[keys]]\nname = \"{0}\"\nuses = [\"approvals\"]\nuser = \"{0}\"\n",
                          person) +
              indented(key.public_key().to_pem());
    }
    install_policy(1, "required = false", keys + kRules);
    const Ran pulled = run_lantern({"pull", golden_model(), "--name", "tiny"});
    ASSERT_EQ(pulled.exit_code, 4) << pulled.err;
  }
  static std::string key_of(const std::string& person) {
    return (scratch_folder() / (person + ".pem")).string();
  }
  static int approve(const std::string& person, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"approve", "tiny", "--reason", "reviewed"};
    if (!person.empty()) arguments.insert(arguments.end(), {"--key", key_of(person)});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = run_lantern(arguments);
    EXPECT_TRUE(ran.exit_code == 0 || !ran.err.empty());
    return ran.exit_code;
  }
  static int use_it() {
    return run_lantern({"logits", "tiny", "--tokens", "1,2", "--out",
                        (scratch_folder() / "tiny.npy").string()})
        .exit_code;
  }
};

TEST_F(TwoApprovers, BothAreNeededAndOneCountsOnce) {
  EXPECT_EQ(use_it(), 4);
  EXPECT_EQ(approve("alice"), 0);
  EXPECT_EQ(use_it(), 4) << "one of two";
  EXPECT_EQ(approve("alice"), 0);
  EXPECT_EQ(use_it(), 4) << "the same key twice is one person";
  EXPECT_EQ(approve("mallory"), 4) << "no key that the policy knows";
  EXPECT_EQ(use_it(), 4);
  EXPECT_EQ(approve("bob"), 0);
  EXPECT_EQ(use_it(), 0);
  const Ran log = run_lantern({"audit", "verify"});
  EXPECT_EQ(log.exit_code, 0) << log.err;
}

TEST_F(TwoApprovers, TheImporterIsNoneOfThem) {
  EXPECT_EQ(approve("alice"), 0);
  EXPECT_EQ(approve(""), 4) << "who is logged in, and has imported it";
  EXPECT_EQ(use_it(), 4);
  EXPECT_EQ(approve("bob"), 0);
  EXPECT_EQ(use_it(), 0);
}

TEST_F(TwoApprovers, WhoFirstBringsAModelThatIsNotInTheStoreIsItsImporter) {
  const fs::path model = scratch_folder() / "brought";
  fs::remove_all(model);
  fs::copy(golden_model(), model, fs::copy_options::recursive);
  std::ofstream(model / "README.md") << "of another id than what was pulled\n";
  std::ofstream(model / "generation_config.json") << "{\"eos_token_id\": 3}\n";
  const auto approve_it = [&](const std::string& person) {
    std::vector<std::string> arguments = {"approve", model.string(), "--reason", "reviewed"};
    if (!person.empty()) arguments.insert(arguments.end(), {"--key", key_of(person)});
    return run_lantern(arguments).exit_code;
  };
  const auto use_model = [&] {
    return run_lantern({"logits", model.string(), "--tokens", "1,2", "--out",
                        (scratch_folder() / "brought.npy").string()});
  };
  expect_refused(use_model(), "lantern.approvers");
  const Ran log = run_lantern({"audit", "query", "--action", "import", "--json"});
  EXPECT_THAT(log.out, HasSubstr("path:" + model.string()));
  EXPECT_EQ(approve_it(""), 4) << "who is logged in, and brought it";
  EXPECT_EQ(approve_it("alice"), 0);
  expect_refused(use_model(), "lantern.approvers");
  EXPECT_EQ(approve_it("bob"), 0);
  EXPECT_EQ(use_model().exit_code, 0);
}

TEST_F(TwoApprovers, AnApprovalThatExpiredCountsNoMore) {
  EXPECT_EQ(approve("alice"), 0);
  EXPECT_EQ(approve("bob", {"--expires", "1s"}), 0);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_EQ(use_it(), 4);
  EXPECT_EQ(approve("bob", {"--expires", "1h"}), 0);
  EXPECT_EQ(use_it(), 0);
}

TEST_F(TwoApprovers, AnApprovalForAGroupCountsForItsMembersAlone) {
  EXPECT_EQ(approve("alice", {"--for", "group:no-such-group"}), 0);
  EXPECT_EQ(approve("bob", {"--for", "user:somebody-else"}), 0);
  EXPECT_EQ(use_it(), 4);
  EXPECT_EQ(approve("alice", {"--for", "group:no-such-group", "--for", "group:root"}), 0);
  EXPECT_EQ(use_it(), 4) << "alice's counts now, bob's does not";
  EXPECT_EQ(approve("bob", {"--for", "user:root"}), 0);
  EXPECT_EQ(use_it(), 0);
  EXPECT_EQ(approve("bob", {"--for", "root"}), 2);
}

TEST_F(Managed, ThePolicySeesTheSignerOfASignatureThatCameAlong) {
  const base::PrivateKey signer = base::PrivateKey::generate(base::KeyKind::kP256).value();
  const std::string key = (scratch_folder() / "publisher.pem").string();
  const fs::path model = scratch_folder() / "came-signed";
  fs::remove(key);
  ASSERT_TRUE(signer.save(key).ok());
  fs::remove_all(model);
  fs::create_directories(model);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(fs::path(golden_model()) / name, model / name);
  ASSERT_EQ(run_lantern({"sign", model.string(), "--key", key}).exit_code, 0);
  install_policy(1, "required = false",
                 "[[keys]]\nname = \"release\"\nuses = [\"models\"]\n" +
                     indented(signer.public_key().to_pem()) +
                     "[[rules]]\nid = \"signed\"\neffect = \"allow\"\naction = [\"load\"]\n"
                     "model = { approved = true, signer = [\"release\"] }\n"
                     "[[rules]]\nid = \"manage\"\neffect = \"allow\"\n"
                     "action = [\"import\", \"approve\", \"revoke\"]\n");
  const Ran pulled =
      run_lantern({"pull", model.string(), "--name", "came", "--approve", "reviewed"});
  ASSERT_EQ(pulled.exit_code, 0) << pulled.err;
  EXPECT_THAT(pulled.err, HasSubstr("signed by key:"));
  const Ran used = run_lantern(
      {"logits", "came", "--tokens", "1,2", "--out", (scratch_folder() / "came.npy").string()});
  EXPECT_EQ(used.exit_code, 0) << used.err;
  for (const std::string& who :
       {std::string("release"), "key:" + base::to_hex(signer.public_key().id())}) {
    const Ran loads = run_lantern({"audit", "query", "--signer", who, "--action", "load"});
    EXPECT_THAT(loads.out, HasSubstr("came")) << who;
  }
  // Another's signature over the same files allows nothing.
  fs::remove(model / "model.sig");
  fs::remove(key);
  ASSERT_TRUE(base::PrivateKey::generate(base::KeyKind::kP256).value().save(key).ok());
  fs::copy_file(fs::path(golden_model()) / "config.v4.json", model / "config.json",
                fs::copy_options::overwrite_existing);
  ASSERT_EQ(run_lantern({"sign", model.string(), "--key", key}).exit_code, 0);
  const Ran unknown =
      run_lantern({"pull", model.string(), "--name", "other", "--approve", "reviewed"});
  EXPECT_THAT(unknown.err, HasSubstr("signed by an unknown key"));
  EXPECT_EQ(run_lantern({"logits", "other", "--tokens", "1,2", "--out",
                         (scratch_folder() / "other.npy").string()})
                .exit_code,
            4);
}

TEST_F(Managed, AdvisoriesThatWereImportedAndAreGoneDeny) {
  install_policy(1);
  ASSERT_EQ(use({"--approve", "reviewed"}).exit_code, 0) << "none was ever imported";
  const std::string file = (scratch_folder() / "advisory.json").string();
  std::ofstream(file) << R"({"id": "x_1", "modified": "2026-01-01T00:00:00Z", "affected": []})";
  ASSERT_EQ(run_lantern({"advisories", "import", file}).exit_code, 0);
  EXPECT_EQ(use().exit_code, 0);
  fs::remove_all(kState / "data/advisories");
  expect_refused(use(), "lantern.advisories");
  remove_state();
  EXPECT_EQ(use({"--approve", "again"}).exit_code, 4) << "the log knows, too";
  ASSERT_EQ(run_lantern({"advisories", "import", file}).exit_code, 0);
  EXPECT_EQ(use({"--approve", "again"}).exit_code, 0);
}

TEST_F(Managed, WithoutAPolicyEveryRefusalNamesThat) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"break-glass", "--reason", "incident"},
                                             {"audit", "prune", "--keep", "365d"},
                                             {"revoke", "--list", revocation_list(1, {})}})
    expect_refused(run_lantern(arguments), "lantern.no-policy");
  const Ran denied = run_lantern({"audit", "query", "--action", "break_glass", "--json"});
  EXPECT_THAT(denied.out, HasSubstr("lantern.no-policy"));
  const Ran explained = run_lantern({"policy", "explain", "--model", golden_model()});
  EXPECT_EQ(explained.exit_code, 1) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("denied by rule lantern.no-policy"));
}

TEST_F(Managed, BreakGlassLiftsADenialForThoseThatThePolicyNames) {
  install_policy(1);
  expect_refused(use(), "denied by rule");
  // Longer than the policy lets anybody.
  expect_refused(run_lantern({"break-glass", "--reason", "incident", "--expires", "3h"}),
                 "lantern.break-glass");
  const Ran lifted = run_lantern({"break-glass", "--reason", "incident", "--expires", "1h"});
  EXPECT_EQ(lifted.exit_code, 0) << lifted.err;
  const Ran used = use();
  EXPECT_EQ(used.exit_code, 0) << used.err;
  EXPECT_THAT(used.err, HasSubstr("broke the glass"));
  const Ran explained = run_lantern({"policy", "explain", "--model", golden_model()});
  EXPECT_EQ(explained.exit_code, 0) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("allowed by rule lantern.break-glass"));
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("lantern.break-glass"));
  // What the scan calls malicious stays refused, and so does what is revoked.
  const format::TemporaryFolder folder;
  engine::TinyModel tiny;
  tiny.chat_template = "{{ ''.__class__.__mro__[1].__subclasses__() }}";
  expect_refused(run_lantern({"logits", tiny.write(folder).string(), "--tokens", "1,2", "--out",
                              (scratch_folder() / "tiny.npy").string()}),
                 "lantern.scan-malicious");
  ASSERT_EQ(run_lantern({"revoke", golden_model(), "--reason", "r"}).exit_code, 0);
  expect_refused(use(), "lantern.revoked");
}

}  // namespace
}  // namespace lantern::tests
