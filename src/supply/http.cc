#include "supply/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "base/ascii.h"
#include "base/loopback.h"
#include "base/printable.h"
#include "base/progress.h"
#include "supply/names.h"
#include "supply/staging.h"

namespace lantern::supply {
namespace {

constexpr size_t kHeaderBytesMax = 256u << 10;
constexpr size_t kErrorBodyBytesMax = 64u << 10;
constexpr int kRetryAfterMax_s = 60;

bool is_success(int status) { return status == 200 || status == 206; }
bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string where(const Url& url) { return base::printable(url.origin + url.path, 300); }

void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)started;
}

struct HeaderList {
  curl_slist* list = nullptr;
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list, line.c_str())) list = longer;
  }
};

/// What libcurl's error means for a person; and whether trying again may help.
struct Failure {
  Error error;
  bool transient = false;
};

Failure explain_curl(CURLcode code, const char* detail, const Url& url) {
  std::string why = *detail ? detail : curl_easy_strerror(code);
  auto io = [&](bool transient, std::string message) {
    return Failure{Error{ErrorCode::kIo, std::move(message)}, transient};
  };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return io(false, fmt::format("{}: its address cannot be found: is this machine connected? "
                                   "({})",
                                   url.origin, why));
    case CURLE_COULDNT_CONNECT:
      return io(true, fmt::format("{}: no connection ({})", url.origin, why));
    case CURLE_OPERATION_TIMEDOUT:
      return io(true, fmt::format("{}: no answer in time ({})", url.origin, why));
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return io(true, fmt::format("{}: the connection broke off ({})", url.origin, why));
    case CURLE_SSL_CONNECT_ERROR:
      return io(true, fmt::format("{}: no TLS connection ({})", url.origin, why));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return io(false,
                fmt::format("{}: its certificate is not trusted: set CURL_CA_BUNDLE to a file "
                            "with your organisation's certificates ({})",
                            url.origin, why));
    default:
      return io(false, fmt::format("{}: {}", url.origin, why));
  }
}

}  // namespace

std::string HttpReply::header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

bool is_transient_status(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

Error status_error(const HttpRequest& request, const HttpReply& reply) {
  if (request.explain)
    if (auto error = request.explain(reply)) return std::move(*error);
  std::string place = where(request.url);
  switch (reply.status) {
    case 401:
    case 403:
      return make_error(ErrorCode::kIo, "{}: access refused ({}): it needs a login", place,
                        reply.status);
    case 404:
    case 410:
      return make_error(ErrorCode::kNotFound, "{}: not there ({})", place, reply.status);
    case 429:
      return make_error(ErrorCode::kIo, "{}: too many requests: try again later", place);
    default:
      return make_error(ErrorCode::kIo, "{}: the server answered {}", place, reply.status);
  }
}

/// One request to one server, from headers to the end of the body.
struct HttpClient::Hop {
  const Exchange& exchange;
  const std::stop_token& stop;
  HttpReply reply = {};
  size_t header_bytes = 0;
  bool head_done = false;
  std::optional<Error> failure = {};  // ours; curl only hears that the callback refused

  bool keeps_body() const { return is_success(reply.status); }

  size_t fail(Error error) {
    failure = std::move(error);
    return 0;
  }

  size_t on_header(std::string_view line) {
    size_t n = line.size();
    header_bytes += n;
    if (header_bytes > kHeaderBytesMax)
      return fail(make_error(ErrorCode::kTooLarge, "{}: over {} bytes of headers", reply.url.origin,
                             kHeaderBytesMax));
    if (line.starts_with("HTTP/")) {  // of each interim reply, too
      reply.headers.clear();
      reply.status = 0;
      size_t space = line.find(' ');
      if (space != std::string_view::npos)
        std::from_chars(line.data() + space + 1, line.data() + n, reply.status);
      return n;
    }
    const std::string_view text = base::trimmed(line);
    if (text.empty()) return end_of_headers() ? n : 0;
    size_t colon = text.find(':');
    if (colon == std::string::npos) return n;
    reply.headers[base::to_lower(text.substr(0, colon))] = base::trimmed(text.substr(colon + 1));
    return n;
  }

  bool end_of_headers() {
    if (reply.status < 200 || head_done) return true;
    head_done = true;
    if (!keeps_body() || !exchange.on_head) return true;
    if (Status status = exchange.on_head(reply); !status.ok()) {
      fail(std::move(status).error());
      return false;
    }
    return true;
  }

  size_t on_body(std::span<const std::byte> piece) {
    if (!keeps_body()) {
      size_t room = kErrorBodyBytesMax - std::min(kErrorBodyBytesMax, reply.body.size());
      reply.body.append(reinterpret_cast<const char*>(piece.data()), std::min(room, piece.size()));
      return piece.size();
    }
    if (exchange.on_body)
      if (Status status = exchange.on_body(piece); !status.ok())
        return fail(std::move(status).error());
    return piece.size();
  }
};

HttpClient::HttpClient(NetworkPermit, HttpOptions options, std::stop_token stop,
                       std::function<void(std::string_view)> notice)
    : options_(options),
      stop_(std::move(stop)),
      notice_(std::move(notice)),
      handle_(nullptr, [](void* curl) { curl_easy_cleanup(curl); }) {
  start_curl();
  handle_.reset(curl_easy_init());
}

HttpClient::~HttpClient() = default;

namespace {

/// The certificates that the person's other tools use.
void set_certificates(CURL* curl) {
  for (const char* variable : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const char* file = std::getenv(variable);
    if (!file || !*file) continue;
    curl_easy_setopt(curl, CURLOPT_CAINFO, file);
    return;
  }
}

void set_common(CURL* curl, const Url& url, const HttpOptions& options) {
  curl_easy_setopt(curl, CURLOPT_URL, url.text.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // each redirect is judged first
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "lantern/" LANTERN_VERSION);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, long{options.connect_timeout_s});
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, long{options.stall_timeout_s});
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
  if (base::is_loopback_host(url.host)) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  set_certificates(curl);
}

}  // namespace

Result<HttpClient::Outcome> HttpClient::one_hop(const HttpRequest& request, const Url& url,
                                                const Exchange& exchange) {
  CURL* curl = handle_.get();
  if (!curl) return make_error(ErrorCode::kExhausted, "no memory for an HTTP client");
  LANTERN_TRY(check_stop(stop_));
  Hop hop{.exchange = exchange, .stop = stop_};
  hop.reply.url = url;
  char detail[CURL_ERROR_SIZE] = "";

  curl_easy_reset(curl);  // keeps connections
  set_common(curl, url, options_);
  HeaderList headers;
  for (const auto& [name, value] : request.headers) headers.add(fmt::format("{}: {}", name, value));
  if (!request.bearer_token.empty() && url.origin == request.url.origin)
    headers.add("Authorization: Bearer " + request.bearer_token);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &hop);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &hop);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &hop);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  // Captureless lambdas inside a member function may name the private Hop.
  curl_write_callback on_header = [](char* data, size_t size, size_t n, void* context) {
    return static_cast<Hop*>(context)->on_header({data, size * n});
  };
  curl_write_callback on_body = [](char* data, size_t size, size_t n, void* context) {
    return static_cast<Hop*>(context)->on_body(std::as_bytes(std::span(data, size * n)));
  };
  curl_xferinfo_callback on_progress = [](void* context, curl_off_t, curl_off_t, curl_off_t,
                                          curl_off_t) {
    return static_cast<Hop*>(context)->stop.stop_requested() ? 1 : 0;
  };
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);

  CURLcode code = curl_easy_perform(curl);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  LANTERN_TRY(check_stop(stop_));
  if (hop.failure) return std::move(*hop.failure);
  Outcome outcome{.reply = std::move(hop.reply), .transient = {}};
  if (code != CURLE_OK) {
    Failure failure = explain_curl(code, detail, url);
    if (!failure.transient) return std::move(failure.error);
    outcome.transient = std::move(failure.error);
  }
  return outcome;
}

Result<HttpClient::Outcome> HttpClient::attempt(const HttpRequest& request,
                                                const Exchange& exchange) {
  LANTERN_TRY(check_scheme(request.url));
  Url url = request.url;
  for (int hop = 0;; ++hop) {
    LANTERN_ASSIGN(Outcome outcome, one_hop(request, url, exchange));
    std::string location = outcome.reply.header("location");
    if (outcome.transient || !is_redirect(outcome.reply.status) || location.empty()) return outcome;
    if (hop == options_.redirects_max)
      return make_error(ErrorCode::kIo, "{}: more than {} redirects", where(request.url),
                        options_.redirects_max);
    LANTERN_ASSIGN(Url next, resolve_url(url, location));
    // A public server must not send us to this machine's own services either.
    bool secure =
        next.scheme == "https" || (next.scheme == "http" && base::is_loopback_host(next.host) &&
                                   base::is_loopback_host(url.host));
    if (!secure)
      return make_error(ErrorCode::kIo, "{}: redirects to {}, which is not https: refused",
                        url.origin, base::printable(next.origin));
    url = std::move(next);
  }
}

Status HttpClient::wait_before(int attempt, const HttpReply* last, const Error& why) {
  if (attempt <= 1) return check_stop(stop_);
  auto wait = std::chrono::milliseconds(int64_t{options_.backoff_ms} << std::min(attempt - 2, 6));
  if (last) {
    std::string asked = last->header("retry-after");
    int asked_s = 0;
    auto [end, code] = std::from_chars(asked.data(), asked.data() + asked.size(), asked_s);
    if (code == std::errc() && end == asked.data() + asked.size() && asked_s > 0)
      wait = std::max(wait, std::chrono::milliseconds(1000 * std::min(asked_s, kRetryAfterMax_s)));
  }
  if (notice_)
    notice_(fmt::format("{}; trying again in {} ({} of {})", why.message,
                        base::format_duration(std::chrono::duration<double>(wait).count()), attempt,
                        options_.attempts_max));
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop_, wait, [] { return false; });
  return check_stop(stop_);
}

Result<HttpReply> HttpClient::get(const HttpRequest& request, uint64_t body_bytes_max) {
  std::optional<Error> why;
  HttpReply last;
  for (int attempt = 1;; ++attempt) {
    LANTERN_TRY(wait_before(attempt, attempt > 1 ? &last : nullptr, why ? *why : Error{}));
    std::string body;
    Exchange exchange{.on_head =
                          [&](const HttpReply&) {
                            body.clear();
                            return Status();
                          },
                      .on_body = [&](std::span<const std::byte> piece) -> Status {
                        if (piece.size() > body_bytes_max - body.size())
                          return make_error(ErrorCode::kTooLarge, "{}: an answer of over {}",
                                            where(request.url), base::format_bytes(body_bytes_max));
                        body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
                        return {};
                      }};
    LANTERN_ASSIGN(Outcome outcome, this->attempt(request, exchange));
    last = std::move(outcome.reply);
    if (outcome.transient) {
      why = std::move(outcome.transient);
    } else if (last.status == 200) {
      last.body = std::move(body);
      return last;
    } else {
      why = status_error(request, last);
      if (!is_transient_status(last.status)) return std::move(*why);
    }
    if (attempt >= options_.attempts_max) return std::move(*why);
  }
}

}  // namespace lantern::supply
