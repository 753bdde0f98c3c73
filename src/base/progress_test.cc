#include "base/progress.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <vector>

#include "base/paths.h"

namespace lantern::base {
namespace {

using std::chrono::milliseconds;

/// A screen and a clock of the test's own.
struct Screen {
  std::vector<std::string> lines;
  ProgressOutput::Clock::time_point time{};

  ProgressOutput output(bool terminal) {
    ProgressOutput out;
    out.write = [this](std::string_view text) { lines.emplace_back(text); };
    out.is_terminal = terminal;
    out.now = [this] { return time; };
    return out;
  }
  void pass(int ms) { time += milliseconds(ms); }
};

TEST(Progress, SaysNothingOfWhatTakesLessThanASecond) {
  for (bool terminal : {false, true}) {
    Screen screen;
    Progress progress({.label = "x", .total = 100}, screen.output(terminal));
    for (int i = 0; i < 9; ++i) {
      screen.pass(100);
      progress.advance(10);
    }
    progress.finish();
    EXPECT_TRUE(screen.lines.empty());
  }
}

TEST(Progress, PlainLinesAreFewAndSayRateAndTimeLeft) {
  Screen screen;
  Progress progress({.label = "Downloading m.gguf", .total = 100'000'000}, screen.output(false));
  for (int i = 0; i < 200; ++i) {  // 20 s of 4 MB/s
    screen.pass(100);
    progress.advance(400'000);
  }
  progress.finish();
  ASSERT_EQ(screen.lines.size(), 3u);
  EXPECT_EQ(screen.lines[0],
            "Downloading m.gguf    4 %  4.0 MB of 100.0 MB  4.0 MB/s  24 s left\n");
  EXPECT_EQ(screen.lines[1],
            "Downloading m.gguf   44 %  44.0 MB of 100.0 MB  4.0 MB/s  14 s left\n");
  EXPECT_EQ(screen.lines[2], "Downloading m.gguf  80.0 MB in 20 s (4.0 MB/s)\n");
}

TEST(Progress, ATerminalGetsABarThatFitsItsWidth) {
  for (int columns : {20, 40, 80, 200}) {
    Screen screen;
    auto output = screen.output(true);
    output.columns = columns;
    Progress progress(
        {.label = "Loading", .total = 1000, .unit = Progress::Unit::kItems, .item = "tensors"},
        output);
    for (int i = 0; i < 20; ++i) {
      screen.pass(100);
      progress.advance(25);
    }
    ASSERT_FALSE(screen.lines.empty());
    for (const auto& line : screen.lines) {
      EXPECT_EQ(line.front(), '\r');
      EXPECT_LT(line.size(), static_cast<size_t>(columns) + 5);  // "\r" and "\x1b[K" take no width
    }
    if (columns == 200) {
      EXPECT_NE(
          screen.lines.back().find(
              "[###############...............]  50 %  500 of 1000 tensors  250.0/s  2.0 s left"),
          std::string::npos)
          << screen.lines.back();
    }
  }
}

TEST(Progress, LabelsFromOutsideCannotDriveTheTerminal) {
  Screen screen;
  Progress progress({.label = "a\x1b[2Jb\n"}, screen.output(false));
  screen.pass(1500);
  progress.set(10);
  ASSERT_EQ(screen.lines.size(), 1u);
  EXPECT_EQ(screen.lines[0].substr(0, 8), "a?[2Jb? ");
}

TEST(Progress, AResumedPartIsNotCountedIntoTheRate) {
  Screen screen;
  Progress progress({.label = "x", .total = 2'000'000, .done = 1'000'000}, screen.output(false));
  screen.pass(2000);
  progress.advance(1'000'000);
  progress.finish();
  EXPECT_EQ(screen.lines.back(), "x  2.0 MB in 2.0 s (500.0 kB/s)\n");
}

TEST(Progress, UnitsRoundToWhatAPersonReads) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(999'949), "999.9 kB");
  EXPECT_EQ(format_bytes(999'950), "1.0 MB");
  EXPECT_EQ(format_bytes(92'871'040), "92.9 MB");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
  EXPECT_EQ(format_duration(7500), "2 h 05 min");
}

class Environment {
 public:
  explicit Environment(std::initializer_list<std::pair<const char*, const char*>> values) {
    for (auto [name, value] : values) {
      const char* old = getenv(name);
      saved_.emplace_back(name, old ? old : "\1");
      value ? setenv(name, value, 1) : unsetenv(name);
    }
  }
  ~Environment() {
    for (auto& [name, value] : saved_)
      value == "\1" ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::pair<std::string, std::string>> saved_;
};

TEST(Paths, FollowTheXdgSpecification) {
  {
    Environment environment({{"LANTERN_HOME", nullptr},
                             {"HOME", "/home/ada"},
                             {"XDG_DATA_HOME", nullptr},
                             {"XDG_CONFIG_HOME", "/etc/x"},
                             {"XDG_STATE_HOME", "relative"},
                             {"XDG_CACHE_HOME", ""}});
    auto folders = own_folders();
    ASSERT_TRUE(folders.ok());
    EXPECT_EQ(folders->data, "/home/ada/.local/share/lantern");
    EXPECT_EQ(folders->config, "/etc/x/lantern");
    EXPECT_EQ(folders->state, "/home/ada/.local/state/lantern");
    EXPECT_EQ(folders->cache, "/home/ada/.cache/lantern");
  }
  Environment environment({{"LANTERN_HOME", "/srv/l"}});
  EXPECT_EQ(own_folders()->data, "/srv/l/data");
  Environment relative({{"LANTERN_HOME", "l"}});
  EXPECT_EQ(own_folders().error().message, "LANTERN_HOME is \"l\": give an absolute path");
}

TEST(Paths, PrivateFoldersAreForThisUserAlone) {
  auto root = std::filesystem::temp_directory_path() / "lantern-paths-test";
  std::filesystem::remove_all(root);
  ASSERT_TRUE(make_private_folder(root / "a/b").ok());
  ASSERT_TRUE(make_private_folder(root / "a/b").ok());
  EXPECT_EQ(std::filesystem::status(root / "a/b").permissions(), std::filesystem::perms::owner_all);
  FILE* file = fopen((root / "f").c_str(), "w");
  fclose(file);
  EXPECT_EQ(make_private_folder(root / "f").error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace lantern::base
