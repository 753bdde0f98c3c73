// How a family of models writes calls of tools into its answers: one file text/tool_calls/<name>.cc
// each, which defines `extern const ToolSyntax k_<name>`. The build collects them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lantern::text {

/// A special token stands in the text that readers see between these two bytes, which UTF-8 never
/// has: "[ARGS]" spelled out of ordinary tokens is no "[ARGS]".
inline constexpr char kTokenBegin = '\xFE';
inline constexpr char kTokenEnd = '\xFF';

/// Whether a word is one special token of the model's vocabulary.
using TokenTest = std::function<bool(std::string_view)>;

/// The word as it stands in the text: between the two bytes, if it is a token.
inline std::string marked(std::string_view word, const TokenTest& is_token) {
  if (!is_token(word)) return std::string(word);
  return kTokenBegin + std::string(word) + kTokenEnd;
}

/// Where a reader tells what it read. A call: one begin(), any arguments(), one end().
class CallSink {
 public:
  virtual ~CallSink() = default;
  /// Whether the request offers a tool of this name: only calls of such are calls.
  [[nodiscard]] virtual bool knows(std::string_view name) const = 0;
  virtual void begin(std::string_view name) = 0;
  /// A piece of the arguments: together one JSON object.
  virtual void arguments(std::string_view piece) = 0;
  virtual void end() = 0;
};

/// Reads what follows an opening, byte by byte; so how the text was cut changes nothing.
class CallReader {
 public:
  enum class Step {
    kMore,
    kDone,        // this byte was the last of the calls
    kDoneBefore,  // this byte is not theirs: text goes on with it
    kNotACall,    // likewise; what was read since the last word to the sink is text, too
  };
  virtual ~CallReader() = default;
  virtual Step push(char byte, CallSink& sink) = 0;
};

/// What begins calls.
struct Opening {
  std::string_view text = {};
  /// Whether it begins calls only where nothing but white space comes before it in the message.
  bool at_start = false;
  /// Whether the reader is given it, too.
  bool keep = false;
};

/// How calls are spelled where nothing else decides: the pieces around names and arguments.
struct CallSpelling {
  std::string_view open = {};              // before the first call
  std::string_view before_name = {};       // `{"name": "`
  std::string_view before_arguments = {};  // `", "arguments": `
  std::string_view after_arguments = {};   // `}`
  std::string_view between = {};           // two calls
  std::string_view close = {};             // after the last one
};

/// Constants of the program; the views point to literals.
struct ToolSyntax {
  std::string_view name = {};
  std::span<const Opening> openings = {};
  /// All words that are special tokens in such models' vocabularies, where they have them.
  std::span<const std::string_view> tokens = {};
  CallSpelling spelling = {};
  /// Whether arguments are Python's keyword arguments rather than a JSON object.
  bool keywords = false;
  /// Whether a vocabulary that has all of `tokens` as special ones says that its model writes so,
  /// where the template itself writes no calls.
  bool told_by_tokens = false;
  /// How long a call's id must be in a conversation; 0: any length will do.
  size_t id_bytes = 0;
  /// Makes a reader for what comes after an opening.
  std::unique_ptr<CallReader> (*reader)(const TokenTest& is_token) = nullptr;
};

std::span<const ToolSyntax* const> all_tool_syntaxes();

}  // namespace lantern::text
