// The audit log's speed on a real disk. Not a micro-benchmark: what is measured is fsync and
// hashing, so each mode runs once over a folder and says what it did.
//
//   audit_bench append FOLDER THREADS SECONDS   entries a second, each answered once it is durable
//   audit_bench fill FOLDER ENTRIES             makes a log of that many entries
//   audit_bench verify FOLDER THREADS           checks every byte of it
//
// The key is kept in FOLDER/../bench.key, the anchor in FOLDER.anchor.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "audit/log.h"
#include "audit/verify.h"

namespace {

using namespace lantern;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What a load of a model records: about 480 bytes.
audit::Event typical_event(int64_t number) {
  return {.action = audit::Action::kChat,
          .decision = audit::Decision::kAllow,
          .actor = {.user = "ada", .uid = 1000, .program = "/usr/bin/python3.11"},
          .model = audit::ModelRef{.id = std::string(64, 'a'), .name = "smollm2"},
          .rule = "catalog",
          .digests = {{.of = "request",
                       .hmac = std::string(64, 'b'),
                       .key_id = std::string(16, 'c'),
                       .bytes = 1200}},
          .facts = {{"tokens", number}}};
}

Result<base::PrivateKey> bench_key(const std::filesystem::path& folder) {
  const auto path = folder.parent_path() / "bench.key";
  if (std::filesystem::exists(path)) return base::PrivateKey::load(path);
  LANTERN_ASSIGN(auto key, base::PrivateKey::generate(base::KeyKind::kEd25519));
  LANTERN_TRY(key.save(path));
  return key;
}

Result<std::unique_ptr<audit::Log>> open(const std::filesystem::path& folder) {
  LANTERN_ASSIGN(auto key, bench_key(folder));
  return audit::Log::open({.folder = folder,
                           .anchor = folder.string() + ".anchor",
                           .origin = "bench.invalid/log",
                           .keys = {.signer = std::move(key)}});
}

Status append(const std::filesystem::path& folder, int n_threads, double seconds) {
  LANTERN_ASSIGN(const auto log, open(folder));
  std::atomic<bool> stop = false;
  std::vector<std::vector<double>> waits_ms(static_cast<size_t>(n_threads));
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  for (auto& own : waits_ms)
    threads.emplace_back([&] {
      for (int64_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        const auto begin = Clock::now();
        if (!log->append(typical_event(i)).ok()) return;
        own.push_back(1e3 * seconds_since(begin));
      }
    });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double took = seconds_since(start);
  std::vector<double> all;
  for (const auto& own : waits_ms) all.insert(all.end(), own.begin(), own.end());
  std::sort(all.begin(), all.end());
  if (all.empty()) return make_error(ErrorCode::kIo, "nothing was appended");
  fmt::print("{} threads: {} entries in {:.1f} s, {:.0f} a second; p50 {:.2f} ms, p99 {:.2f} ms\n",
             n_threads, all.size(), took, static_cast<double>(all.size()) / took,
             all[all.size() / 2], all[all.size() * 99 / 100]);
  return {};
}

Status fill(const std::filesystem::path& folder, uint64_t n_entries) {
  LANTERN_ASSIGN(const auto log, open(folder));
  const auto start = Clock::now();
  std::vector<audit::Event> events(4096, typical_event(0));
  while (log->head().size < n_entries) {
    const uint64_t left = n_entries - log->head().size;
    events.resize(std::min<uint64_t>(events.size(), left), typical_event(0));
    for (size_t i = 0; i < events.size(); ++i)
      events[i].facts[0].value = static_cast<int64_t>(log->head().size + i);
    auto index = log->append(events);
    if (!index.ok()) return std::move(index).error();
  }
  fmt::print("{} entries in {:.1f} s\n", n_entries, seconds_since(start));
  return {};
}

Status verify(const std::filesystem::path& folder, int n_threads) {
  LANTERN_ASSIGN(const auto key, bench_key(folder));
  const auto start = Clock::now();
  LANTERN_ASSIGN(
      const auto verdict,
      audit::verify_log({.folder = folder, .keys = {key.public_key()}, .n_threads = n_threads}));
  const double took = seconds_since(start);
  fmt::print("{} threads: {} entries, {}, in {:.1f} s, {:.0f} a second\n", n_threads,
             verdict.n_entries, verdict.consistent() ? "consistent" : "NOT CONSISTENT", took,
             static_cast<double>(verdict.n_entries) / took);
  for (const auto& finding : verdict.findings) fmt::print("{}\n", finding.message);
  return {};
}

Result<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || value == 0)
    return make_error(ErrorCode::kInvalidArgument, "{}: not a number", text);
  return value;
}

Status run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3)
    return make_error(ErrorCode::kInvalidArgument,
                      "audit_bench append FOLDER THREADS SECONDS | fill FOLDER ENTRIES | "
                      "verify FOLDER THREADS");
  const auto folder = std::filesystem::absolute(arguments[1]);
  LANTERN_ASSIGN(const uint64_t first, number(arguments[2]));
  if (arguments[0] == "fill") return fill(folder, first);
  if (arguments[0] == "verify") return verify(folder, static_cast<int>(first));
  LANTERN_ASSIGN(const uint64_t seconds, number(arguments.size() > 3 ? arguments[3] : "10"));
  return append(folder, static_cast<int>(first), static_cast<double>(seconds));
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = run({argv + 1, argv + argc});
  if (status.ok()) return 0;
  fmt::print(stderr, "audit_bench: {}\n", status.error().message);
  return 1;
}
