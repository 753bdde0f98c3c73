// A model as OpenAI's API describes it.
#pragma once

#include <chrono>

#include "server/generation.h"
#include "server/service.h"

namespace lantern::server::openai {

inline base::OrderedJson model_document(const gate::ServableModel& model) {
  const auto created =
      std::chrono::duration_cast<std::chrono::seconds>(model.at.time_since_epoch()).count();
  base::OrderedJson out = {{"id", model.name},
                           {"object", "model"},
                           {"created", created},
                           {"owned_by", "lantern"},
                           {"digest", "sha256:" + base::to_hex(model.id)}};
  if (!model.parent.empty()) out["parent"] = model.parent;  // as vLLM calls an adapter's model
  out["capabilities"] =
      base::OrderedJson::array({model.is_made_to_embed ? "embedding" : "completion"});
  if (model.context) out["context_length"] = *model.context;
  return out;
}

}  // namespace lantern::server::openai
