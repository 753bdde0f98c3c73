#include "text/jinja/conversion.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/callable.h"
#include "text/jinja/operations.h"

namespace lantern::text::jinja {
namespace {

constexpr int kJsonDepthMax = 128;

/// Text of one kind in the making, bounded by what the heap has left.
class Writer {
 public:
  explicit Writer(Runtime& rt) : rt_(rt), bytes_max_(rt.heap().bytes_left()) {}

  void put(std::string_view bytes) {
    if (out_.size() + bytes.size() > bytes_max_) full_ = true;
    if (!full_) out_.append(bytes);
  }
  void mark(SpanKind kind) { content_ |= kind == SpanKind::kContent; }
  Status step() {
    if (full_) return rt_.heap().exhausted();
    return rt_.step();
  }
  Runtime& rt() { return rt_; }
  [[nodiscard]] std::string_view bytes() const { return out_; }
  [[nodiscard]] SpanKind kind() const { return content_ ? SpanKind::kContent : SpanKind::kLiteral; }

 private:
  Runtime& rt_;
  const size_t bytes_max_;
  std::string out_;
  bool content_ = false;
  bool full_ = false;
};

void put_hex(std::string& out, const char* prefix, uint32_t value, int digits) {
  out += prefix;
  out += fmt::format("{:0{}x}", value, digits);
}

void repr_string(Writer& w, const Text& text) {
  w.mark(text.kind());
  const std::string_view utf8 = text.view();
  const bool has_single = utf8.find('\'') != std::string_view::npos;
  const char quote = has_single && utf8.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  size_t size = 0;
  for (size_t at = 0; at < utf8.size(); at += size) {
    const uint32_t c = decode_code_point(utf8, at, size);
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += utf8.substr(at, size);
    } else if (c < 0x100) {
      put_hex(out, "\\x", c, 2);
    } else if (c < 0x10000) {
      put_hex(out, "\\u", c, 4);
    } else {
      put_hex(out, "\\U", c, 8);
    }
  }
  out += quote;
  w.put(out);
}

Status repr(Writer& w, const Value& value);

Status repr_items(Writer& w, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) w.put(", ");
    LANTERN_TRY(repr(w, items[i]));
  }
  return {};
}

Status repr_dict(Writer& w, const Dict& dict) {
  w.put("{");
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) w.put(", ");
    LANTERN_TRY(repr(w, dict.entries[i].key));
    w.put(": ");
    LANTERN_TRY(repr(w, dict.entries[i].value));
  }
  w.put("}");
  return {};
}

Status repr_namespace(Writer& w, const Namespace& ns) {
  w.put("<Namespace {");
  for (size_t i = 0; i < ns.attributes.size(); ++i) {
    w.put(i > 0 ? ", " : "");
    repr_string(w, Text(ns.attributes[i].first, SpanKind::kLiteral));
    w.put(": ");
    LANTERN_TRY(repr(w, ns.attributes[i].second));
  }
  w.put("}>");
  return {};
}

Status repr(Writer& w, const Value& value) {
  LANTERN_ASSIGN(Runtime::Depth depth, w.rt().enter());
  LANTERN_TRY(w.step());
  w.mark(value.origin());
  switch (value.kind()) {
    case Kind::kUndefined:
      w.put("Undefined");
      return {};
    case Kind::kNone:
      w.put("None");
      return {};
    case Kind::kBool:
      w.put(value.as_bool() ? "True" : "False");
      return {};
    case Kind::kInt:
      w.put(fmt::format("{}", value.as_int()));
      return {};
    case Kind::kFloat:
      w.put(float_repr(value.as_real()));
      return {};
    case Kind::kString:
      LANTERN_TRY(w.rt().read(value.text().size_bytes()));
      w.put(value.is_markup() ? "Markup(" : "");
      repr_string(w, value.text());
      w.put(value.is_markup() ? ")" : "");
      return {};
    case Kind::kList:
      w.put("[");
      LANTERN_TRY(repr_items(w, value.sequence().items));
      w.put("]");
      return {};
    case Kind::kTuple:
      w.put("(");
      LANTERN_TRY(repr_items(w, value.sequence().items));
      w.put(value.sequence().items.size() == 1 ? ",)" : ")");
      return {};
    case Kind::kView:
      w.put(value.sequence().view_name);
      w.put("([");
      LANTERN_TRY(repr_items(w, value.sequence().items));
      w.put("])");
      return {};
    case Kind::kDict:
      return repr_dict(w, value.dict());
    case Kind::kNamespace:
      return repr_namespace(w, value.ns());
    case Kind::kRange: {
      const Range& r = value.range();
      w.put(r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop)
                        : fmt::format("range({}, {}, {})", r.start, r.stop, r.step));
      return {};
    }
    case Kind::kIterator:
    case Kind::kCallable:
      w.put(fmt::format("<{} object>", type_name(value)));
      return {};
  }
  return {};
}

class JsonWriter {
 public:
  JsonWriter(Writer& w, const JsonOptions& options) : w_(w), options_(options) {}

  Status write(const Value& value, size_t level) {
    LANTERN_ASSIGN(Runtime::Depth depth, w_.rt().enter());
    LANTERN_TRY(w_.step());
    w_.mark(value.origin());
    switch (value.kind()) {
      case Kind::kNone:
        w_.put("null");
        return {};
      case Kind::kBool:
        w_.put(value.as_bool() ? "true" : "false");
        return {};
      case Kind::kInt:
        w_.put(fmt::format("{}", value.as_int()));
        return {};
      case Kind::kFloat:
        w_.put(real(value.as_real()));
        return {};
      case Kind::kString:
        return string(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return array(value.sequence().items, level);
      case Kind::kDict:
        return object(value.dict(), level);
      default:
        return type_error("Object of type {} is not JSON serializable", type_name(value));
    }
  }

 private:
  static std::string real(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
    return float_repr(d);
  }

  Status string(const Text& text) {
    LANTERN_TRY(w_.rt().read(text.size_bytes()));
    w_.mark(text.kind());
    const std::string_view utf8 = text.view();
    std::string out = "\"";
    size_t size = 0;
    for (size_t at = 0; at < utf8.size(); at += size) {
      const uint32_t c = decode_code_point(utf8, at, size);
      static constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
      static constexpr std::string_view kLetters = "\"\\nrtfb";
      const size_t known = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
      if (known != std::string_view::npos) {
        out += '\\';
        out += kLetters[known];
      } else if (c < 0x20 || (options_.ensure_ascii && c >= 0x7F && c < 0x10000)) {
        put_hex(out, "\\u", c, 4);
      } else if (options_.ensure_ascii && c >= 0x10000) {
        put_hex(out, "\\u", 0xD800 + ((c - 0x10000) >> 10), 4);
        put_hex(out, "\\u", 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
      } else {
        out += utf8.substr(at, size);
      }
    }
    out += '"';
    w_.put(out);
    return {};
  }

  void line(size_t level) {
    if (!options_.indented) return;
    w_.put("\n");
    for (size_t i = 0; i < level; ++i) w_.put(options_.indent);
  }

  Status array(const std::vector<Value>& items, size_t level) {
    if (items.empty()) {
      w_.put("[]");
      return {};
    }
    w_.put("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) w_.put(options_.item_separator);
      line(level + 1);
      LANTERN_TRY(write(items[i], level + 1));
    }
    line(level);
    w_.put("]");
    return {};
  }

  Status key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return string(key.text());
      case Kind::kNone:
        w_.put("\"null\"");
        return {};
      case Kind::kBool:
        w_.put(key.as_bool() ? "\"true\"" : "\"false\"");
        return {};
      case Kind::kInt:
        w_.put(fmt::format("\"{}\"", key.as_int()));
        return {};
      case Kind::kFloat:
        w_.put("\"" + real(key.as_real()) + "\"");
        return {};
      default:
        return type_error("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  Status object(const Dict& dict, size_t level) {
    if (dict.entries.empty()) {
      w_.put("{}");
      return {};
    }
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& e : dict.entries) entries.push_back(&e);
    if (options_.sort_keys) {
      std::vector<Value> keys;
      for (const Dict::Entry& e : dict.entries) keys.push_back(e.key);
      LANTERN_ASSIGN(std::vector<size_t> order, sorted_order(w_.rt(), keys, false));
      std::vector<const Dict::Entry*> sorted;
      for (size_t i : order) sorted.push_back(entries[i]);
      entries = std::move(sorted);
    }
    w_.put("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) w_.put(options_.item_separator);
      line(level + 1);
      LANTERN_TRY(key(entries[i]->key));
      w_.put(options_.key_separator);
      LANTERN_TRY(write(entries[i]->value, level + 1));
    }
    line(level);
    w_.put("}");
    return {};
  }

  Writer& w_;
  const JsonOptions& options_;
};

Result<Value> json_value(Runtime& rt, const base::OrderedJson& json, SpanKind kind, int depth) {
  using Type = base::OrderedJson::value_t;
  if (depth > kJsonDepthMax) return type_error("JSON nested deeper than {} levels", kJsonDepthMax);
  switch (json.type()) {
    case Type::boolean:
      return Value::boolean(json.get<bool>());
    case Type::number_integer:
      return Value::integer(json.get<int64_t>(), kind);
    case Type::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        return type_error("the integer {} does not fit 64 bits", json.get<uint64_t>());
      return Value::integer(json.get<int64_t>(), kind);
    case Type::number_float:
      return Value::real(json.get<double>(), kind);
    case Type::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (!is_utf8(text)) return type_error("a string that is not UTF-8");
      return rt.heap().string(text, kind);
    }
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) {
        LANTERN_ASSIGN(Value value, json_value(rt, item, kind, depth + 1));
        items.push_back(std::move(value));
      }
      return rt.heap().list(std::move(items));
    }
    case Type::object: {
      auto* dict = rt.heap().make<Dict>();
      for (const auto& [name, item] : json.items()) {
        LANTERN_ASSIGN(Value value, json_value(rt, item, kind, depth + 1));
        if (!is_utf8(name)) return type_error("a key that is not UTF-8");
        LANTERN_ASSIGN(Value key, rt.heap().string(name, kind));
        LANTERN_TRY(put(rt, *dict, std::move(key), std::move(value)));
      }
      return Value::dict(dict);
    }
    default:
      return Value::none();
  }
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  auto [end, problem] =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  std::string digits;
  for (char c : text.substr(0, e))
    if (c != '.') digits += c;
  int exponent = 0;
  std::string_view exponent_text = text.substr(e + 1);
  if (exponent_text[0] == '+') exponent_text.remove_prefix(1);
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  // Python writes exponents below -4 and from 16 on.
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto n_whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= n_whole)
    return out + digits + std::string(n_whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, n_whole) + "." + digits.substr(n_whole);
}

Status append_repr(Runtime& rt, TextBuilder& out, const Value& value) {
  Writer writer(rt);
  LANTERN_TRY(repr(writer, value));
  LANTERN_TRY(writer.step());
  out.append(writer.bytes(), writer.kind());
  return {};
}

Status append_str(Runtime& rt, TextBuilder& out, const Value& value) {
  if (value.is(Kind::kString)) {
    LANTERN_TRY(rt.read(value.text().size_bytes()));
    out.append(value.text());
    return {};
  }
  if (value.is(Kind::kUndefined)) return {};
  return append_repr(rt, out, value);
}

Result<Value> to_string(Runtime& rt, const Value& value) {
  if (value.is(Kind::kString)) return value;
  TextBuilder out(rt.heap());
  LANTERN_TRY(append_str(rt, out, value));
  return out.finish();
}

Result<Value> to_json(Runtime& rt, const Value& value, const JsonOptions& options) {
  Writer writer(rt);
  LANTERN_TRY(JsonWriter(writer, options).write(value, 0));
  LANTERN_TRY(writer.step());
  return rt.heap().string(writer.bytes(), writer.kind());
}

Result<Value> from_json(Runtime& rt, const base::OrderedJson& json, SpanKind kind) {
  return json_value(rt, json, kind, 0);
}

}  // namespace lantern::text::jinja
