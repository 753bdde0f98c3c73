#include "supply/bom/cyclonedx.h"

#include <set>

#include "supply/bom/document.h"

namespace lantern::supply {
namespace {

using base::OrderedJson;

constexpr const char* kModelRef = "model";

std::string file_ref(const BomFile& file) { return "file:" + file.path; }

OrderedJson licences(const LicenceReport& licence) {
  OrderedJson list = OrderedJson::array();
  if (licence.concluded.empty()) return list;
  const char* word = licence.concluded == licence.declared ? "declared" : "concluded";
  if (!is_single_licence(licence.concluded)) {
    list.push_back({{"expression", licence.concluded}, {"acknowledgement", word}});
    return list;
  }
  OrderedJson one;
  one[is_listed_spdx_id(licence.concluded) ? "id" : "name"] = licence.concluded;
  one["acknowledgement"] = word;
  if (!licence.text.empty())
    one["text"] = {{"contentType", "text/plain"}, {"content", licence.text}};
  list.push_back({{"license", std::move(one)}});
  return list;
}

OrderedJson property(std::string_view name, std::string_view value) {
  return {{"name", fmt::format("lantern:{}", name)}, {"value", value}};
}

OrderedJson properties(const BomFacts& facts) {
  OrderedJson list = OrderedJson::array();
  for (const BomProperty& one : facts.properties) list.push_back(property(one.name, one.value));
  if (!facts.licence.declared.empty())
    list.push_back(property("licence:declared", facts.licence.declared));
  for (const LicenceTerms& terms : facts.licence.terms) {
    list.push_back(property("licence:commercial_use", terms.commercial));
    list.push_back(property("licence:obligations", terms.obligations));
  }
  if (!facts.released.empty()) list.push_back(property("released", facts.released));
  if (!facts.tool.empty()) list.push_back(property("derivation:tool", facts.tool));
  for (const std::string& language : facts.languages)
    list.push_back(property("language", language));
  return list;
}

OrderedJson model_card(const BomFacts& facts) {
  OrderedJson parameters;
  if (!facts.task.empty()) parameters["task"] = facts.task;
  parameters["architectureFamily"] = "transformer";
  if (!facts.architecture.empty()) parameters["modelArchitecture"] = facts.architecture;
  OrderedJson datasets = OrderedJson::array();
  for (const std::string& name : facts.datasets)
    datasets.push_back({{"type", "dataset"}, {"name", name}});
  if (!datasets.empty()) parameters["datasets"] = std::move(datasets);
  parameters["inputs"] = OrderedJson::array({{{"format", "text"}}});
  parameters["outputs"] = OrderedJson::array({{{"format", "text"}}});
  OrderedJson card = {{"modelParameters", std::move(parameters)}};
  OrderedJson limits = OrderedJson::array();
  for (const LicenceTerms& terms : facts.licence.terms)
    if (terms.use_restrictions)
      limits.push_back(fmt::format("{}: {}", terms.name, terms.obligations));
  if (!limits.empty()) card["considerations"] = {{"useCases", std::move(limits)}};
  return card;
}

OrderedJson pedigree(const BomFacts& facts) {
  OrderedJson ancestors = OrderedJson::array();
  for (const BomAncestor& one : facts.ancestors) {
    OrderedJson component = {{"type", "machine-learning-model"},
                             {"name", one.name.empty() ? "model" : one.name}};
    if (!one.supplier.empty()) component["supplier"] = {{"name", one.supplier}};
    if (one.id) {
      const std::string hex = base::to_hex(*one.id);
      component["version"] = "sha256:" + hex;
      component["properties"] = OrderedJson::array({property("id", "sha256:" + hex)});
    } else if (!one.version.empty()) {
      component["version"] = one.version;
    }
    if (!one.url.empty())
      component["externalReferences"] =
          OrderedJson::array({{{"type", "distribution"}, {"url", one.url}}});
    ancestors.push_back(std::move(component));
  }
  OrderedJson result = {{"ancestors", std::move(ancestors)}};
  if (!facts.tool.empty()) result["notes"] = "made by: " + facts.tool;
  return result;
}

OrderedJson files(const BomFacts& facts) {
  OrderedJson list = OrderedJson::array();
  for (const BomFile& file : facts.files)
    list.push_back(
        {{"bom-ref", file_ref(file)},
         {"type", "file"},
         {"mime-type", file.media_type},
         {"name", file.path},
         {"hashes", OrderedJson::array({{{"alg", "SHA-256"}, {"content", file.sha256}}})},
         {"properties", OrderedJson::array({property("bytes", std::to_string(file.bytes))})}});
  return list;
}

OrderedJson references(const BomFacts& facts) {
  OrderedJson list = OrderedJson::array();
  if (!facts.download_location.empty())
    list.push_back({{"type", "distribution"}, {"url", facts.download_location}});
  if (!facts.homepage.empty()) list.push_back({{"type", "website"}, {"url", facts.homepage}});
  if (!facts.licence.link.empty() && facts.licence.link.starts_with("https://") &&
      facts.licence.link.find_first_of(" \"<>\\^`{|}") == std::string::npos)
    list.push_back({{"type", "license"}, {"url", facts.licence.link}});
  return list;
}

OrderedJson model(const BomFacts& facts, const std::string& ref) {
  OrderedJson component = {
      {"bom-ref", ref}, {"type", "machine-learning-model"}, {"name", facts.name}};
  component["version"] = facts.version;
  if (!facts.supplier.empty()) component["supplier"] = {{"name", facts.supplier}};
  if (!facts.description.empty()) component["description"] = facts.description;
  // One file's digest is the model's own; a set has only its files'.
  if (facts.files.size() == 1)
    component["hashes"] =
        OrderedJson::array({{{"alg", "SHA-256"}, {"content", facts.files.front().sha256}}});
  if (OrderedJson list = licences(facts.licence); !list.empty())
    component["licenses"] = std::move(list);
  if (!facts.purl.empty()) component["purl"] = facts.purl;
  if (OrderedJson list = references(facts); !list.empty())
    component["externalReferences"] = std::move(list);
  if (!facts.ancestors.empty() || !facts.tool.empty()) component["pedigree"] = pedigree(facts);
  component["components"] = files(facts);
  if (!facts.tags.empty()) component["tags"] = facts.tags;
  component["modelCard"] = model_card(facts);
  component["properties"] = properties(facts);
  return component;
}

std::string write(const BomFacts& facts, std::string_view version) {
  const std::string ref = facts.purl.empty() ? "sha256:" + facts.id : facts.purl;
  OrderedJson of_model = OrderedJson::array();
  for (const BomFile& file : facts.files) of_model.push_back(file_ref(file));
  OrderedJson document = {
      {"$schema", fmt::format("http://cyclonedx.org/schema/bom-{}.schema.json", version)},
      {"bomFormat", "CycloneDX"},
      {"specVersion", version},
      {"serialNumber", ""},
      {"version", 1},
      {"metadata",
       {{"timestamp", facts.created},
        {"tools",
         {{"components",
           OrderedJson::array(
               {{{"type", "application"}, {"name", "lantern"}, {"version", LANTERN_VERSION}}})}}},
        {"component",
         {{"bom-ref", kModelRef},
          {"type", "machine-learning-model"},
          {"name", facts.name},
          {"version", facts.version}}}}},
      {"components", OrderedJson::array({model(facts, ref)})},
      {"dependencies",
       OrderedJson::array({{{"ref", kModelRef}, {"dependsOn", OrderedJson::array({ref})}},
                           {{"ref", ref}, {"dependsOn", std::move(of_model)}}})},
  };
  const std::string content = base::to_hex(base::sha256(dump_document(document)));
  document["serialNumber"] = "urn:uuid:" + uuid5(fmt::format("cyclonedx {} {}", facts.id, content));
  return dump_document(document);
}

/// References of components, nested ones too (two levels are all that we write).
void collect_refs(const base::Json& components, std::multiset<std::string>& refs, int depth) {
  if (!components.is_array() || depth > 4) return;
  for (const base::Json& component : components) {
    refs.insert(text_of(component, "bom-ref"));
    if (component.is_object() && component.contains("components"))
      collect_refs(component["components"], refs, depth + 1);
  }
}

void check_components(const base::Json& model, const BomFacts& facts,
                      std::vector<std::string>& faults) {
  std::set<std::pair<std::string, std::string>> found;
  if (model.contains("components"))
    for (const base::Json& child : model["components"])
      for (const base::Json& hash : child.value("hashes", base::Json::array()))
        if (text_of(child, "type") == "file" && text_of(hash, "alg") == "SHA-256")
          found.emplace(text_of(child, "name"), text_of(hash, "content"));
  for (const BomFile& file : facts.files)
    if (!found.contains({file.path, file.sha256}))
      faults.push_back(fmt::format("file {}: no child of type file with its SHA-256", file.path));
}

void check_model(const base::Json& model, const BomFacts& facts, std::vector<std::string>& faults) {
  if (text_of(model, "type") != "machine-learning-model")
    faults.emplace_back("components: the first is no machine-learning-model");
  for (const char* key : {"name", "version"})
    if (text_of(model, key).empty()) faults.push_back(fmt::format("model: {}: missing", key));
  if (text_of(model, "purl") != facts.purl) faults.emplace_back("model: purl: not the source's");
  const base::Json card = model.value("modelCard", base::Json::object());
  const base::Json parameters = card.value("modelParameters", base::Json::object());
  for (const char* key : {"inputs", "outputs"}) {
    const base::Json list = parameters.value(key, base::Json::array());
    if (list.empty() || text_of(list[0], "format").empty())
      faults.push_back(fmt::format("modelCard: {}: format: missing", key));
  }
  for (const base::Json& entry : model.value("licenses", base::Json::array())) {
    const std::string id = text_of(entry.value("license", base::Json::object()), "id");
    if (!id.empty() && !is_listed_spdx_id(id))
      faults.push_back(fmt::format("licenses: {}: not on the SPDX list", id));
  }
  if (!facts.licence.concluded.empty() && !model.contains("licenses"))
    faults.emplace_back("licenses: missing");
  const base::Json ancestors =
      model.value("pedigree", base::Json::object()).value("ancestors", base::Json::array());
  if (ancestors.size() != facts.ancestors.size())
    faults.emplace_back("pedigree: ancestors: not all are named");
}

}  // namespace

std::string write_cyclonedx_1_6(const BomFacts& facts) { return write(facts, "1.6"); }
std::string write_cyclonedx_1_7(const BomFacts& facts) { return write(facts, "1.7"); }

std::vector<std::string> cyclonedx_faults(std::string_view text, const BomFacts& facts) {
  std::vector<std::string> faults;
  const auto parsed = base::parse_json(text, "document");
  if (!parsed.ok() || !parsed->is_object()) return {"not a JSON object"};
  const base::Json& document = *parsed;
  if (!text_of(document, "serialNumber").starts_with("urn:uuid:"))
    faults.emplace_back("serialNumber: missing");
  const base::Json metadata = document.value("metadata", base::Json::object());
  if (text_of(metadata, "timestamp").empty()) faults.emplace_back("metadata: timestamp: missing");
  const base::Json components = document.value("components", base::Json::array());
  if (components.empty() || !components[0].is_object()) {
    faults.emplace_back("components: no model");
    return faults;
  }
  check_model(components[0], facts, faults);
  check_components(components[0], facts, faults);
  std::multiset<std::string> refs = {
      text_of(metadata.value("component", base::Json::object()), "bom-ref")};
  collect_refs(components, refs, 0);
  for (const std::string& ref : refs)
    if (ref.empty() || refs.count(ref) > 1)
      faults.push_back(fmt::format("bom-ref \"{}\": missing or not the only one", ref));
  for (const base::Json& edge : document.value("dependencies", base::Json::array())) {
    if (!refs.contains(text_of(edge, "ref"))) faults.emplace_back("dependencies: ref: unresolved");
    for (const base::Json& to : edge.value("dependsOn", base::Json::array()))
      if (!to.is_string() || !refs.contains(to.get<std::string>()))
        faults.emplace_back("dependencies: dependsOn: unresolved");
  }
  return faults;
}

}  // namespace lantern::supply
