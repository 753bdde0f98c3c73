// A model as OpenAI's API describes it.
#pragma once

#include "server/service.h"

namespace lantern::server::openai {

inline base::OrderedJson model_document(const Service& service, const gate::ServedModel& model) {
  const auto started =
      std::chrono::duration_cast<std::chrono::seconds>(service.started().time_since_epoch())
          .count();
  return {{"id", model.name()},
          {"object", "model"},
          {"created", started},
          {"owned_by", "lantern"},
          {"digest", "sha256:" + base::to_hex(model.composition().id)},
          {"context_length", model.info().context}};
}

}  // namespace lantern::server::openai
