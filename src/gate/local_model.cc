#include "gate/local_model.h"

#include <utility>

namespace lantern::gate {

Result<engine::Engine> load_model(std::string_view reference, const AdmitOptions& admit,
                                  engine::EngineOptions options) {
  LANTERN_ASSIGN(auto model, Admission::admit(reference, admit));
  return engine::Engine::load(std::move(model), std::move(options));
}

Result<engine::AdapterPtr> load_adapter(const engine::Engine& engine, std::string_view reference,
                                        const AdmitOptions& admit, double scale) {
  const auto adapter = Admission::admit(reference, admit);
  if (!adapter.ok()) return Error(adapter.error()).within(fmt::format("adapter {}", reference));
  return engine.load_adapter(*adapter, scale);
}

Result<engine::TextIo> load_text(std::string_view reference, const AdmitOptions& admit) {
  LANTERN_ASSIGN(auto checkpoint, admit_text(reference, admit));
  return engine::TextIo::load(*checkpoint);
}

}  // namespace lantern::gate
