#include "server/admin/keys.h"

#include "base/time.h"

namespace lantern::server::admin {
namespace {

constexpr int64_t kLimitMax = 1'000'000'000'000'000;
constexpr int64_t kSecondsMax = 10LL * 366 * 24 * 3600;

}  // namespace

base::OrderedJson key_document(const supply::ApiKeyRecord& key) {
  const bool stands = key.stands(base::utc_clock());
  base::OrderedJson out = {{"id", key.id},
                           {"name", key.name},
                           {"user", key.user},
                           {"state", stands        ? "active"
                                     : key.revoked ? "revoked"
                                                   : "expired"},
                           {"scopes", key.scopes},
                           {"models", key.models},
                           {"tokens_a_day", nullptr},
                           {"requests_a_minute", nullptr},
                           {"created_at", base::format_utc(key.at)},
                           {"created_by", key.by},
                           {"expires_at", nullptr},
                           {"revoked_at", nullptr}};
  if (key.tokens_a_day > 0) out["tokens_a_day"] = key.tokens_a_day;
  if (key.requests_a_minute > 0) out["requests_a_minute"] = key.requests_a_minute;
  if (key.expires) out["expires_at"] = base::format_utc(*key.expires);
  if (key.revoked) out["revoked_at"] = base::format_utc(*key.revoked);
  return out;
}

Result<gate::ApiKeyRequest> parse_key_request(std::string_view body) {
  LANTERN_ASSIGN(const base::OrderedJson json, parse_body(body));
  Fields fields(json);
  gate::ApiKeyRequest out;
  int64_t lasts_s = 0;
  fields.read("name", out.name, 1024);
  fields.read("user", out.user, 1024);
  fields.read_strings("models", out.models, 256);
  fields.read_strings("scopes", out.scopes, 16);
  fields.read("tokens_a_day", out.tokens_a_day, 0, kLimitMax);
  fields.read("requests_a_minute", out.requests_a_minute, 0, kLimitMax);
  fields.read("lasts_s", lasts_s, 0, kSecondsMax);
  if (lasts_s > 0) out.lasts = std::chrono::seconds(lasts_s);
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "{}: no such field", *name);
  return out;
}

base::OrderedJson key_request_document(const gate::ApiKeyRequest& request) {
  return {{"name", request.name},
          {"user", request.user},
          {"models", request.models},
          {"scopes", request.scopes},
          {"tokens_a_day", request.tokens_a_day},
          {"requests_a_minute", request.requests_a_minute},
          {"lasts_s", request.lasts ? request.lasts->count() : 0}};
}

}  // namespace lantern::server::admin
