// What commands use to reach a model: admitted, then loaded. (cli/ and server/ include
// gate/ alone; the engine's types come along.)
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/benchmark.h"
#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine/estimate.h"
#include "gate/admission.h"

namespace lantern::gate {

/// Admits `reference` and loads it. Errors: Admission::admit()'s and Engine::load()'s.
Result<engine::Engine> load_model(std::string_view reference, const AdmitOptions& admit,
                                  engine::EngineOptions options);

/// Admits the adapter `reference` as a model of its own and loads it for `engine`, which must
/// outlive it, `scale` times as strong as its file says. Errors: Admission::admit()'s and
/// Engine::load_adapter()'s.
Result<engine::AdapterPtr> load_adapter(const engine::Engine& engine, std::string_view reference,
                                        const AdmitOptions& admit, double scale = 1.0);

/// Tokenizer and templates alone, without weights: `tokenize`, `template`. Errors: admit_text()'s.
Result<engine::TextIo> load_text(std::string_view reference, const AdmitOptions& admit);

}  // namespace lantern::gate
