#include "sensor/weights.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace lantern::sensor {
namespace {

using base::Json;

constexpr size_t kTypesMax = 64;  // GGUF has 41
constexpr uint64_t kCountMax = uint64_t{1} << 60;

std::string short_number(uint64_t n) {
  const auto value = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.1f}B", value / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.0f}M", value / 1e6);
  return fmt::format("{:.0f}K", value / 1e3);
}

/// The members that are texts and those that are numbers, in one place for both directions.
constexpr std::pair<const char*, std::string WeightFacts::*> kTexts[] = {
    {"format", &WeightFacts::format},
    {"architecture", &WeightFacts::architecture},
    {"name", &WeightFacts::name},
    {"licence", &WeightFacts::licence},
    {"publisher", &WeightFacts::publisher},
    {"source", &WeightFacts::source},
    {"quantization", &WeightFacts::quantization},
    {"fault", &WeightFacts::fault}};
constexpr std::pair<const char*, uint64_t WeightFacts::*> kNumbers[] = {
    {"context", &WeightFacts::context},
    {"tensors", &WeightFacts::tensors},
    {"parameters", &WeightFacts::parameters},
    {"header_bytes", &WeightFacts::header_bytes}};

Result<std::string> text_in(const Json& json, const char* key) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_string())
    return make_error(ErrorCode::kCorrupt, "weights: {}: no text", key);
  return claimed(at->get_ref<const std::string&>());
}

Result<uint64_t> number_in(const Json& json, const char* key) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_number_unsigned() || at->get<uint64_t>() > kCountMax)
    return make_error(ErrorCode::kCorrupt, "weights: {}: no number", key);
  return at->get<uint64_t>();
}

}  // namespace

std::string WeightFacts::mix_text() const {
  std::string text;
  for (const TypeShare& share : mix) {
    const double percent = 100.0 * static_cast<double>(share.elements) /
                           static_cast<double>(std::max<uint64_t>(parameters, 1));
    if (percent < 0.5) continue;
    text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", share.type, percent);
  }
  return text;
}

std::string WeightFacts::summary() const {
  std::string text = architecture.empty() ? format : architecture;
  if (parameters > 0) text += " " + short_number(parameters);
  if (!quantization.empty())
    text += " " + quantization;
  else if (!mix.empty())
    text += " " + mix.front().type;
  if (!fault.empty()) text += " (damaged header)";
  return text;
}

const WeightFormat* find_weight_format(const FileEnds& ends) {
  for (const WeightFormat* format : weight_formats())
    if (format->matches(ends)) return format;
  return nullptr;
}

std::optional<WeightFacts> read_weights(const WeightInput& input) {
  std::string head(std::min<uint64_t>(kHeadBytes, input.have), '\0'), tail;
  if (!input.source.read_at(0, std::as_writable_bytes(std::span(head))).ok()) return std::nullopt;
  if (input.have == input.source.size() && input.have >= kTailBytes) {
    tail.resize(kTailBytes);
    if (!input.source.read_at(input.have - kTailBytes, std::as_writable_bytes(std::span(tail)))
             .ok())
      return std::nullopt;
  }
  const WeightFormat* format =
      find_weight_format({.head = head, .tail = tail, .size = input.source.size()});
  if (format == nullptr) return std::nullopt;
  WeightFacts facts{.format = std::string(format->name)};
  const Status read = format->read(input, facts);
  if (!read.ok() && read.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!read.ok()) facts.fault = claim(read.error().message);
  std::stable_sort(facts.mix.begin(), facts.mix.end(),
                   [](const auto& a, const auto& b) { return a.elements > b.elements; });
  return facts;
}

std::string claim(std::string_view text) { return base::printable(text, kClaimBytesMax); }

std::string claimed(std::string_view text) {
  // printable() writes a backslash as two, else it leaves what is printable as it is.
  std::string once = claim(text);
  std::string unescaped;
  for (size_t i = 0; i < once.size(); ++i) {
    unescaped += once[i];
    if (once.compare(i, 2, "\\\\") == 0) ++i;
  }
  return unescaped == text ? unescaped : once;
}

void count_tensor(WeightFacts& facts, std::string_view type, uint64_t elements) {
  facts.tensors += 1;
  // Saturates: a hostile table's sum must neither wrap nor look small.
  elements = std::min(elements, kCountMax - std::min(facts.parameters, kCountMax));
  facts.parameters += elements;
  const auto at = std::find_if(facts.mix.begin(), facts.mix.end(),
                               [&](const TypeShare& share) { return share.type == type; });
  if (at != facts.mix.end())
    at->elements += elements;
  else if (facts.mix.size() < kTypesMax)
    facts.mix.push_back({.type = claim(type), .elements = elements});
}

Result<base::Digest> digest_of_front(const format::Source& source, uint64_t bytes) {
  base::Sha256 sha;
  std::vector<std::byte> buffer(std::min<uint64_t>(bytes, 256u << 10));
  for (uint64_t at = 0; at < bytes; at += buffer.size()) {
    const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), bytes - at));
    LANTERN_TRY(source.read_at(at, piece));
    sha.update(piece);
  }
  return sha.finish();
}

Json weights_to_json(const WeightFacts& facts) {
  Json json = Json::object();
  for (const auto& [key, member] : kTexts) json[key] = facts.*member;
  for (const auto& [key, member] : kNumbers) json[key] = facts.*member;
  json["part"] = facts.part;
  json["n_parts"] = facts.n_parts;
  json["header_digest"] = facts.header_digest ? base::to_hex(*facts.header_digest) : "";
  Json mix = Json::array();
  for (const TypeShare& share : facts.mix)
    mix.push_back({{"type", share.type}, {"elements", share.elements}});
  json["mix"] = std::move(mix);
  return json;
}

Result<WeightFacts> weights_from_json(const Json& json) {
  if (!json.is_object()) return make_error(ErrorCode::kCorrupt, "weights: no object");
  WeightFacts facts;
  for (const auto& [key, member] : kTexts) {
    LANTERN_ASSIGN(facts.*member, text_in(json, key));
  }
  for (const auto& [key, member] : kNumbers) {
    LANTERN_ASSIGN(facts.*member, number_in(json, key));
  }
  LANTERN_ASSIGN(const uint64_t part, number_in(json, "part"));
  LANTERN_ASSIGN(const uint64_t n_parts, number_in(json, "n_parts"));
  facts.part = static_cast<uint32_t>(std::min<uint64_t>(part, UINT32_MAX));
  facts.n_parts = static_cast<uint32_t>(std::min<uint64_t>(n_parts, UINT32_MAX));
  LANTERN_ASSIGN(const std::string digest, text_in(json, "header_digest"));
  if (!digest.empty()) {
    LANTERN_ASSIGN(const base::Digest bytes, base::digest_from_hex(digest));
    facts.header_digest = bytes;
  }
  const auto mix = json.find("mix");
  if (mix == json.end() || !mix->is_array() || mix->size() > kTypesMax)
    return make_error(ErrorCode::kCorrupt, "weights: mix: no list");
  for (const Json& one : *mix) {
    if (!one.is_object()) return make_error(ErrorCode::kCorrupt, "weights: mix: no object");
    TypeShare share;
    LANTERN_ASSIGN(share.type, text_in(one, "type"));
    LANTERN_ASSIGN(share.elements, number_in(one, "elements"));
    facts.mix.push_back(std::move(share));
  }
  return facts;
}

}  // namespace lantern::sensor
