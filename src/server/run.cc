#include "server/run.h"

#include <utility>

#include "server/notify.h"

namespace lantern::server {

Status check_listen(const ListenAddress& address) {
  if (is_loopback(address)) return {};
  return make_error(ErrorCode::kDenied,
                    "denied by rule lantern.listen: {} can be reached from other machines, which "
                    "takes keys and TLS; listen on 127.0.0.1 or [::1]",
                    address.host);
}

Status run_service(std::unique_ptr<gate::ModelHost> host, const RunOptions& options,
                   const std::stop_token& stop) {
  LANTERN_TRY(check_listen(options.listen));
  Service service(options.listen.host, std::move(host));
  LANTERN_ASSIGN(const auto server,
                 HttpServer::listen(options.listen, options.limits,
                                    [&service](Request request, std::shared_ptr<Reply> reply) {
                                      service.handle(std::move(request), reply);
                                    }));
  const ListenAddress got = server->address();
  const bool v6 = got.host.find(':') != std::string::npos;
  if (options.on_ready)
    LANTERN_TRY(options.on_ready(
        fmt::format("http://{}{}{}:{}", v6 ? "[" : "", got.host, v6 ? "]" : "", got.port)));
  notify_service_manager("READY=1");
  const std::stop_callback draining(stop, [&service] {
    service.set_ready(false);
    notify_service_manager("STOPPING=1");
  });
  server->run(stop, options.drain);
  service.end();
  return {};
}

}  // namespace lantern::server
