#include "cli/store_report.h"

namespace lantern::cli {

base::OrderedJson model_report(const supply::StoredModel& model, policy::ModelState state) {
  const supply::Manifest& manifest = model.manifest;
  base::OrderedJson files = base::OrderedJson::array();
  for (const auto& file : manifest.files)
    files.push_back(
        {{"path", file.path}, {"bytes", file.size}, {"sha256", base::to_hex(file.digest)}});
  return {{"name", model.name()},
          {"aliases", model.aliases},
          {"id", base::to_hex(manifest.id)},
          {"state", policy::model_state_name(state)},
          {"kind", manifest.kind == supply::ModelKind::kGguf ? "gguf" : "folder"},
          {"bytes", manifest.bytes()},
          {"licence",
           manifest.licence.empty() ? base::OrderedJson() : base::OrderedJson(manifest.licence)},
          {"source", manifest.source},
          {"revision",
           manifest.revision.empty() ? base::OrderedJson() : base::OrderedJson(manifest.revision)},
          {"pulled_at", manifest.pulled_at},
          {"path", model.entry().string()},
          {"files", files}};
}

}  // namespace lantern::cli
