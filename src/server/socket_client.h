// A client of the service over its Unix socket, for the program's own commands: HTTP/1.1, one
// request a connection, everything bounded.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace lantern::server {

struct SocketAnswer {
  int status = 0;
  std::string body = {};  // empty where pieces were taken
};

class SocketClient {
 public:
  explicit SocketClient(std::filesystem::path path) : path_(std::move(path)) {}

  /// Whether somebody answers there: ask()'s errors of connecting.
  [[nodiscard]] Status reach() const;

  /// Sends and waits for the whole answer. `on_piece` takes the body of a success as it comes. An
  /// answer of any status is a value. Errors: kNotFound where nobody answers at the path, kDenied
  /// where this account may not connect, kCancelled, kIo, kCorrupt and kTooLarge for what is no
  /// answer of the service.
  [[nodiscard]] Result<SocketAnswer> ask(
      std::string_view method, std::string_view target, std::string_view body = {},
      const std::function<Status(std::string_view)>& on_piece = {},
      const std::stop_token& stop = {}) const;

  /// The document of a success; the message of a refusal or fault as its Error.
  [[nodiscard]] Result<base::OrderedJson> ask_json(std::string_view method, std::string_view target,
                                                   const base::OrderedJson& body = {}) const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What an answer that is no success says, in whichever shape: the message, as an Error whose code
/// follows from the status.
Error error_of(const SocketAnswer& answer);
/// `message` of the service as an Error: a refusal of a rule is kDenied whatever its status was.
Error error_of(std::string message, ErrorCode otherwise);

/// The end of an answer's header and what it says of the body. kCorrupt. For its fuzz target.
struct AnswerHead {
  int status = 0;
  bool chunked = false;
  std::optional<size_t> length = {};
};
Result<AnswerHead> parse_answer_head(std::string_view head);

/// Takes chunks off a body as it grows. kCorrupt for what is none.
class ChunkReader {
 public:
  /// The content of what is complete.
  Result<std::string> take(std::string_view bytes);
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  std::string waiting_;
  size_t left_ = 0;  // of the chunk under way, its line break included
  bool ended_ = false;
};

}  // namespace lantern::server
