// lantern watch on this very machine: processes of our own begin, change and end, and the events
// must say so. What else runs here is left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/watch_events.h"
#include "program.h"
#include "watched_program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;
class WatchTest : public testing::Test {
 protected:
  WatchTest() : home_("watch"), folder_(scratch_folder() / "watch") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    model_ = write_watched_model(folder_ / "model.gguf", "Watched 8M");
  }
  ~WatchTest() override { fs::remove_all(folder_); }

  /// The engine under a name that says nothing, with its model in memory.
  [[nodiscard]] std::unique_ptr<Piped> run_engine(const fs::path& model) const {
    return run_watched_engine(folder_ / "notes", model);
  }
  std::string config(const std::string& more = "",
                     const std::string& intervals = "interval_s = 1\nfull_interval_s = 5\n") {
    const fs::path path = folder_ / "watch.toml";
    std::ofstream(path) << "[watch]\n" << intervals << more;
    return path.string();
  }
  [[nodiscard]] std::string errors() const { return (folder_ / "errors").string(); }
  [[nodiscard]] std::string said() const {
    std::ifstream in(errors());
    return {std::istreambuf_iterator<char>(in), {}};
  }

  ScopedHome home_;
  fs::path folder_, model_;
};

TEST_F(WatchTest, AModelsLifeIsToldFromBeginningToEnd) {
  Watched watch(watch_arguments(config()));
  ASSERT_TRUE(watch.next("watch.started").is_object());
  const auto engine = run_engine(model_);
  const Json appeared = watch.next("finding.appeared", engine->pid());
  ASSERT_TRUE(appeared.is_object());
  EXPECT_EQ(appeared["finding"]["level"], "alert");
  EXPECT_EQ(appeared["at_start"], false);
  EXPECT_EQ(appeared["verdict"], "unknown");
  EXPECT_EQ(appeared["severity"], "medium");
  EXPECT_THAT(appeared["text"].get<std::string>(), HasSubstr("Watched 8M"));

  ASSERT_EQ(run_lantern({"approve", model_.string(), "--reason", "test"}).exit_code, 0);
  const Json approved = watch.next("finding.changed", engine->pid());
  EXPECT_EQ(approved["verdict"], "approved");
  EXPECT_EQ(approved["severity"], "informational");
  ASSERT_EQ(run_lantern({"revoke", model_.string(), "--reason", "test"}).exit_code, 0);
  const Json revoked = watch.next("finding.changed", engine->pid());
  EXPECT_EQ(revoked["verdict"], "revoked");
  EXPECT_EQ(revoked["severity"], "high");

  engine->end(SIGKILL);
  const Json ended = watch.next("finding.ended", engine->pid());
  ASSERT_TRUE(ended.is_object());
  EXPECT_EQ(ended["exited"], true);
  EXPECT_EQ(ended["finding_id"], appeared["finding_id"]);
  EXPECT_NE(ended["id"], appeared["id"]);
  watch.program().signal(SIGTERM);
  EXPECT_TRUE(watch.next("watch.stopped").is_object());
  EXPECT_EQ(watch.program().end(SIGTERM), 0);
}

TEST_F(WatchTest, AfterARestartTheSameFindingIsToldAsPresent) {
  const auto engine = run_engine(model_);
  Json id;
  for (int i = 0; i < 2; ++i) {
    Watched watch(watch_arguments(config()));
    const Json appeared = watch.next("finding.appeared", engine->pid());
    ASSERT_TRUE(appeared.is_object());
    EXPECT_EQ(appeared["at_start"], true);
    if (i > 0) {
      EXPECT_EQ(appeared["finding_id"], id);
    }
    id = appeared["finding_id"];
  }
}

TEST_F(WatchTest, AProgramThatLivesShorterThanAnIntervalIsSeenWhereTheKernelTells) {
  Watched watch(watch_arguments(config("", "interval_s = 3600\nfull_interval_s = 3600\n")));
  const Json started = watch.next("watch.started");
  if (started["process_events"].get<std::string>().empty())
    GTEST_SKIP() << started["blind_spots"].dump();
  const auto engine = run_engine(model_);
  const Json appeared = watch.next("finding.appeared", engine->pid());
  ASSERT_TRUE(appeared.is_object());
  EXPECT_EQ(appeared["finding"]["level"], "alert");
  engine->end(SIGKILL);
  EXPECT_TRUE(watch.next("finding.ended", engine->pid()).is_object());
}

TEST_F(WatchTest, OfMoreFilesThanAnEventHoldsTheWorstAreTold) {
  cli::Verdicts verdicts;
  cli::WatchEvents events("boot", verdicts);
  sensor::Finding finding{.process = {.pid = 7, .name = "shards"}, .level = sensor::Level::kAlert};
  for (int i = 0; i < 200; ++i)
    finding.weights.push_back({.path = "/" + std::string(1000, 'p') + std::to_string(i),
                               .size = 1,
                               .facts = {.format = "GGUF", .name = std::string(250, 'n')},
                               .where = std::string(200, 'w')});
  const auto event = events.of({.change = sensor::Change::kAppeared,
                                .finding = std::make_shared<const sensor::Finding>(finding)});
  ASSERT_TRUE(event.ok()) << event.error().message;
  EXPECT_TRUE(delivery::check_event(*event).ok());
  EXPECT_LT(delivery::event_line(*event).size(), delivery::kEventBytesMax);
  EXPECT_THAT(event->text, HasSubstr("199 more files"));
  EXPECT_EQ(event->json["finding"]["weights"].size(), 8u);
  EXPECT_EQ(event->json["verdict"], "unknown");
  EXPECT_EQ(schema_violations(published_schema("event"), Json::parse(delivery::event_line(*event))),
            "");
}

TEST_F(WatchTest, AFolderThatIsNotThereHidesNoOther) {
  Watched watch(
      watch_arguments(config("at_rest_interval_s = 1\ndisk = [\"" + (folder_ / "away").string() +
                             "\", \"" + folder_.string() + "\"]\n")));
  EXPECT_THAT(watch.next("watch.blind")["why"].get<std::string>(), HasSubstr("away"));
  EXPECT_TRUE(watch
                  .next([&](const Json& event) {
                    return event["event"] == "weights.appeared" &&
                           event["weights"]["path"] == model_.string();
                  })
                  .is_object());
}

TEST(WatchSchema, DescribesFindingsAsTheScansDoes) {
  const Json event = published_schema("event"), scan = published_schema("scan");
  EXPECT_EQ(event["definitions"]["finding"], scan["properties"]["findings"]["items"]);
  for (const char* name : {"basis", "weights"})
    EXPECT_EQ(event["definitions"][name], scan["definitions"][name]);
}

TEST_F(WatchTest, ModelsAtRestAppearAndGo) {
  Watched watch(
      watch_arguments(config("at_rest_interval_s = 1\ndisk = [\"" + folder_.string() + "\"]\n")));
  const auto of = [](const std::string& name, const fs::path& path) {
    return [name, path](const Json& event) {
      return event["event"] == name && event["weights"]["path"] == path.string();
    };
  };
  ASSERT_TRUE(watch.next(of("weights.appeared", model_)).is_object());
  const fs::path copy = folder_ / "copy.bin";
  fs::copy_file(model_, copy);
  ASSERT_TRUE(watch.next(of("weights.appeared", copy)).is_object());
  fs::remove(copy);
  EXPECT_TRUE(watch.next(of("weights.gone", copy)).is_object());
}

TEST_F(WatchTest, SettingsAreReadStrictlyAndAgainWhenAsked) {
  for (const auto& [text, fault] : std::initializer_list<std::pair<const char*, const char*>>{
           {"colour = 1\n", "colour"},
           {"heartbeat_s = 0\n", "heartbeat_s"},
           {"disk = [\"relative\"]\n", "absolute"},
           {"[[receivers]]\nname = 1\n", "receivers"}}) {
    const Ran ran = run_lantern({"watch", "--config", config(text)});
    EXPECT_EQ(ran.exit_code, 2) << text;
    EXPECT_THAT(ran.err, HasSubstr(fault));
    EXPECT_THAT(ran.err, HasSubstr("line "));
  }
  Watched watch(watch_arguments(config()), errors());
  ASSERT_TRUE(watch.next("watch.started").is_object());
  config("heartbeat_s = 1\n");
  watch.program().signal(SIGHUP);
  EXPECT_TRUE(watch.next("watch.reloaded").is_object());
  EXPECT_TRUE(watch.next("watch.heartbeat").is_object());
  config("colour = 1\n");
  watch.program().signal(SIGHUP);
  EXPECT_THAT(watch.next("watch.blind")["why"].get<std::string>(), HasSubstr("colour"));
  EXPECT_TRUE(watch.next("watch.heartbeat").is_object()) << "those before stay in force";
}

TEST_F(WatchTest, ReceiversThatCannotBeStartedLeaveThoseBefore) {
  const fs::path file = folder_ / "events.jsonl";
  const std::string before =
      "heartbeat_s = 1\n[[receivers]]\nname = \"file\"\nkind = \"json-lines\"\npath = \"" +
      file.string() + "\"\n";
  const Piped watch(watch_arguments(config(before)), errors());
  const auto comes = [&](const std::string& text) {
    for (int i = 0; i < 600; ++i, ::usleep(20'000)) {
      std::ifstream in(file);
      const std::string all{std::istreambuf_iterator<char>(in), {}};
      const size_t told = all.find("no-such-ca.pem");
      if (text.empty() ? told != std::string::npos
                       : told != std::string::npos && all.find(text, told) != std::string::npos)
        return true;
      if (text.empty() && all.find("watch.started") != std::string::npos && i % 50 == 0) {
        config(before +
               "[[receivers]]\nname = \"siem\"\nkind = \"syslog\"\n"
               "address = \"tls://127.0.0.1:1\"\nca = \"/no-such-ca.pem\"\n");
        watch.signal(SIGHUP);
      }
    }
    return false;
  };
  EXPECT_TRUE(comes("")) << said();
  EXPECT_TRUE(comes("watch.heartbeat")) << said();
}

TEST_F(WatchTest, EventsGoToReceivers) {
  const fs::path file = folder_ / "events.jsonl";
  const auto engine = run_engine(model_);
  Watched watch(watch_arguments(config("[[receivers]]\nname = \"file\"\nkind = \"json-lines\"\n"
                                       "path = \"" +
                                       file.string() + "\"\n")),
                errors());
  const auto holds = [&] {
    std::ifstream in(file);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return text.find("\"finding.appeared\"") != std::string::npos &&
           text.find(fmt::format("\"pid\":{}", engine->pid())) != std::string::npos;
  };
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!holds() && std::chrono::steady_clock::now() < until) ::usleep(50'000);
  EXPECT_TRUE(holds()) << said();
}

TEST_F(WatchTest, WithoutRightsItSaysWhatItDoesNotSee) {
  if (::geteuid() != 0) GTEST_SKIP() << "taking on another account takes root";
  fs::permissions(folder_, fs::perms(0755));
  std::vector<std::string> arguments = {
      "/usr/bin/setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--bounding-set=-all",
      "/usr/bin/env",
      "LANTERN_HOME=" + (fs::path("/tmp") / fmt::format("lantern-nobody-{}", ::getpid())).string()};
  for (const std::string& one : watch_arguments(config())) arguments.push_back(one);
  Watched watch(arguments);
  const Json started = watch.next("watch.started");
  ASSERT_TRUE(started.is_object());
  EXPECT_GT(started["hidden_processes"], 0);
  EXPECT_THAT(started["blind_spots"].dump(), HasSubstr("CAP_SYS_PTRACE"));
  fs::remove_all(fmt::format("/tmp/lantern-nobody-{}", ::getpid()));
}

/// The rights of packaging/lantern-watch.service, in its words.
std::string service_capabilities() {
  std::ifstream in(std::string(LANTERN_SOURCE_DIR) + "/packaging/lantern-watch.service");
  std::string list;
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("AmbientCapabilities=CAP_")) {
      std::istringstream words(line.substr(line.find('=') + 1));
      for (std::string word; words >> word;) {
        std::transform(word.begin(), word.end(), word.begin(), ::tolower);
        list += (list.empty() ? "+" : ",+") + word.substr(4);
      }
    }
  return list;
}

TEST_F(WatchTest, TheServicesRightsAreEnoughToSeeAll) {
  if (::geteuid() != 0) GTEST_SKIP() << "taking on another account takes root";
  const std::string rights = service_capabilities();
  EXPECT_THAT(rights, HasSubstr("+sys_ptrace"));
  const fs::path home = fmt::format("/tmp/lantern-service-{}", ::getpid());
  std::vector<std::string> arguments = {"/usr/bin/setpriv",
                                        "--reuid=65534",
                                        "--regid=65534",
                                        "--clear-groups",
                                        "--inh-caps=-all," + rights,
                                        "--ambient-caps=-all," + rights,
                                        "--bounding-set=-all," + rights,
                                        "--no-new-privs",
                                        "/usr/bin/env",
                                        "LANTERN_HOME=" + home.string()};
  for (const std::string& one : watch_arguments(config())) arguments.push_back(one);
  fs::permissions(folder_, fs::perms(0700));  // root's own: nobody else may look in
  const fs::path deleted = write_watched_model(folder_ / "gone.gguf", "Deleted 8M");
  const auto engine = run_engine(deleted);
  fs::remove(deleted);
  fs::permissions(folder_ / "watch.toml", fs::perms(0644));
  Watched watch(arguments, errors());
  const Json appeared = watch.next("finding.appeared", engine->pid());
  ASSERT_TRUE(appeared.is_object()) << said();
  EXPECT_EQ(appeared["finding"]["level"], "alert");
  EXPECT_THAT(appeared["finding"]["weights"].dump(), HasSubstr("map_files")) << "deleted, and read";
  EXPECT_THAT(appeared["finding"]["weights"].dump(), HasSubstr("Deleted 8M"));
  fs::remove_all(home);
}

}  // namespace
}  // namespace lantern::tests
