// A model's chat template: Jinja source in, the text the model will see out, in
// spans that say which of it is the template's own and which came from a message.
//
// Where a character comes from is decided once, at its source, and kept through
// every operation of the template:
//   literal   text and string constants of the template, special tokens given in
//             RenderInput, numbers the template computed, and the `role` of a message
//             when it is one of the names the field knows (templates spell tokens as
//             '<|' + role + '|>')
//   content   every other string, key and number in messages, tools, documents, extra
//   kept      slices, trim, split, join, replace, +, ~, %, format, upper, lower, ...:
//             each character keeps its own kind, inserted parts keep theirs
//   mixed     operations that rewrite a whole value (tojson, printing a list or dict,
//             escape, urlencode, wordwrap): content if anything in the value is content
//   padding   what the template itself adds (indent, center, format widths) is literal
//
// Templates come with the model, so they are hostile: see RenderLimits. The semantics
// are those of the environment of transformers' apply_chat_template (Jinja2 3.1,
// ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls,
// {% generation %}, its own tojson, raise_exception, strftime_now). Differences, by
// design: integers are 64 bits wide (an overflow is an error), and the moment that
// strftime_now sees is an input.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/span.h"

namespace lantern::text {

namespace jinja {
struct Template;
}

/// A moment as a clock on the wall shows it, in the Gregorian calendar.
struct LocalTime {
  int year = 1970;  // 1 to 9999
  int month = 1;    // 1 to 12
  int day = 1;      // 1 to 31
  int hour = 0;     // 0 to 23
  int minute = 0;   // 0 to 59
  int second = 0;   // 0 to 60
};

struct RenderInput {
  /// An array of objects. As transformers does, keys whose value is null are dropped,
  /// and reasoning given as `reasoning_content`, `thinking` or `reasoning` is seen as
  /// `reasoning_content` and `thinking`.
  base::OrderedJson messages = base::OrderedJson::array();
  std::optional<base::OrderedJson> tools;  // an array of objects; none to the template if absent
  std::optional<base::OrderedJson> documents;  // likewise
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  /// Further special tokens by the name templates use (pad_token, unk_token, ...).
  std::map<std::string, std::string> special_tokens;
  bool add_generation_prompt = true;
  /// The last message's content is left open for the model to go on with; excludes
  /// add_generation_prompt.
  bool continue_final_message = false;
  /// Further variables, an object (enable_thinking, ...); they replace special tokens of that name.
  base::OrderedJson extra = base::OrderedJson::object();
  /// The moment strftime_now() sees; recorded with the request, so that an answer can be
  /// made again.
  LocalTime date;
};

/// Bounds on what a hostile template may cost. Past one, rendering ends with kTooLarge.
struct RenderLimits {
  size_t steps_max = 5'000'000;  // nodes evaluated, plus one per 256 bytes a string operation reads
  size_t depth_max = 640;        // nested evaluations; a macro call takes about five
  size_t output_bytes_max = 16u << 20;
  size_t memory_bytes_max = 256u << 20;  // live strings plus all containers made
};

/// A parsed template. Immutable: render() may run in any number of threads.
class ChatTemplate {
 public:
  /// kCorrupt with the line where `source` is not a template (or not UTF-8), kUnsupported for
  /// include, import, extends; kTooLarge past 1 MiB or 100 nested levels.
  static Result<ChatTemplate> parse(std::string source);

  /// The conversation as spans, neighbours of one kind merged. kInvalidArgument where the
  /// template calls raise_exception (its message is passed on), an operation has no meaning,
  /// or the sandbox refuses an attribute; kTooLarge past a limit.
  [[nodiscard]] Result<std::vector<Span>> render(const RenderInput& input,
                                                 const RenderLimits& limits = {}) const;

  /// What the template writes right after an assistant message's content: the literal text
  /// between that content and the next turn, such as "<|im_end|>\n". The special tokens in
  /// it end a turn. Empty where the template writes nothing there. `input` gives the special
  /// tokens and variables; its messages are not used.
  [[nodiscard]] Result<std::string> turn_end(const RenderInput& input) const;

  [[nodiscard]] const std::string& source() const { return source_; }

 private:
  ChatTemplate() = default;

  std::string source_;
  std::shared_ptr<const jinja::Template> template_;
};

/// The spans' text, one after another.
std::string to_text(const std::vector<Span>& spans);

}  // namespace lantern::text
