// How events reach a receiver. One file a transport: transports/<name>.cc defines
// `extern const TransportKind k_<name>`.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/toml_reader.h"
#include "delivery/address.h"
#include "delivery/event.h"
#include "delivery/spool.h"
#include "delivery/stream.h"

namespace lantern::delivery {

/// What came of delivering some events, in their order.
struct Outcome {
  size_t n_done = 0;  // the first so many need no further delivery: they arrived, or were refused
  struct Refused {
    size_t index = 0;
    std::string why = {};
  };
  std::vector<Refused> refused = {};  // of the first n_done: the receiver will never take these
  std::optional<Error> fault = {};    // why not all are done
  Spool::Rest rest = Spool::Rest::kMayHaveArrived;
  std::chrono::milliseconds retry_after = {};  // as the receiver asks; 0: it does not
};

/// One receiver's end. deliver() is called by one thread at a time, form() by any.
class Transport {
 public:
  virtual ~Transport() = default;
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// The event as this receiver gets it, on one line. Nothing that may change later (a
  /// connection, a token) goes into it.
  [[nodiscard]] virtual std::string form(const Event& event) const = 0;
  /// One attempt; what is not done after it is tried again later. Returns soon after a stop.
  virtual Outcome deliver(std::span<const Spooled> events, const std::stop_token& stop) = 0;
};

/// A transport, with what it needs read and checked: files of keys and certificates too.
using TransportMaker = std::function<Result<std::unique_ptr<Transport>>()>;

/// What a transport's own fields say.
struct TransportSettings {
  std::string target = {};  // for people: an address or a path, never a secret
  TransportMaker make = {};
};

struct TransportKind {
  std::string_view name;  // `kind` of [[receivers]]
  /// Reads its own fields; what is wrong with them is the document's fault (base/toml_reader.h).
  TransportSettings (*read)(base::TomlTable& table);
};
std::span<const TransportKind* const> transport_kinds();

// For transports, what several of them read.

/// "ca", "certificate" and "key": absolute paths, the last two together or not at all.
TlsFiles read_tls_files(base::TomlTable& table);
/// "timeout_s" of each step.
std::chrono::seconds read_timeout(base::TomlTable& table);
std::string check_absolute_path(std::string_view text);
/// An address without a user or a password in it; what another address lacks is wrong with `key`.
std::optional<Address> read_address(base::TomlTable& table, std::string_view key);
/// wrong(key) where `address` is another machine's and "insecure" is not true.
void refuse_plain(base::TomlTable& table, std::string_view key, const Address& address);

}  // namespace lantern::delivery
