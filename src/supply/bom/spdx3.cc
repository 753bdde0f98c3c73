#include "supply/bom/spdx3.h"

#include <set>

#include "supply/bom/document.h"

namespace lantern::supply {
namespace {

using base::OrderedJson;

constexpr std::string_view kNoAssertionLicence = "expandedlicensing_NoAssertionLicense";
constexpr const char* kNoAssertion = "NOASSERTION";
constexpr const char* kCreationInfo = "_:creation";
/// The version of rules/spdx_licences.txt.
constexpr const char* kLicenceListVersion = "3.28.0";

/// Elements of one document: each gets the creation info and an id under the document's own prefix.
class Graph {
 public:
  explicit Graph(std::string prefix) : prefix_(std::move(prefix)) {}

  [[nodiscard]] std::string id(std::string_view name) const {
    return fmt::format("{}#{}", prefix_, name);
  }
  /// The new element's id.
  std::string add(const char* type, std::string_view name, const OrderedJson& fields) {
    std::string own = id(name);
    OrderedJson element = {{"type", type}, {"spdxId", own}, {"creationInfo", kCreationInfo}};
    for (const auto& [key, value] : fields.items()) element[key] = value;
    elements_.push_back(std::move(element));
    ids_.push_back(own);
    return own;
  }
  std::string relate(std::string_view name, std::string_view from, const char* relation,
                     OrderedJson to) {
    return add("Relationship", name,
               {{"from", from}, {"relationshipType", relation}, {"to", std::move(to)}});
  }
  [[nodiscard]] const std::vector<std::string>& ids() const { return ids_; }
  OrderedJson take() { return std::move(elements_); }

 private:
  std::string prefix_;
  OrderedJson elements_ = OrderedJson::array();
  std::vector<std::string> ids_;
};

OrderedJson sha256_of(std::string_view hex) {
  return OrderedJson::array({{{"type", "Hash"}, {"algorithm", "sha256"}, {"hashValue", hex}}});
}

OrderedJson entry(std::string_view key, std::string_view value) {
  return {{"type", "DictionaryEntry"}, {"key", key}, {"value", value}};
}

/// An element for the expression, or SPDX's own "no assertion".
std::string licence(Graph& graph, const LicenceReport& report, const std::string& expression,
                    std::string_view name) {
  if (expression.empty()) return std::string(kNoAssertionLicence);
  OrderedJson fields = {{"simplelicensing_licenseExpression", expression},
                        {"simplelicensing_licenseListVersion", kLicenceListVersion}};
  // What SPDX does not list is a reference; its text goes along where the model's files hold it.
  if (expression.starts_with("LicenseRef-") && is_single_licence(expression) &&
      !report.text.empty()) {
    const std::string text =
        graph.add("simplelicensing_SimpleLicensingText", fmt::format("{}-text", name),
                  {{"name", expression}, {"simplelicensing_licenseText", report.text}});
    fields["simplelicensing_customIdToUri"] = OrderedJson::array({entry(expression, text)});
  }
  return graph.add("simplelicensing_LicenseExpression", name, fields);
}

/// What the fields that must be there say where nobody knows.
std::string notes(const BomFacts& facts) {
  std::string text;
  if (facts.released.empty())
    text += "releaseTime: the publisher's is not known; this is when the files were recorded. ";
  if (facts.supplier.empty()) text += "suppliedBy: not known. ";
  if (facts.download_location.empty()) text += "software_downloadLocation: not known. ";
  for (const LicenceTerms& terms : facts.licence.terms)
    text += fmt::format("{}: {}. ", terms.name, terms.obligations);
  if (!facts.tool.empty()) text += fmt::format("Made by: {}. ", facts.tool);
  if (!text.empty()) text.pop_back();
  return text;
}

OrderedJson package(const BomFacts& facts, const std::string& supplier) {
  OrderedJson fields = {
      {"name", facts.name},
      {"software_packageVersion", facts.version},
      {"software_primaryPurpose", "model"},
      {"software_downloadLocation",
       facts.download_location.empty() ? kNoAssertion : facts.download_location},
      {"suppliedBy", supplier},
      {"releaseTime", facts.released.empty() ? facts.recorded : facts.released},
      {"ai_typeOfModel",
       OrderedJson::array({facts.architecture.empty() ? "transformer" : facts.architecture})},
  };
  if (!facts.description.empty()) fields["description"] = facts.description;
  if (const std::string text = notes(facts); !text.empty()) fields["comment"] = text;
  if (!facts.purl.empty()) fields["software_packageUrl"] = facts.purl;
  if (!facts.homepage.empty()) fields["software_homePage"] = facts.homepage;
  if (!facts.task.empty()) fields["ai_domain"] = OrderedJson::array({facts.task});
  if (!facts.datasets.empty()) {
    std::string text = "datasets that the file names:";
    for (const std::string& name : facts.datasets) text += " " + name + ";";
    text.pop_back();
    fields["ai_informationAboutTraining"] = text;
  }
  OrderedJson parameters = OrderedJson::array();
  for (const BomProperty& one : facts.properties)
    parameters.push_back(entry("lantern:" + one.name, one.value));
  for (const std::string& language : facts.languages)
    parameters.push_back(entry("lantern:language", language));
  if (!parameters.empty()) fields["ai_hyperparameter"] = std::move(parameters);
  if (facts.files.size() == 1) fields["verifiedUsing"] = sha256_of(facts.files.front().sha256);
  return fields;
}

OrderedJson ancestor(const BomAncestor& one) {
  OrderedJson fields = {{"name", one.name.empty() ? "model" : one.name},
                        {"software_primaryPurpose", "model"}};
  if (one.id) fields["software_packageVersion"] = "sha256:" + base::to_hex(*one.id);
  if (!one.id && !one.version.empty()) fields["software_packageVersion"] = one.version;
  if (!one.url.empty()) fields["software_downloadLocation"] = one.url;
  return fields;
}

/// Everything but the document element and the creation info; returns the id of the SBOM.
std::string add_elements(Graph& graph, const BomFacts& facts, const std::string& maker) {
  const std::string supplier =
      graph.add(facts.supplier.empty() ? "Agent" : "Organization", "supplier",
                {{"name", facts.supplier.empty() ? kNoAssertion : facts.supplier}});
  const std::string model = graph.add("ai_AIPackage", "model", package(facts, supplier));
  OrderedJson files = OrderedJson::array();
  for (size_t i = 0; i < facts.files.size(); ++i)
    files.push_back(graph.add("software_File", fmt::format("file-{}", i + 1),
                              {{"name", facts.files[i].path},
                               {"contentType", facts.files[i].media_type},
                               {"verifiedUsing", sha256_of(facts.files[i].sha256)}}));
  const std::string declared =
      licence(graph, facts.licence, facts.licence.declared, "licence-declared");
  const std::string concluded =
      licence(graph, facts.licence, facts.licence.concluded, "licence-concluded");
  graph.relate("declares", model, "hasDeclaredLicense", OrderedJson::array({declared}));
  graph.relate("concludes", model, "hasConcludedLicense", OrderedJson::array({concluded}));
  graph.relate("contains", model, "contains", std::move(files));
  OrderedJson ancestors = OrderedJson::array();
  for (size_t i = 0; i < facts.ancestors.size(); ++i)
    ancestors.push_back(graph.add("software_Package", fmt::format("ancestor-{}", i + 1),
                                  ancestor(facts.ancestors[i])));
  if (!ancestors.empty()) graph.relate("descends", model, "descendantOf", std::move(ancestors));
  OrderedJson all = graph.ids();
  all.push_back(maker);
  return graph.add("software_Sbom", "sbom",
                   {{"rootElement", OrderedJson::array({model})},
                    {"element", std::move(all)},
                    {"software_sbomType", OrderedJson::array({"deployed"})}});
}

OrderedJson whole(const BomFacts& facts, const std::string& prefix) {
  Graph graph(prefix);
  const std::string maker =
      graph.add("SoftwareAgent", "lantern", {{"name", "lantern " LANTERN_VERSION}});
  const std::string sbom = add_elements(graph, facts, maker);
  graph.add(
      "SpdxDocument", "document",
      {{"profileConformance", OrderedJson::array({"core", "software", "ai", "simpleLicensing"})},
       {"rootElement", OrderedJson::array({sbom})}});
  OrderedJson elements = OrderedJson::array({{{"type", "CreationInfo"},
                                              {"@id", kCreationInfo},
                                              {"specVersion", "3.0.1"},
                                              {"created", facts.created},
                                              {"createdBy", OrderedJson::array({maker})}}});
  for (OrderedJson& element : graph.take()) elements.push_back(std::move(element));
  return {{"@context", "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"},
          {"@graph", std::move(elements)}};
}

void check_package(const base::Json& model, const BomFacts& facts,
                   std::vector<std::string>& faults) {
  for (const char* key : {"name", "releaseTime", "suppliedBy", "software_downloadLocation",
                          "software_packageVersion", "software_primaryPurpose"})
    if (text_of(model, key).empty())
      faults.push_back(fmt::format("ai_AIPackage: {}: missing", key));
  if (text_of(model, "software_primaryPurpose") != "model")
    faults.emplace_back("ai_AIPackage: software_primaryPurpose: not \"model\"");
  if (text_of(model, "software_packageVersion") != "sha256:" + facts.id)
    faults.emplace_back("ai_AIPackage: software_packageVersion: not the model's id");
}

/// The ids that an element names in `key`, one or a list.
std::vector<std::string> named(const base::Json& element, const char* key) {
  std::vector<std::string> ids;
  const auto at = element.find(key);
  if (at == element.end()) return ids;
  if (at->is_string()) ids.push_back(at->get<std::string>());
  if (at->is_array())
    for (const base::Json& one : *at)
      if (one.is_string()) ids.push_back(one.get<std::string>());
  return ids;
}

void check_references(const base::Json& elements, std::vector<std::string>& faults) {
  std::set<std::string> ids = {std::string(kNoAssertionLicence)};
  for (const base::Json& element : elements) {
    const std::string id = text_of(element, element.contains("@id") ? "@id" : "spdxId");
    if (id.empty() || !ids.insert(id).second)
      faults.push_back(fmt::format("spdxId \"{}\": missing or not the only one", id));
  }
  for (const base::Json& element : elements)
    for (const char* key :
         {"creationInfo", "createdBy", "suppliedBy", "from", "to", "rootElement", "element"})
      for (const std::string& id : named(element, key))
        if (!ids.contains(id)) faults.push_back(fmt::format("{}: {}: unresolved", key, id));
}

void check_licences(const base::Json& elements, const std::string& model,
                    std::vector<std::string>& faults) {
  for (const char* relation : {"hasDeclaredLicense", "hasConcludedLicense"}) {
    size_t n = 0;
    for (const base::Json& element : elements)
      if (text_of(element, "relationshipType") == relation && text_of(element, "from") == model)
        n += named(element, "to").size();
    if (n != 1) faults.push_back(fmt::format("{}: {} of the model, one is needed", relation, n));
  }
}

void check_file_elements(const base::Json& elements, const BomFacts& facts,
                         std::vector<std::string>& faults) {
  std::set<std::pair<std::string, std::string>> found;
  for (const base::Json& element : elements) {
    if (text_of(element, "type") != "software_File" || !element.contains("verifiedUsing")) continue;
    for (const base::Json& hash : element["verifiedUsing"])
      if (text_of(hash, "algorithm") == "sha256")
        found.emplace(text_of(element, "name"), text_of(hash, "hashValue"));
  }
  for (const BomFile& file : facts.files)
    if (!found.contains({file.path, file.sha256}))
      faults.push_back(fmt::format("file {}: no software_File with its sha256", file.path));
}

}  // namespace

std::string write_spdx3(const BomFacts& facts) {
  const std::string content = base::to_hex(base::sha256(dump_document(whole(facts, ""))));
  return dump_document(
      whole(facts, "urn:uuid:" + uuid5(fmt::format("spdx3 {} {}", facts.id, content))));
}

std::vector<std::string> spdx3_faults(std::string_view text, const BomFacts& facts) {
  std::vector<std::string> faults;
  const auto parsed = base::parse_json(text, "document");
  if (!parsed.ok() || !parsed->is_object() || !parsed->contains("@graph") ||
      !(*parsed)["@graph"].is_array())
    return {"no JSON object with an @graph"};
  const base::Json& elements = (*parsed)["@graph"];
  std::string model;
  size_t n_models = 0, n_documents = 0;
  for (const base::Json& element : elements) {
    if (!element.is_object()) return {"@graph: an element is no object"};
    n_documents += text_of(element, "type") == "SpdxDocument";
    if (text_of(element, "type") != "ai_AIPackage") continue;
    ++n_models;
    model = text_of(element, "spdxId");
    check_package(element, facts, faults);
  }
  if (n_models != 1) faults.push_back(fmt::format("{} ai_AIPackage, one is needed", n_models));
  if (n_documents != 1)
    faults.push_back(fmt::format("{} SpdxDocument, one is needed", n_documents));
  check_licences(elements, model, faults);
  check_file_elements(elements, facts, faults);
  check_references(elements, faults);
  return faults;
}

}  // namespace lantern::supply
