#include "audit/query.h"

#include <charconv>

namespace lantern::audit {
namespace {

constexpr size_t kIdDigitsMin = 6;

bool is_model(const ModelRef& model, std::string_view wanted) {
  if (model.name == wanted) return true;
  if (wanted.starts_with("sha256:")) wanted.remove_prefix(7);
  return wanted.size() >= kIdDigitsMin && model.id.starts_with(wanted);
}

bool has_line(std::string_view lines, std::string_view wanted) {
  for (;;) {
    const size_t end = lines.find('\n');
    if (lines.substr(0, end) == wanted) return true;
    if (end == std::string_view::npos) return false;
    lines.remove_prefix(end + 1);
  }
}

}  // namespace

bool Query::matches(const Event& event) const {
  if (!model.empty() && !(event.model && is_model(*event.model, model))) return false;
  if (!signer.empty() && !(event.model && has_line(event.model->signer, signer))) return false;
  if (!user.empty() && event.actor.user != user &&
      !(event.actor.uid && std::to_string(*event.actor.uid) == user))
    return false;
  if (since_ms && event.time_ms < *since_ms) return false;
  if (until_ms && event.time_ms > *until_ms) return false;
  if (action && event.action != *action) return false;
  return !decision || event.decision == *decision;
}

Result<int64_t> parse_moment(std::string_view text, int64_t now_ms) {
  const auto fault = [&] {
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\" is no moment: give 2026-11-22, 2026-11-22T18:41:41Z, 90m, 36h or 30d",
                      text);
  };
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error == std::errc() && rest.size() == 1 && number >= 0 && number < 1'000'000) {
    constexpr int64_t kMinuteMs = 60'000;
    if (rest == "m") return now_ms - number * kMinuteMs;
    if (rest == "h") return now_ms - number * 60 * kMinuteMs;
    if (rest == "d") return now_ms - number * 24 * 60 * kMinuteMs;
  }
  std::string full(text);
  if (full.size() == 10) full += "T00:00:00Z";
  if (full.size() == 20 && full.ends_with('Z')) full.replace(19, 1, ".000Z");
  auto moment = parse_time(full);
  if (!moment.ok()) return fault();
  return *moment;
}

Result<Found> for_each_match(LogView& view, uint64_t begin, const Query& query,
                             const std::function<Result<bool>(const Record&)>& f) {
  Found found;
  Status status;
  const auto visit = [&](uint64_t index, std::string_view entry) {
    auto event = event_from_json(entry, "entry");
    if (!event.ok()) {
      ++found.n_unreadable;
      return true;
    }
    if (!query.matches(*event)) return true;
    ++found.n_found;
    auto more = f({.index = index, .entry = entry, .event = *std::move(event)});
    if (!more.ok()) status = std::move(more).error();
    return more.ok() && *more;
  };
  LANTERN_TRY(view.for_each(std::max(begin, view.first_kept()), view.size(), visit));
  LANTERN_TRY(status);
  return found;
}

}  // namespace lantern::audit
