// HTTP: OCSF events as a JSON array, POSTed. What is answered with 2xx is delivered.
#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/loopback.h"
#include "base/printable.h"
#include "delivery/http_headers.h"
#include "delivery/transport.h"

namespace lantern::delivery {
namespace {

constexpr size_t kBodyBytesMax = 1u << 20;
constexpr size_t kAnswerBytesMax = 512;  // of an answer that is no success, for its message
constexpr std::chrono::seconds kRetryAfterMax{3600};

struct HttpSettings {
  Address address = {};
  TlsFiles tls = {};
  std::string headers_file = {};
  int64_t batch = 100;
  std::chrono::seconds timeout{15};
};

using Curl = std::unique_ptr<CURL, void (*)(CURL*)>;
using HeaderLines = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

Status add_line(HeaderLines& lines, const std::string& line) {
  curl_slist* const shorter = lines.release();
  curl_slist* const longer = curl_slist_append(shorter, line.c_str());
  lines.reset(longer == nullptr ? shorter : longer);
  if (longer == nullptr) return make_error(ErrorCode::kExhausted, "no memory for headers");
  return {};
}

/// What one request came to.
struct Answer {
  enum class Kind {
    kTaken,
    kRefused,   // these events, whoever sends them
    kNotTaken,  // not now, or not from us
    kUnknown,   // they may have been taken
  } kind = Kind::kUnknown;
  std::string why = {};
  std::chrono::milliseconds retry_after = {};
};

Answer::Kind kind_of_status(long status) {
  if (status >= 200 && status < 300) return Answer::Kind::kTaken;
  if (status == 400 || status == 413 || status == 422) return Answer::Kind::kRefused;
  const bool is_refused_unread = status < 500 || status == 501 || status == 503;
  return is_refused_unread ? Answer::Kind::kNotTaken : Answer::Kind::kUnknown;
}

std::string_view hint_of_status(long status) {
  if (status == 401 || status == 403) return ": its headers_file has no token that it accepts";
  if (status >= 300 && status < 400) return ": redirects are not followed";
  return "";
}

Answer::Kind kind_of_fault(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return Answer::Kind::kNotTaken;
    default:
      return Answer::Kind::kUnknown;
  }
}

class Http : public Transport {
 public:
  explicit Http(HttpSettings settings)
      : settings_(std::move(settings)),
        label_(address_label(settings_.address)),
        curl_(curl_easy_init(), curl_easy_cleanup) {}

  [[nodiscard]] std::string form(const Event& event) const override { return ocsf_line(event); }

  /// A batch that is refused is halved until it is the event alone that is refused.
  Outcome deliver(std::span<const Spooled> events, const std::stop_token& stop) override {
    Outcome outcome;
    const auto failed = [&outcome](Error error) {
      outcome.fault = std::move(error);
      outcome.rest = Spool::Rest::kDidNotArrive;
      return std::move(outcome);
    };
    auto headers = read_headers();
    if (!headers.ok()) return failed(std::move(headers).error());
    const auto whole = static_cast<size_t>(settings_.batch);
    for (size_t n = whole; outcome.n_done < events.size();) {
      const auto batch = within_bytes(events.subspan(outcome.n_done), n);
      auto posted = post(batch, headers->get(), stop);
      if (!posted.ok()) return failed(std::move(posted).error());
      if (posted->kind == Answer::Kind::kTaken) {
        outcome.n_done += batch.size();
        n = std::min(2 * batch.size(), whole);
      } else if (posted->kind != Answer::Kind::kRefused) {
        outcome.retry_after = posted->retry_after;
        outcome.fault = make_error(ErrorCode::kIo, "{}", posted->why);
        if (posted->kind == Answer::Kind::kNotTaken) outcome.rest = Spool::Rest::kDidNotArrive;
        return outcome;
      } else if (batch.size() > 1) {
        n = batch.size() / 2;
      } else {
        outcome.refused.push_back({.index = outcome.n_done++, .why = posted->why});
        n = whole;
      }
    }
    return outcome;
  }

 private:
  static std::span<const Spooled> within_bytes(std::span<const Spooled> events, size_t count_max) {
    size_t n = 0, bytes = 0;
    for (const Spooled& event : events.first(std::min(count_max, events.size()))) {
      bytes += event.payload.size() + 1;
      if (n > 0 && bytes > kBodyBytesMax) break;
      ++n;
    }
    return events.first(n);
  }

  /// Read for each delivery: tokens are replaced while this runs.
  [[nodiscard]] Result<HeaderLines> read_headers() const {
    HeaderLines lines(nullptr, curl_slist_free_all);
    LANTERN_TRY(add_line(lines, "Content-Type: application/json"));
    LANTERN_TRY(add_line(lines, "Expect:"));  // no waiting for "100 Continue"
    if (settings_.headers_file.empty()) return lines;
    LANTERN_ASSIGN(const std::string text,
                   base::read_private_file(settings_.headers_file, kHeaderFileBytesMax));
    LANTERN_ASSIGN(const auto headers, parse_headers(text, settings_.headers_file));
    for (const std::string& header : headers) LANTERN_TRY(add_line(lines, header));
    return lines;
  }

  void set_options(curl_slist* headers, const std::string& body) {
    CURL* curl = curl_.get();
    const auto timeout_ms = static_cast<long>(settings_.timeout.count() * 1000);
    curl_easy_reset(curl);  // keeps connections
    curl_easy_setopt(curl, CURLOPT_URL, settings_.address.text.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "lantern/" LANTERN_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 2 * timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!settings_.tls.ca.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, settings_.tls.ca.c_str());
    if (!settings_.tls.certificate.empty()) {
      curl_easy_setopt(curl, CURLOPT_SSLCERT, settings_.tls.certificate.c_str());
      curl_easy_setopt(curl, CURLOPT_SSLKEY, settings_.tls.key.c_str());
      curl_easy_setopt(curl, CURLOPT_KEYPASSWD, "");  // never asked for at a terminal
    }
    if (base::is_loopback_host(settings_.address.host))
      curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  }

  Result<Answer> post(std::span<const Spooled> events, curl_slist* headers,
                      const std::stop_token& stop) {
    if (curl_ == nullptr) return make_error(ErrorCode::kExhausted, "no memory for an HTTP client");
    std::string body = "[";
    for (const Spooled& event : events) body += event.payload + ',';
    body.back() = ']';
    set_options(headers, body);
    std::string said;
    char detail[CURL_ERROR_SIZE] = "";
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &said);
    curl_write_callback on_body = [](char* data, size_t size, size_t n, void* context) {
      std::string& kept = *static_cast<std::string*>(context);
      kept.append(data, std::min(size * n, kAnswerBytesMax - kept.size()));
      return size * n;
    };
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &stop);
    curl_xferinfo_callback on_progress = [](void* context, curl_off_t, curl_off_t, curl_off_t,
                                            curl_off_t) {
      return static_cast<const std::stop_token*>(context)->stop_requested() ? 1 : 0;
    };
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
    if (code != CURLE_OK)
      return Answer{
          .kind = kind_of_fault(code),
          .why = fmt::format("{}: {}", label_, *detail != 0 ? detail : curl_easy_strerror(code))};
    return answer_of(said);
  }

  [[nodiscard]] Answer answer_of(const std::string& said) const {
    long status = 0;
    curl_off_t wait_s = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl_.get(), CURLINFO_RETRY_AFTER, &wait_s);
    Answer answer{.kind = kind_of_status(status)};
    if (answer.kind == Answer::Kind::kTaken) return answer;
    answer.retry_after =
        std::min(std::chrono::seconds(std::max<curl_off_t>(wait_s, 0)), kRetryAfterMax);
    answer.why = fmt::format("{}: answered {}{}", label_, status, hint_of_status(status));
    if (!said.empty()) answer.why += fmt::format(" ({})", base::printable(said, 200));
    return answer;
  }

  HttpSettings settings_;
  std::string label_;
  Curl curl_;  // kept for its open connections
};

HttpSettings read_http_settings(base::TomlTable& table) {
  HttpSettings settings;
  settings.tls = read_tls_files(table);
  settings.timeout = read_timeout(table);
  settings.headers_file = table.text("headers_file", check_absolute_path).value_or("");
  settings.batch = table.integer("batch", 1, 1000).value_or(100);
  const auto address = read_address(table, "url");
  if (!address) return settings;
  settings.address = *address;
  if (address->scheme == "http")
    refuse_plain(table, "url", *address);
  else if (address->scheme != "https")
    table.wrong("url", "https:// is needed");
  return settings;
}

TransportSettings read_http(base::TomlTable& table) {
  const HttpSettings settings = read_http_settings(table);
  return {.target = address_label(settings.address),
          .make = [settings]() -> Result<std::unique_ptr<Transport>> {
            static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
            if (started != CURLE_OK)
              return make_error(ErrorCode::kInternal, "libcurl: {}", curl_easy_strerror(started));
            LANTERN_TRY(make_tls_context(settings.tls));  // for the files' sake
            if (!settings.headers_file.empty()) {
              LANTERN_ASSIGN(const std::string text,
                             base::read_private_file(settings.headers_file, kHeaderFileBytesMax));
              LANTERN_TRY(parse_headers(text, settings.headers_file));
            }
            return std::unique_ptr<Transport>(new Http(settings));
          }};
}

}  // namespace

extern const TransportKind k_http;
const TransportKind k_http = {.name = "http", .read = read_http};

}  // namespace lantern::delivery
