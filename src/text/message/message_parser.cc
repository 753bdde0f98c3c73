#include "text/message/message_parser.h"

#include <utility>

#include "base/ascii.h"

namespace lantern::text {

MessageParser::MessageParser(MessageParserOptions options)
    : options_(std::move(options)),
      plain_(options_.calls == nullptr && options_.reasoning == nullptr) {
  if (options_.reasoning != nullptr) {
    const auto& [open, close] = *options_.reasoning;
    candidates_.push_back({.text = marked(open, options_.is_token)});
    candidates_.push_back({.text = marked(close, options_.is_token), .closes = true});
    if (options_.in_reasoning) {
      state_ = State::kReasoning;
      reasoned_ = true;
    }
  }
  if (options_.calls == nullptr) return;
  for (const Opening& opening : options_.calls->openings)
    candidates_.push_back({.text = marked(opening.text, options_.is_token), .opening = &opening});
}

MessageParser::~MessageParser() = default;

void MessageParser::push(std::string_view text, Events& out) {
  out_ = &out;
  if (plain_) return emit(MessageEvent::Kind::kText, text);
  for (char byte : text) push_byte(byte);
}

void MessageParser::push_token(std::string_view spelling, Events& out) {
  out_ = &out;
  if (plain_) return emit(MessageEvent::Kind::kText, spelling);
  push_byte(kTokenBegin);
  for (char byte : spelling) push_byte(byte);
  push_byte(kTokenEnd);
}

void MessageParser::finish(Events& out) {
  out_ = &out;
  if (state_ == State::kCall) {
    if (in_call_) end();
    if (told_) held_.clear();
    leave_call();
  }
  for (char byte : std::exchange(pending_, {})) release(byte);
  if (state_ == State::kText && !drop_space_) emit(MessageEvent::Kind::kText, space_);
  space_.clear();
}

bool MessageParser::knows(std::string_view name) const { return options_.tools.contains(name); }

void MessageParser::begin(std::string_view name) {
  held_.clear();
  space_.clear();
  told_ = in_call_ = started_ = drop_space_ = true;
  emit(MessageEvent::Kind::kCall, name);
}

void MessageParser::arguments(std::string_view piece) {
  held_.clear();
  std::string text(piece);
  std::erase(text, kTokenBegin);
  std::erase(text, kTokenEnd);
  emit(MessageEvent::Kind::kArguments, text);
}

void MessageParser::end() {
  held_.clear();
  in_call_ = false;
  out_->push_back({.kind = MessageEvent::Kind::kCallEnd});
}

void MessageParser::push_byte(char byte) {
  if (state_ == State::kCall)
    push_call(byte);
  else
    match(byte);
}

/// Where a tag or an opening may stand.
bool MessageParser::may_begin(const Candidate& candidate) const {
  if (candidate.opening != nullptr)
    return state_ == State::kText && !(candidate.opening->at_start && started_);
  if (candidate.closes) return state_ == State::kReasoning;
  // Models repeat the tag that the prompt has opened already.
  return state_ == State::kReasoning ? !thought_ : !started_ && !reasoned_;
}

void MessageParser::match(char byte) {
  pending_ += byte;
  while (!pending_.empty()) {
    bool may_become = false;
    for (const Candidate& candidate : candidates_) {
      if (!candidate.text.starts_with(pending_) || !may_begin(candidate)) continue;
      if (candidate.text.size() == pending_.size()) return enter(candidate);
      may_become = true;
    }
    if (may_become) return;
    release(pending_.front());
    pending_.erase(0, 1);
  }
}

void MessageParser::enter(const Candidate& candidate) {
  std::string opening = std::exchange(pending_, {});
  if (candidate.opening == nullptr) {
    state_ = candidate.closes ? State::kText : State::kReasoning;
    reasoned_ = true;
    space_.clear();
    drop_space_ = candidate.closes;
    return;
  }
  state_ = State::kCall;
  told_ = false;
  reader_ = options_.calls->reader(options_.is_token);
  held_.clear();
  if (!candidate.opening->keep) {
    held_ = std::move(opening);
    return;
  }
  for (char byte : opening) push_byte(byte);
}

void MessageParser::push_call(char byte) {
  held_ += byte;
  const CallReader::Step step = reader_->push(byte, *this);
  if (step == CallReader::Step::kMore && held_.size() <= kHeldBytesMax) return;
  if (step == CallReader::Step::kDone) {
    held_.clear();
    return leave_call();
  }
  const bool again = step != CallReader::Step::kMore;
  if (again && !held_.empty()) held_.pop_back();
  if (in_call_) {
    std::string kept = std::exchange(held_, {});
    end();
    held_ = std::move(kept);
  }
  leave_call();
  if (again) push_byte(byte);
}

/// Back to text, which what was held is now.
void MessageParser::leave_call() {
  state_ = State::kText;
  reader_.reset();
  for (char byte : std::exchange(held_, {})) release(byte);
}

/// A byte that is nothing but text, or reasoning.
void MessageParser::release(char byte) {
  if (byte == kTokenBegin || byte == kTokenEnd) return;
  const bool reasons = state_ == State::kReasoning;
  const auto kind = reasons ? MessageEvent::Kind::kReasoning : MessageEvent::Kind::kText;
  if (base::is_json_space(byte)) {
    if (drop_space_ || (reasons && !thought_)) return;
    space_ += byte;
    // Nothing that could follow would leave it out.
    const bool settled = !reasons && started_ && options_.calls == nullptr;
    if (!settled && space_.size() <= kSpaceBytesMax) return;
    emit(kind, std::exchange(space_, {}));
    return;
  }
  if (!space_.empty()) emit(kind, std::exchange(space_, {}));
  emit(kind, {&byte, 1});
  drop_space_ = false;
  (reasons ? thought_ : started_) = true;
}

void MessageParser::emit(MessageEvent::Kind kind, std::string_view text) {
  if (text.empty()) return;
  const bool goes_on =
      kind != MessageEvent::Kind::kCall && !out_->empty() && out_->back().kind == kind;
  if (goes_on)
    out_->back().text += text;
  else
    out_->push_back({kind, std::string(text)});
}

}  // namespace lantern::text
