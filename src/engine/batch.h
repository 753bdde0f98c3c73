// What one step runs: a sequence, and others beside it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "arch/model.h"
#include "base/result.h"
#include "engine/adapter.h"
#include "engine/kv_cache.h"
#include "kernels/ops.h"

namespace lantern::engine {

/// A sequence's cache and the ids that are in it.
struct Sequence {
  explicit Sequence(KvPool& pool) : kv(pool) {}

  KvSequence kv;
  std::vector<int32_t> ids;  // whose keys and values are in `kv`
};

/// Sequences that keep a batch company, so that anybody can see that company changes no answer:
/// junk prompts of various lengths, decoding greedily, begun anew where they grow long.
class Companions {
 public:
  static constexpr int64_t kCountMax = 256;

  struct Options {
    int64_t count = 0;
    int64_t n_vocab = 0;
    int64_t context = 0;
  };
  Companions(KvPool& pool, Options options);

  /// Appends each one's next step to `steps`. kExhausted.
  Status add_to(std::vector<arch::SequenceStep>& steps);
  /// Takes the logits of the steps that add_to() made, which have run.
  void advance();

 private:
  struct Companion {
    Sequence sequence;
    std::vector<int32_t> pending;  // given to the step under way
    std::vector<float> logits;
  };
  void begin_anew(Companion& companion, size_t which) const;

  Options options_;
  int64_t length_max_;
  std::vector<Companion> companions_;
};

/// Runs sequences' tokens through a model. Borrows all; one step at a time.
struct Stepper {
  const arch::Model& model;
  const kernels::Context& context;
  arch::Workspace& workspace;

  struct Step {
    std::span<const int32_t> tokens;  // not empty
    int64_t planned_length = 0;       // see arch::SequenceStep
    const Adapter* adapter = nullptr;
    arch::LogitsWanted wanted = arch::LogitsWanted::kLast;
    float* logits = nullptr;
  };
  /// Appends `step.tokens` to `sequence`, and a step of `companions`. On an error `sequence.ids` is
  /// as it was.
  Status run(Sequence& sequence, const Step& step, Companions& companions);
};

}  // namespace lantern::engine
