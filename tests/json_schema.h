// Holds a JSON document against a JSON Schema.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace lantern::tests {

/// A schema of docs/schemas/ by its name.
inline nlohmann::json published_schema(const std::string& name) {
  return nlohmann::json::parse(
      std::ifstream(std::string(LANTERN_SOURCE_DIR) + "/docs/schemas/" + name + ".json"));
}

/// Empty if `document` follows `source`, else what is wrong.
inline std::string schema_violations(const nlohmann::json& source, const nlohmann::json& document) {
  using Adapter = valijson::adapters::NlohmannJsonAdapter;
  valijson::Schema schema;
  valijson::SchemaParser parser;
  const Adapter source_adapter(source);
  parser.populateSchema(source_adapter, schema);
  valijson::Validator validator;
  valijson::ValidationResults results;
  const Adapter document_adapter(document);
  if (validator.validate(schema, document_adapter, &results)) return "";
  std::string text;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    for (const std::string& step : error.context) text += step;
    text += ": " + error.description + "\n";
  }
  return text.empty() ? "invalid" : text;
}

}  // namespace lantern::tests
