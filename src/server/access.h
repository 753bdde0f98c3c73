// Who may call which endpoint: API keys, what they are for, and the service's own socket.
//
// A key comes as `Authorization: Bearer` or `x-api-key`. Where keys are required nothing but what
// is public answers without one. On loopback, where they are not, one that is presented still
// counts: a wrong one is refused, its user is who asks, its limits hold. Clients that insist on a
// key may send anything there that does not look like one of ours.
//
// A key that is revoked or expires ends the answers that run under it, too, within a second.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "gate/api_keys.h"
#include "server/endpoint.h"
#include "server/http.h"

namespace lantern::server {

class Access {
 public:
  /// kExhausted where no thread is to be had.
  static Result<std::unique_ptr<Access>> start(std::unique_ptr<gate::ApiKeys> keys,
                                               std::shared_ptr<gate::Usage> usage,
                                               bool keys_required);
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

  /// Safe for any number of threads, as all below.
  void require_keys(bool required) { keys_required_.store(required); }
  [[nodiscard]] bool keys_required() const { return keys_required_.load(); }
  [[nodiscard]] gate::Usage& usage() { return *usage_; }

  /// What `request` is refused with, in the endpoint's shape; nothing where it may go on. Then its
  /// identify() knows the key and where use is counted, and `reply` ends with the key.
  std::optional<Response> check(const Endpoint& endpoint, Request& request,
                                std::shared_ptr<Reply>& reply);

 private:
  struct Leases;  // the replies that go under a key
  class LeasedReply;
  Access(std::unique_ptr<gate::ApiKeys> keys, std::shared_ptr<gate::Usage> usage,
         bool keys_required);
  std::optional<Response> refuse(const Endpoint& endpoint, const Request& request,
                                 const Error& error);
  void watch(const std::stop_token& stop);

  std::unique_ptr<gate::ApiKeys> keys_;
  const std::shared_ptr<gate::Usage> usage_;
  std::atomic<bool> keys_required_;
  std::shared_ptr<Leases> leases_;
  std::jthread watcher_;  // last: ends before what it uses
};

/// The key that a request brings; null: none. One that has a key's form goes before one that has
/// not.
const std::string* presented_key(const Request& request, std::string& space);

}  // namespace lantern::server
