// What it costs to bring events to receivers on this machine: each mode publishes events whose
// text has BYTES (the line some 250 more), waits until all are delivered, and says how fast; then
// one by one, how long an event takes from publish() until its receiver has it.
//
//   delivery_bench file|tls|http FOLDER EVENTS BYTES BATCH
//
// FOLDER takes the spool and, for `file`, the lines. BATCH events are published at once.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "delivery/dispatcher.h"
#include "delivery/test_support.h"

namespace {

using namespace lantern;
using delivery::Dispatcher;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Peak resident memory, in MB.
double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1000;
  return 0;
}

int fail(const Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return 1;
}

struct Work {
  std::filesystem::path folder = {};
  int n_events = 0, batch = 1;
  size_t bytes = 0;
};

int measure(const Work& work, const std::string& toml) {
  auto receivers = delivery::parse_receivers(toml, "bench");
  if (!receivers.ok()) return fail(receivers.error());
  const double before_mb = peak_mb();
  auto dispatcher = Dispatcher::start(*std::move(receivers), {.folder = work.folder / "spools"});
  if (!dispatcher.ok()) return fail(dispatcher.error());
  const auto start = Clock::now();
  std::vector<delivery::Event> events;
  for (int i = 0; i < work.n_events; i += work.batch) {
    events.clear();
    for (int n = 0; n < work.batch; ++n)
      events.push_back(delivery::testing::sample_event(i + n, work.bytes));
    if (const Status done = (*dispatcher)->publish(events); !done.ok()) return fail(done.error());
  }
  const double published_s = seconds_since(start);
  (void)(*dispatcher)->flush(std::chrono::minutes(10));
  const double delivered_s = seconds_since(start);
  const double peak = peak_mb();
  std::vector<double> ms;
  for (int i = 0; i < 100; ++i) {
    const uint64_t n = (*dispatcher)->states()[0].delivered;
    const auto event = delivery::testing::sample_event(i, work.bytes);
    const auto begin = Clock::now();
    if (const Status done = (*dispatcher)->publish(event); !done.ok()) return fail(done.error());
    while ((*dispatcher)->states()[0].delivered == n)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    ms.push_back(seconds_since(begin) * 1000);
  }
  std::sort(ms.begin(), ms.end());
  fmt::print(
      "published {:.0f}/s, delivered {:.0f}/s; one: median {:.1f} ms, p90 {:.1f} ms; peak {:.1f} "
      "MB, {:.1f} MB at the start\n",
      work.n_events / published_s, work.n_events / delivered_s, ms[50], ms[90], peak, before_mb);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: delivery_bench file|tls|http FOLDER EVENTS BYTES BATCH\n");
    return 2;
  }
  const std::string mode = argv[1];
  const Work work{.folder = argv[2],
                  .n_events = std::atoi(argv[3]),
                  .batch = std::max(1, std::atoi(argv[5])),
                  .bytes = static_cast<size_t>(std::atoi(argv[4]))};
  if (mode == "file")
    return measure(work, fmt::format("[[receivers]]\nname='bench'\nkind='json-lines'\npath='{}'\n",
                                     (work.folder / "events.jsonl").string()));
  if (mode == "tls") {
    const auto ca = delivery::testing::make_ca();
    const delivery::testing::Certificate certificate({}, &ca);
    std::ofstream(work.folder / "ca.pem") << ca.cert_pem();
    delivery::testing::SyslogServer server({.certificate = &certificate});
    server.start();
    return measure(work, fmt::format("[[receivers]]\nname='bench'\nkind='syslog'\naddress='tls://"
                                     "localhost:{}'\nca='{}'\n",
                                     server.port(), (work.folder / "ca.pem").string()));
  }
  delivery::testing::HttpServer server(
      [](const delivery::testing::HttpAsked&) { return std::string("200 OK"); });
  server.start();
  return measure(work,
                 fmt::format("[[receivers]]\nname='bench'\nkind='http'\nurl='{}'\n", server.url()));
}
