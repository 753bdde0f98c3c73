#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

#include "base/ascii.h"
#include "base/time.h"
#include "supply/bom/bom.h"
#include "supply/names.h"
#include "supply/reference.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

using format::Metadata;

constexpr size_t kTextBytesMax = 1000, kListMax = 64;

/// One line of at most kTextBytesMax bytes, cut between characters.
std::string tidy(std::string_view text) {
  std::string out(text.substr(0, kTextBytesMax));
  if (out.size() < text.size())
    while (!out.empty() && (static_cast<unsigned char>(text[out.size()]) & 0xc0) == 0x80)
      out.pop_back();
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

/// Metadata are hints here: a key of another type says nothing.
std::string text_at(const Metadata& metadata, std::string_view key) {
  const format::MetadataValue* value = metadata.find(key);
  const auto* text = value ? std::get_if<std::string>(value) : nullptr;
  return text ? tidy(*text) : std::string();
}

std::vector<std::string> texts_at(const Metadata& metadata, std::string_view key) {
  const format::MetadataValue* value = metadata.find(key);
  const auto* array = value ? std::get_if<format::StringArray>(value) : nullptr;
  std::vector<std::string> texts;
  if (!array) return texts;
  for (std::string_view text : *array) {
    if (texts.size() == kListMax) break;
    texts.push_back(tidy(text));
  }
  return texts;
}

int64_t count_at(const Metadata& metadata, std::string_view key) {
  auto n = metadata.get_int_or(key, 0, static_cast<int64_t>(kListMax), 0);
  return n.ok() ? *n : 0;
}

const std::string& first_of(std::initializer_list<const std::string*> texts) {
  static const std::string kNone;
  for (const std::string* text : texts)
    if (!text->empty()) return *text;
  return kNone;
}

bool is_uri(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos || text.size() > 2000) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>';
  });
}

/// "2025-01-31" or a whole RFC 3339 time, as the latter.
Result<std::string> released_time(std::string_view text) {
  std::string whole(text);
  if (whole.size() == 10) whole += "T00:00:00Z";
  auto time = base::parse_utc(whole);
  if (!time.ok())
    return make_error(ErrorCode::kInvalidArgument,
                      "released: \"{}\" is neither a date (2025-01-31) nor a time of UTC "
                      "(2025-01-31T12:00:00Z)",
                      tidy(text));
  return whole;
}

Result<std::string> created_time(const BomInput& input) {
  if (!input.source_date_epoch) return input.manifest.pulled_at;
  const int64_t seconds = *input.source_date_epoch;
  constexpr int64_t kYear10000 = 253402300800;
  if (seconds < 0 || seconds >= kYear10000)
    return make_error(ErrorCode::kInvalidArgument,
                      "SOURCE_DATE_EPOCH is {}: seconds since 1970 are needed", seconds);
  return base::format_utc(base::UtcTime(std::chrono::seconds(seconds)));
}

/// Where the files can be had again, as a URI; empty for a path.
std::string location_of(const Manifest& manifest) {
  auto reference = parse_reference(manifest.source);
  if (!reference.ok()) return "";
  switch (reference->kind) {
    case Reference::Kind::kHub: {
      const std::string& revision = first_of({&manifest.revision, &reference->revision});
      const bool one_file = manifest.files.size() == 1 && manifest.kind == ModelKind::kGguf;
      std::string url = fmt::format("https://huggingface.co/{}/{}/{}", reference->repo,
                                    one_file ? "resolve" : "tree", percent_encode(revision, true));
      if (one_file) url += "/" + percent_encode(manifest.files.front().path, true);
      return url;
    }
    case Reference::Kind::kPypi:
      return purl_of_source(manifest.source, manifest.revision);
    case Reference::Kind::kUrl:
      return recordable(*reference);
    case Reference::Kind::kAlias:
    case Reference::Kind::kPath:
      break;
  }
  return "";
}

/// The organisation behind a repository of the Hub.
std::string owner_of(const Manifest& manifest) {
  auto reference = parse_reference(manifest.source);
  if (!reference.ok() || reference->kind != Reference::Kind::kHub) return "";
  return reference->repo.substr(0, reference->repo.find('/'));
}

void read_ancestors(const Metadata& metadata, BomFacts& facts) {
  const int64_t n_bases = count_at(metadata, "general.base_model.count");
  for (int64_t i = 0; i < n_bases; ++i) {
    auto field = [&](std::string_view what) {
      return text_at(metadata, fmt::format("general.base_model.{}.{}", i, what));
    };
    BomAncestor base{.name = field("name"),
                     .version = field("version"),
                     .supplier = field("organization"),
                     .url = field("repo_url")};
    if (base.url.empty()) base.url = field("url");
    if (!is_uri(base.url)) base.url.clear();
    if (!base.name.empty()) facts.ancestors.push_back(std::move(base));
  }
  const int64_t n_datasets = count_at(metadata, "general.dataset.count");
  for (int64_t i = 0; i < n_datasets; ++i)
    if (std::string name = text_at(metadata, fmt::format("general.dataset.{}.name", i));
        !name.empty())
      facts.datasets.push_back(std::move(name));
  for (std::string& name : texts_at(metadata, "general.datasets"))
    facts.datasets.push_back(std::move(name));
}

/// Every architecture with a generator's tokenizer and a chat template, or one of GGUF's tokenizers
/// of decoders, generates text; of others nothing is said.
std::string task_of(const format::Description& description) {
  if (!description.chat_templates.empty()) return "text-generation";
  const bool decoder =
      description.tokenizer.starts_with("gpt2") || description.tokenizer.starts_with("llama");
  return description.kind == format::FileKind::kGguf && decoder ? "text-generation" : "";
}

void read_properties(const BomInput& input, const Metadata& metadata, BomFacts& facts) {
  const format::Description& description = *input.description;
  auto add = [&](std::string_view name, std::string value) {
    if (!value.empty()) facts.properties.push_back({std::string(name), tidy(value)});
  };
  add("id", "sha256:" + facts.id);
  add("kind", input.manifest.kind == ModelKind::kGguf ? "gguf" : "folder");
  add("title", description.name);
  add("parameters", std::to_string(description.n_parameters));
  add("quantization", description.mix_text());
  if (description.n_context) add("context_length", std::to_string(*description.n_context));
  add("tokenizer", description.tokenizer);
  if (description.n_vocab) add("vocabulary", std::to_string(*description.n_vocab));
  std::string templates;
  for (const std::string& name : description.chat_templates)
    templates += (templates.empty() ? "" : ", ") + name;
  add("chat_templates", templates);
  for (const char* key : {"general.basename", "general.size_label", "general.finetune",
                          "general.version", "general.quantized_by"})
    add(fmt::format("gguf:{}", std::string_view(key).substr(8)), text_at(metadata, key));
  for (const char* key : {"general.file_type", "general.quantization_version"})
    if (auto n = metadata.get_int(key, 0, INT32_MAX); n.ok())
      add(fmt::format("gguf:{}", std::string_view(key).substr(8)), std::to_string(*n));
  auto reference = parse_reference(input.manifest.source);
  // A path on this machine is nobody else's business.
  if (reference.ok() && reference->kind != Reference::Kind::kPath &&
      reference->kind != Reference::Kind::kAlias)
    add("source", recordable(*reference));
  add("revision", input.manifest.revision);
}

void note_gaps(BomFacts& facts) {
  if (facts.supplier.empty()) facts.gaps.push_back(BomGap::kSupplier);
  if (facts.released.empty()) facts.gaps.push_back(BomGap::kReleased);
  if (facts.download_location.empty()) facts.gaps.push_back(BomGap::kDownloadLocation);
  if (facts.licence.concluded.empty()) facts.gaps.push_back(BomGap::kLicence);
}

}  // namespace

std::string purl_of_source(std::string_view source, std::string_view revision) {
  auto reference = parse_reference(source);
  if (!reference.ok()) return "";
  if (reference->kind == Reference::Kind::kHub) {
    std::string purl = "pkg:huggingface/" + percent_encode(reference->repo, true);
    const std::string version(revision.empty() ? reference->revision : revision);
    return purl + "@" + percent_encode(version);
  }
  if (reference->kind == Reference::Kind::kPypi) {
    std::string name = base::to_lower(reference->package);
    std::replace(name.begin(), name.end(), '_', '-');
    std::string purl =
        fmt::format("pkg:pypi/{}@{}", percent_encode(name), percent_encode(reference->version));
    if (!reference->file.empty()) purl += "#" + percent_encode(reference->file, true);
    return purl;
  }
  return "";
}

Result<BomFacts> bom_facts(const BomInput& input) {
  LANTERN_CHECK(input.description != nullptr);
  static const Metadata kNoMetadata;
  const Metadata& metadata =
      input.description->checkpoint ? input.description->checkpoint->metadata() : kNoMetadata;
  const std::string organization = text_at(metadata, "general.organization");
  const std::string author = text_at(metadata, "general.author");
  const std::string owner = owner_of(input.manifest);
  BomFacts facts;
  facts.id = base::to_hex(input.manifest.id);
  facts.name = tidy(input.name);
  facts.version = "sha256:" + facts.id;
  facts.purl = purl_of_source(input.manifest.source, input.manifest.revision);
  facts.supplier = tidy(first_of({&input.supplier, &organization, &author, &owner}));
  if (!input.released.empty()) {
    LANTERN_ASSIGN(facts.released, released_time(input.released));
  }
  facts.recorded = input.manifest.pulled_at;
  LANTERN_ASSIGN(facts.created, created_time(input));
  if (!input.download_location.empty() && !is_uri(input.download_location))
    return make_error(ErrorCode::kInvalidArgument, "download location: \"{}\" is no URI",
                      tidy(input.download_location));
  const std::string location = location_of(input.manifest);
  std::string said = text_at(metadata, "general.repo_url");
  if (said.empty()) said = text_at(metadata, "general.source.repo_url");
  if (!is_uri(said)) said.clear();
  facts.download_location = first_of({&input.download_location, &location, &said});
  const std::string url = text_at(metadata, "general.url");
  facts.homepage = first_of({&input.homepage, &url});
  if (!is_uri(facts.homepage)) facts.homepage.clear();
  facts.description = text_at(metadata, "general.description");
  facts.architecture = tidy(input.description->architecture);
  facts.task = task_of(*input.description);
  facts.licence = input.licence;
  for (const ManifestFile& file : input.manifest.files)
    facts.files.push_back({.path = file.path,
                           .bytes = file.size,
                           .sha256 = base::to_hex(file.digest),
                           .media_type = ends_with_ignoring_case(file.path, ".json")
                                             ? "application/json"
                                             : "application/octet-stream"});
  facts.ancestors = input.derivation.parents;
  facts.tool = tidy(input.derivation.tool);
  read_ancestors(metadata, facts);
  facts.languages = texts_at(metadata, "general.languages");
  facts.tags = texts_at(metadata, "general.tags");
  read_properties(input, metadata, facts);
  note_gaps(facts);
  return facts;
}

}  // namespace lantern::supply
