#include "text/jinja/loop.h"

#include "text/jinja/operations.h"

namespace lantern::text::jinja {
namespace {

class LoopMethod : public Callable {
 public:
  LoopContext* loop = nullptr;
  bool cycles = false;
  Result<Value> call(Runtime& rt, CallArgs args) override {
    if (!args.named.empty())
      return type_error("loop.{}() takes no keyword arguments", cycles ? "cycle" : "changed");
    if (cycles) return loop->cycle(args.positional);
    LANTERN_ASSIGN(const bool changed, loop->changed(rt, std::move(args.positional)));
    return Value::boolean(changed);
  }
};

}  // namespace

Status LoopContext::begin(Interpreter& in, const Stmt& stmt, Scope* outside, const Value& iterable,
                          size_t depth) {
  interpreter_ = &in;
  stmt_ = &stmt;
  outside_ = outside;
  depth_ = depth;
  LANTERN_ASSIGN(Cursor cursor, Cursor::over(iterable));
  cursor_ = std::move(cursor);
  if (stmt.filter == nullptr) length_ = length_of(iterable);
  return {};
}

Result<std::optional<Value>> LoopContext::fetch(Runtime& rt) {
  while (true) {
    LANTERN_ASSIGN(std::optional<Value> item, cursor_->next(rt));
    if (!item || stmt_->filter == nullptr) return item;
    LANTERN_ASSIGN(const bool passes, interpreter_->passes_filter(*stmt_, outside_, *item));
    if (passes) return item;
  }
}

Result<std::optional<Value>> LoopContext::advance(Runtime& rt) {
  std::optional<Value> item;
  if (ahead_) {
    item = std::move(ahead_);
    ahead_.reset();
  } else if (fetched_next_ < fetched_.size()) {
    item = fetched_[fetched_next_++];
  } else {
    LANTERN_ASSIGN(item, fetch(rt));
  }
  if (!item) return item;
  ++index0_;
  previous_ = std::move(current_);
  current_ = item;
  return item;
}

Result<const Value*> LoopContext::peek(Runtime& rt) {
  if (!ahead_) {
    if (fetched_next_ < fetched_.size()) {
      ahead_ = fetched_[fetched_next_++];
    } else {
      LANTERN_ASSIGN(ahead_, fetch(rt));
    }
  }
  return ahead_ ? &*ahead_ : static_cast<const Value*>(nullptr);
}

Result<int64_t> LoopContext::length(Runtime& rt) {
  if (length_) return *length_;
  while (true) {
    LANTERN_ASSIGN(std::optional<Value> item, fetch(rt));
    if (!item) break;
    LANTERN_TRY(rt.heap().charge(sizeof(Value)));
    fetched_.push_back(std::move(*item));
  }
  length_ = static_cast<int64_t>(fetched_.size() - fetched_next_) + index0_ + 1 + (ahead_ ? 1 : 0);
  return *length_;
}

Result<Value> LoopContext::call(Runtime& rt, CallArgs args) {
  if (!stmt_->recursive)
    return type_error("the loop must have the 'recursive' marker to be called");
  LANTERN_ASSIGN(const Arguments bound,
                 Arguments::bind({"loop", {"iterable"}, 1}, std::move(args)));
  LANTERN_TRY(rt.step());
  return interpreter_->recurse(*stmt_, outside_, bound.at(0), depth_ + 1);
}

Result<bool> LoopContext::changed(Runtime& rt, std::vector<Value> values) {
  bool same = last_changed_ && last_changed_->size() == values.size();
  for (size_t i = 0; same && i < values.size(); ++i) {
    LANTERN_ASSIGN(same, equals(rt, (*last_changed_)[i], values[i]));
  }
  if (!same) last_changed_ = std::move(values);
  return !same;
}

Result<Value> LoopContext::cycle(const std::vector<Value>& items) const {
  if (items.empty()) return type_error("no items for cycling given");
  return items[static_cast<size_t>(index0_) % items.size()];
}

Result<std::optional<Value>> LoopContext::attribute(Runtime& rt, std::string_view name) {
  auto integer = [](int64_t v) { return std::optional<Value>(Value::integer(v)); };
  if (name == "index") return integer(index0_ + 1);
  if (name == "index0") return integer(index0_);
  if (name == "first") return std::optional<Value>(Value::boolean(index0_ == 0));
  if (name == "depth") return integer(static_cast<int64_t>(depth_) + 1);
  if (name == "depth0") return integer(static_cast<int64_t>(depth_));
  if (name == "previtem")
    return std::optional<Value>(
        index0_ > 0 && previous_ ? *previous_ : rt.heap().undefined("there is no previous item"));
  if (name == "last" || name == "nextitem") {
    LANTERN_ASSIGN(const Value* next, peek(rt));
    if (name == "last") return std::optional<Value>(Value::boolean(next == nullptr));
    return std::optional<Value>(next != nullptr ? *next
                                                : rt.heap().undefined("there is no next item"));
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    LANTERN_ASSIGN(const int64_t total, length(rt));
    if (name == "length") return integer(total);
    return integer(name == "revindex" ? total - index0_ : total - index0_ - 1);
  }
  if (name == "cycle" || name == "changed") {
    auto* method = rt.heap().make<LoopMethod>();
    method->loop = this;
    method->cycles = name == "cycle";
    return std::optional<Value>(Value::callable(method));
  }
  return std::optional<Value>();
}

}  // namespace lantern::text::jinja
