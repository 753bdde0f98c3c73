// A loaded model that answers: weights, tokenizer, template, KV cache and the loop that
// feeds them.
//
// An answer depends on the model, the prompt's ids, the options and the seed alone
// (invariant 3): threads, `chunk`, `beside`, the instruction set and a prefix kept from an
// earlier turn change its speed, never its bits.
//
// OWNERSHIP. An Engine owns everything it needs; Conversations borrow it. One thread at a
// time may call an Engine or a Conversation of it; callbacks run on the calling thread and
// must not call back.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "arch/model.h"
#include "base/json.h"
#include "base/result.h"
#include "engine/adapter.h"
#include "engine/logprobs.h"
#include "engine/sampler.h"
#include "engine/text_io.h"
#include "format/admitted_model.h"
#include "kernels/isa.h"
#include "kernels/ops.h"
#include "text/grammar.h"

namespace lantern::base {
class SharedPool;
}

namespace lantern::engine {

/// Whether a model without tokenizer loads too: for logits(), which needs ids alone. Nothing that
/// takes or gives text may be called then.
enum class TextSide { kNeeded, kIfThere };

struct EngineOptions {
  TextSide text = TextSide::kNeeded;
  int threads = 0;  // 0: the physical cores that affinity and cgroup allow
  kernels::KvType kv_type = kernels::KvType::kF16;
  int64_t context = 0;           // positions a sequence may have; 0: the model's own, or what fits
  uint64_t memory = UINT64_MAX;  // bytes it may take, beside what the machine has left
  /// What the machine has left once others took from it, too; empty: base::available_memory().
  std::function<uint64_t()> memory_left = {};
  /// Kernels run on these threads, in turns with the other engines that have them; such an engine
  /// is for a Scheduler. None: on `threads` of its own.
  std::shared_ptr<base::SharedPool> pool = {};
  /// Called while weights load, with bytes done and in all; false cancels (kCancelled).
  std::function<bool(uint64_t done, uint64_t total)> progress = {};
};

/// What was loaded, and how.
struct EngineInfo {
  arch::ModelInfo model;
  std::string name;     // as the model was admitted
  base::Digest id{};    // likewise
  int64_t context = 0;  // positions a sequence may have
  kernels::KvType kv_type = kernels::KvType::kF16;
  uint64_t kv_bytes_per_position = 0;
  kernels::Isa isa = kernels::Isa::kRef;
  int threads = 1;
  double load_seconds = 0;
  /// Sentences for a person: a context cut to what fits, a template that is missing or broken.
  std::vector<std::string> notices;
};

/// Ids that are ready to run, begin-of-sequence included where the model wants one.
struct Prompt {
  std::vector<int32_t> ids;
  std::string text;  // what the ids say; special tokens spelled out
  /// Where the answer's text begins: a chat's turn is a text of its own, raw text goes on.
  text::StreamStart answer = text::StreamStart::kContinuation;
  std::vector<std::string> notices;  // "this model has no chat template: ..."
};

enum class FinishReason {
  kStop,        // one of the model's end ids
  kStopString,  // one of the caller's
  kLength,      // max_tokens, or the end of the context
  kCancelled,
};
/// "stop", "stop_string", "length", "cancelled".
std::string_view finish_reason_name(FinishReason reason);

/// An id that was drawn. What it points to holds during the call.
struct TokenEvent {
  int32_t id = 0;
  std::string_view bytes;  // of its text; not always whole UTF-8
  float logprob = 0;       // natural, of the model's own distribution; with options.logprobs
  std::span<const TokenLogprob> top;  // the most probable, best first
};

/// Whether ids are guessed and verified several in a step (engine/speculation.h): the answer's bits
/// are the same, only its speed is not.
enum class Speculation {
  kAuto,  // as far as it was seen to pay
  kOff,
  kAlways,  // as much as there is room for
};

/// Ends reasoning, an answer's beginning, that goes on for too long: the tokens that close it are
/// then set rather than drawn, at the first place where the grammar, if there is one, has them.
struct ReasoningLimit {
  int64_t tokens_max = 0;    // of reasoning, the tag that begins it left out
  std::string open, close;   // the tags, which may be one token or several
  std::vector<int32_t> ids;  // of the closing tag, as they are set
  bool is_open = false;      // the prompt ends with the opening tag
};

struct GenerateOptions {
  AdapterPtr adapter = {};  // of this engine
  SamplerOptions sampler = {};
  Speculation speculation = Speculation::kAuto;
  int64_t max_tokens = 0;              // 0: until the model ends or the context does
  std::vector<std::string> stop = {};  // at most 64 of 1 to 1024 bytes; not part of the answer
  bool ignore_end = false;             // go on past the model's end ids (bench)
  int64_t chunk = 0;   // the prompt in pieces of so many ids; 0: the engine's choice
  int64_t beside = 0;  // other sequences in the batch, at most 256
  int logprobs = -1;   // -1: none; 0 to 20: of each id, and of so many alternatives
  /// Special tokens that are part of the answer's text, ascending; others are left out of it.
  std::vector<int32_t> markers = {};
  /// What the answer must follow, to its end unless max_tokens, the context or a stop string cut it
  /// short; null: anything. Tokens that it does not allow are not drawn (engine/sampler.h);
  /// `logprobs` stay those of the model's own distribution. Not with ignore_end.
  text::GrammarPtr grammar = {};
  std::optional<ReasoningLimit> reasoning = {};
  std::stop_token cancel = {};
  /// The answer as it grows: whole UTF-8 characters, never a part of a stop string. Pieces joined
  /// with the markers between them are GenerateResult::text. May be empty.
  std::function<void(std::string_view piece)> on_text = {};
  /// One of `markers`, in its place among the pieces of text. May be empty.
  std::function<void(std::string_view spelling)> on_marker = {};
  /// Each id as it is drawn, before its text; not an id that ends the answer. May be empty.
  std::function<void(const TokenEvent& token)> on_token = {};
};

struct GenerateResult {
  std::string text;
  std::vector<int32_t> ids;  // generated, an end id that was drawn included
  FinishReason finish = FinishReason::kStop;
  std::string stop_string = {};  // the one that ended it, with kStopString
  bool context_full = false;     // kLength because the context ended
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;       // of the prompt, kept from an earlier turn
  int64_t guessed_tokens = 0;      // run before they were drawn
  int64_t kept_tokens = 0;         // of these, those that were drawn then
  double queued_seconds = 0;       // until its turn came
  double prefill_seconds = 0;      // the prompt's own part
  double first_token_seconds = 0;  // from the call to the first id
  double decode_seconds = 0;       // after the first id
};

struct LogitsOptions {
  AdapterPtr adapter = {};  // of this engine
  int64_t chunk = 0;        // as in GenerateOptions
  int64_t beside = 0;       // likewise
  std::stop_token cancel = {};
};

struct EmbedOptions {
  int64_t chunk = 0;  // tokens of a step; 0: the engine's choice. An encoder's texts are never cut
  std::stop_token cancel = {};
};

struct EmbedResult {
  std::vector<std::vector<float>> vectors;  // [texts][n_embd], each of length 1
  int64_t n_tokens = 0;                     // of all texts
  double seconds = 0;                       // from when they were taken
};

class Benchmark;
class Conversation;
class Scheduler;

class Engine {
 public:
  struct Impl;  // engine_impl.h, for this room
  /// Loads weights and the text side at the same time. Errors: the checkpoint's, the tokenizer's
  /// and the architecture's (kCorrupt, kUnsupported), kExhausted where weights and the smallest
  /// useful cache do not fit memory (both numbers are named), kInvalidArgument options and
  /// LANTERN_ISA, kCancelled.
  static Result<Engine> load(format::AdmittedModel model, EngineOptions options);

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  [[nodiscard]] const EngineInfo& info() const;
  [[nodiscard]] const TextIo& text() const;

  /// Lets `draft`, a smaller model, guess how answers go on. kInvalidArgument where its vocabulary
  /// is not this one's, id for id.
  Status use_draft(Engine draft);

  /// Loads a LoRA adapter for this model, `scale` times as strong as its file says; it may not
  /// outlive the engine. Safe from any thread, and while the engine runs. Errors:
  /// arch::Model::load_adapter()'s; kExhausted where its weights do not fit memory.
  Result<AdapterPtr> load_adapter(const format::AdmittedModel& adapter, double scale = 1.0) const;

  /// Exactly `text`, completed as it stands. `text` is a user's: nothing in it becomes a special
  /// token.
  [[nodiscard]] Result<Prompt> raw_prompt(std::string_view text) const;
  /// One user turn, after a system turn where `system` is not empty, through the chat template; a
  /// model without one completes both raw, and a notice says so.
  [[nodiscard]] Result<Prompt> user_prompt(std::string_view user,
                                           std::string_view system = {}) const;
  /// Any conversation through the chat template (kUnsupported without one); see TextIo::render().
  [[nodiscard]] Result<Prompt> chat_prompt(text::RenderInput input) const;

  /// Runs the prompt and draws an answer. Errors: kInvalidArgument for options out of bounds, an
  /// empty prompt, ids outside the vocabulary, or a prompt plus max_tokens past the context (the
  /// numbers are named; nothing is ever cut off); kExhausted memory for the cache; kCorrupt
  /// logits that are not finite. Cancelling is no error: the answer so far, kCancelled.
  Result<GenerateResult> generate(const Prompt& prompt, const GenerateOptions& options);

  /// A vector of length 1 for each text, given by its ids (TextIo::encode_to_embed()), pooled as
  /// the model says, or by the mean where it says nothing. Errors: kInvalidArgument for no text, an
  /// empty one or one that is longer than the context, kExhausted, kInternal, kCancelled.
  Result<EmbedResult> embed(std::vector<std::vector<int32_t>> inputs, const EmbedOptions& options);

  /// Takes rows[n, n_vocab] for positions first to first + n - 1; its error ends the run.
  using LogitsSink = std::function<Status(int64_t first, int64_t n, std::span<const float> rows)>;
  /// Logits of exactly these ids, handed to `sink` in order and without gaps. Errors as
  /// generate(); kCancelled.
  Status logits(std::span<const int32_t> ids, const LogitsOptions& options, const LogitsSink& sink);

 private:
  friend class Benchmark;
  friend class Conversation;
  friend class Embedder;
  friend class Scheduler;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A dialogue whose cache stays between turns: what a new rendering shares with the ids already
/// computed is not computed again. The ids the model drew are kept beside their text, so a turn is
/// never tokenized differently afterwards. The Engine must outlive it.
class Conversation {
 public:
  /// All its turns run with `adapter`, whatever say()'s options have.
  explicit Conversation(Engine& engine, AdapterPtr adapter = {});
  ~Conversation();
  Conversation(Conversation&&) noexcept;
  Conversation& operator=(Conversation&&) noexcept;

  /// The system turn; empty removes it. Holds for the turns that follow.
  void set_system(std::string text);
  /// Adds a user turn, generates the answer and adds it (also one that was cancelled, unless it is
  /// empty). On an error the turn is taken back. A model without template sees the texts of all
  /// turns one after another.
  Result<GenerateResult> say(std::string user, const GenerateOptions& options);
  /// Forgets all turns, and their cache.
  void clear();
  /// [{"role": ..., "content": ...}, ...], the system turn included.
  [[nodiscard]] base::OrderedJson messages() const;
  /// Everything of it, the cache included, as bytes that restore() takes where model, adapter,
  /// arithmetic and cache are the same; they hold the conversation's content. Answers afterwards
  /// have the bits that they would have had here.
  [[nodiscard]] std::string save() const;
  /// Takes the place of what is here. kInvalidArgument for another model's, another arithmetic's
  /// or another cache type's, or more than the context holds; kCorrupt for what save() did not
  /// write; kExhausted memory. On an error the conversation is as after clear().
  Status restore(std::string_view bytes, std::string_view what);
  /// Ids in the cache.
  [[nodiscard]] int64_t tokens() const;
  /// Notices of the last turn's prompt.
  [[nodiscard]] std::span<const std::string> notices() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::engine
