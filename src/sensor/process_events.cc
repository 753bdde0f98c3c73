#include "sensor/process_events.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>

#include "base/file.h"

namespace lantern::sensor {
namespace {

// enum what of linux/cn_proc.h, which stands in proc_event or outside, as the headers are.
constexpr uint32_t kNone = 0, kExecuted = 2;
constexpr size_t kMessageBytesMax = 1024;  // an event is 76 bytes long
constexpr size_t kTakenMax = 4096;         // at once
/// Of a burst of processes: some thousands of events, which the kernel counts with their overhead.
constexpr int kQueueBytes = 2 << 20;
constexpr size_t kWhatAt = NLMSG_HDRLEN + sizeof(cn_msg) + offsetof(proc_event, what);
constexpr std::chrono::milliseconds kListeningWait{1000};

/// Every fork and every end of a thread would wake this process; the kernel's filter lets by the
/// events of execution, and what answers the request to listen.
Status filter_executions(int fd) {
  // `what` stands in the machine's order, and the filter loads the network's.
  auto program = std::to_array<sock_filter>(
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kWhatAt),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap32(kExecuted), 1, 0),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNone, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
       BPF_STMT(BPF_RET | BPF_K, 0)});
  static_assert(std::endian::native == std::endian::little);
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    return base::errno_error(errno, "the proc connector's filter");
  return {};
}

Status ask_to_listen(int fd) {
  const proc_cn_mcast_op operation = PROC_CN_MCAST_LISTEN;
  std::array<std::byte, NLMSG_HDRLEN + sizeof(cn_msg) + sizeof operation> request{};
  const nlmsghdr header{.nlmsg_len = request.size(),
                        .nlmsg_type = NLMSG_DONE,
                        .nlmsg_flags = 0,
                        .nlmsg_seq = 0,
                        .nlmsg_pid = 0};
  cn_msg message{};
  message.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC};
  message.len = sizeof operation;
  std::memcpy(request.data(), &header, sizeof header);
  std::memcpy(request.data() + NLMSG_HDRLEN, &message, sizeof message);
  std::memcpy(request.data() + NLMSG_HDRLEN + sizeof message, &operation, sizeof operation);
  if (::send(fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size()))
    return base::errno_error(errno, "the proc connector");
  return {};
}

template <typename T>
bool read_at(std::span<const std::byte> bytes, size_t at, T& value) {
  if (at > bytes.size() || bytes.size() - at < sizeof value) return false;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return true;
}

/// The kernel answers the request with an event of none, whose error says whether it listens. An
/// event of an execution that comes before says so, too.
Status wait_for_answer(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  std::array<std::byte, kMessageBytesMax> answer;
  const ssize_t n = ::poll(&waiting, 1, static_cast<int>(kListeningWait.count())) == 1
                        ? ::recv(fd, answer.data(), answer.size(), MSG_DONTWAIT)
                        : 0;
  const auto bytes = std::span(answer).first(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  uint32_t what = 0, error = 0;
  if (!read_at(bytes, kWhatAt, what) ||
      !read_at(bytes, kWhatAt + offsetof(proc_event, event_data), error))
    return make_error(ErrorCode::kUnsupported,
                      "the kernel's proc connector does not answer (it does outside of containers, "
                      "with CONFIG_PROC_EVENTS)");
  if (what == kNone && error != 0)
    return make_error(ErrorCode::kDenied, "this kernel's proc connector takes CAP_NET_ADMIN");
  return {};
}

class ProcConnector final : public ProcessEvents {
 public:
  explicit ProcConnector(base::UniqueFd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] std::string_view name() const override { return "proc connector"; }
  [[nodiscard]] int fd() const override { return fd_.get(); }

  StartedPrograms take() override {
    StartedPrograms started;
    std::array<std::byte, kMessageBytesMax> datagram;
    while (started.pids.size() < kTakenMax) {
      sockaddr_nl from{};
      socklen_t from_bytes = sizeof from;
      const ssize_t n = ::recvfrom(fd_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &from_bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == ENOBUFS) {
        started.lost = true;
        continue;
      }
      if (n <= 0) break;
      if (from.nl_pid != 0) continue;  // not the kernel's
      for (const int pid : parse_proc_events(std::span(datagram).first(static_cast<size_t>(n))))
        started.pids.push_back(pid);
    }
    return started;
  }

 private:
  base::UniqueFd fd_;
};

}  // namespace

std::vector<int> parse_proc_events(std::span<const std::byte> datagram) {
  std::vector<int> pids;
  while (!datagram.empty()) {
    nlmsghdr header;
    if (!read_at(datagram, 0, header) || header.nlmsg_len < NLMSG_HDRLEN ||
        header.nlmsg_len > datagram.size())
      break;
    const auto message = datagram.first(header.nlmsg_len).subspan(NLMSG_HDRLEN);
    datagram = datagram.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
    cn_msg connector;
    uint32_t what = 0;
    decltype(proc_event::event_data.exec) exec;
    if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_NOOP ||
        !read_at(message, 0, connector) || connector.id.idx != CN_IDX_PROC ||
        connector.id.val != CN_VAL_PROC ||
        !read_at(message, sizeof connector + offsetof(proc_event, what), what) ||
        what != kExecuted ||
        !read_at(message, sizeof connector + offsetof(proc_event, event_data), exec) ||
        exec.process_tgid <= 0)
      continue;
    pids.push_back(exec.process_tgid);
  }
  return pids;
}

Result<std::unique_ptr<ProcessEvents>> open_proc_connector() {
  base::UniqueFd fd(
      ::socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (fd.get() < 0) return make_error(ErrorCode::kUnsupported, "the kernel has no proc connector");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EPERM)
      return make_error(ErrorCode::kDenied, "this kernel's proc connector takes CAP_NET_ADMIN");
    return base::errno_error(errno, "the proc connector");
  }
  // Past the administrator's limit, which CAP_NET_ADMIN may.
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kQueueBytes, sizeof kQueueBytes) != 0)
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kQueueBytes, sizeof kQueueBytes);
  LANTERN_TRY(filter_executions(fd.get()));
  LANTERN_TRY(ask_to_listen(fd.get()));
  LANTERN_TRY(wait_for_answer(fd.get()));
  return std::unique_ptr<ProcessEvents>(std::make_unique<ProcConnector>(std::move(fd)));
}

}  // namespace lantern::sensor
