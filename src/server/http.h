// HTTP as endpoints see it: plain values, no socket and no library.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "gate/caller.h"

namespace lantern::server {

/// Names are compared without regard to case, as HTTP does; the first of a name counts.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  /// Null where there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  [[nodiscard]] size_t count(std::string_view name) const;
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method = {};
  std::string target = {};                             // as it was sent
  std::string path = {};                               // of the target, percent-decoded
  std::map<std::string, std::string> parameters = {};  // of the endpoint's path: {model}
  Headers headers = {};
  std::string body = {};
  std::string id = {};  // made here, unlike any other's
  /// Who asks; looks through the process table, so only where it is needed. May be empty.
  std::function<gate::Caller()> identify = {};
  bool on_socket = false;      // it came through the service's Unix socket
  bool peer_is_admin = false;  // there, from this process's own account or root
};

struct Response {
  int status = 200;
  Headers headers = {};  // Content-Type among them
  std::string body = {};
};

Response json_response(int status, const base::OrderedJson& document);

/// The way back to one client. Exactly one send(), or start(), any number of write() and one end().
/// Safe from any thread; never blocks: what a slow reader leaves waits, and past a bound the client
/// counts as gone.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual void send(Response response) = 0;
  /// `response.body` is the stream's first piece.
  virtual void start(Response response) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  /// Stops once the client has gone, or reads too slowly, or the service ends.
  [[nodiscard]] virtual std::stop_token gone() const = 0;
  /// What there is to say of it to whoever still listens: that the service ends, or why his key no
  /// longer stands. Empty where the client itself has gone, and before gone() stops.
  [[nodiscard]] virtual std::optional<Error> why_gone() const { return std::nullopt; }
};

/// Splits a target into its decoded path and nothing else; kInvalidArgument for what is no absolute
/// path, and for a broken escape or an escaped NUL.
Result<std::string> path_of_target(std::string_view target);

/// The reverse: "/a/b%20c" of parts that are text. kInvalidArgument for a part that is empty.
Result<std::string> target_of_parts(std::initializer_list<std::string_view> parts);

}  // namespace lantern::server
