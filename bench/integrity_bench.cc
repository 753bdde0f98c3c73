// What taking a file in and checking it cost. Not a micro-benchmark: it reads and writes whole
// files, so each mode runs once and says what it did, by the wall clock and by the time that its
// threads had a processor (which is what counts where the machine has other work).
//
//   integrity_bench hash FILE            reading alone, SHA-256, SHA-256 with the fs-verity digest
//   integrity_bench admit FILE FOLDER    a copy alone, then as admission copies and hashes it
//   integrity_bench check FILE FOLDER    first use in place, then the check of a warm load
//
// Read FILE once before, so that it comes from memory. FOLDER need not exist; it is left empty.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "supply/staging.h"
#include "supply/store.h"
#include "supply/verity.h"

namespace {

using namespace lantern;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class Timer {
 public:
  [[nodiscard]] double wall_s() const {
    return std::chrono::duration<double>(Clock::now() - wall_).count();
  }
  [[nodiscard]] double cpu_s() const {
    return static_cast<double>(std::clock() - cpu_) / CLOCKS_PER_SEC;
  }

 private:
  Clock::time_point wall_ = Clock::now();
  std::clock_t cpu_ = std::clock();
};

void say(std::string_view what, uint64_t bytes, const Timer& timer) {
  const double wall_s = timer.wall_s(), cpu_s = timer.cpu_s();
  const auto rate = [&](double s) { return static_cast<double>(bytes) / std::max(s, 1e-9) / 1e9; };
  fmt::print("{:<44} {:7.3f} s {:6.2f} GB/s, processor {:7.3f} s {:6.2f} GB/s\n", what, wall_s,
             rate(wall_s), cpu_s, rate(cpu_s));
}

Status hash(const fs::path& path) {
  LANTERN_ASSIGN(const base::ReadFile file, base::ReadFile::open(path));
  std::vector<std::byte> buffer(1u << 20);
  const Timer reading;
  for (uint64_t at = 0; at < file.size(); at += buffer.size())
    LANTERN_TRY(file.read_at(
        at, std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.size() - at))));
  say("reading", file.size(), reading);
  for (auto verity : {supply::ContentHash::Verity::kNo, supply::ContentHash::Verity::kYes}) {
    const Timer timer;
    LANTERN_ASSIGN(supply::ContentHash done,
                   supply::hash_prefix(file, file.size(), {.verity = verity}));
    const std::string hex = base::to_hex(done.finish().sha256).substr(0, 12);
    const bool both = verity == supply::ContentHash::Verity::kYes;
    say(fmt::format("reading and SHA-256{} ({})", both ? " and fs-verity" : "", hex), file.size(),
        timer);
  }
  return {};
}

Status copy_alone(const base::ReadFile& file, const fs::path& to) {
  const base::UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (out.get() < 0) return base::errno_error(errno, to.string());
  std::vector<std::byte> buffer(1u << 20);
  const Timer copying;
  for (uint64_t at = 0; at < file.size(); at += buffer.size()) {
    const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.size() - at));
    LANTERN_TRY(file.read_at(at, piece));
    LANTERN_TRY(supply::write_fully(out.get(), piece, to));
  }
  say("copying", file.size(), copying);
  const Timer syncing;
  ::fsync(out.get());
  say("  and its fsync", file.size(), syncing);
  ::unlink(to.c_str());
  return {};
}

Status admit(const fs::path& path, const fs::path& folder) {
  LANTERN_ASSIGN(const base::ReadFile file, base::ReadFile::open(path));
  fs::create_directories(folder);
  LANTERN_TRY(copy_alone(file, folder / "copy"));
  for (int n_threads : {1, 2}) {
    LANTERN_ASSIGN(auto writer, supply::StagedWriter::create(folder / "staged", "model"));
    const Timer copying;
    LANTERN_TRY(writer.copy(file, {.n_threads = n_threads}));
    say(fmt::format("copying and SHA-256, {} thread(s)", n_threads), file.size(), copying);
    const Timer syncing;
    LANTERN_ASSIGN(const supply::StagedFile staged, writer.finish());
    say("  and its fsync", file.size(), syncing);
    fs::remove(staged.at);
  }
  return {};
}

Status check(const fs::path& path, const fs::path& folder) {
  constexpr int kTimes = 200;
  const supply::Store store(folder);
  const Timer hashing;
  LANTERN_ASSIGN(const auto first, store.digest_in_place(path, {}));
  say("first use in place", first.stamp.size, hashing);
  std::vector<double> ms;
  for (int i = 0; i < kTimes; ++i) {
    const Timer checking;
    LANTERN_ASSIGN(const auto again, store.digest_in_place(path, {}));
    ms.push_back(1e3 * checking.wall_s());
    if (again.how == supply::Verified::kByHashing)
      return make_error(ErrorCode::kInvalidArgument, "{}: changed less than 2 s ago",
                        path.string());
  }
  std::sort(ms.begin(), ms.end());
  fmt::print("check of a warm load, {} times: median {:.3f} ms, slowest {:.3f} ms\n", kTimes,
             ms[ms.size() / 2], ms.back());
  fs::remove_all(folder);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  Status status = make_error(ErrorCode::kInvalidArgument,
                             "usage: integrity_bench hash FILE | admit FILE FOLDER | check FILE "
                             "FOLDER");
  if (mode == "hash" && argc == 3) status = hash(argv[2]);
  if (mode == "admit" && argc == 4) status = admit(argv[2], argv[3]);
  if (mode == "check" && argc == 4) status = check(argv[2], argv[3]);
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}
