// lantern inspect: what a model file says of itself. Nothing of it runs.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/admission.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  bool metadata = false;
  bool tensors = false;
  bool json = false;
};

constexpr size_t kTextShown = 100;  // bytes of a long text in the table

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  if (text.size() <= kTextShown) return text;
  size_t end = kTextShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("{}... ({} bytes)", text.substr(0, end), text.size());
}

/// Scalars as they are, arrays as their first elements and their length.
struct ValueAsJson {
  template <typename T>
  base::OrderedJson operator()(const T& value) const {
    if constexpr (std::is_same_v<T, bool> || std::is_arithmetic_v<T> ||
                  std::is_same_v<T, std::string>) {
      return value;
    } else {
      base::OrderedJson first = base::OrderedJson::array();
      size_t n = 0;
      for (auto element : value) {
        if (n++ == 8) break;
        if constexpr (std::is_same_v<decltype(element), std::string_view>)
          first.push_back(std::string(element));
        else
          first.push_back(element);
      }
      return {{"length", value.size()}, {"first", first}};
    }
  }
};

struct ValueAsText {
  template <typename T>
  std::string operator()(const T& value) const {
    if constexpr (std::is_same_v<T, std::string>) {
      return one_line(value);
    } else if constexpr (std::is_same_v<T, bool> || std::is_arithmetic_v<T>) {
      return fmt::format("{}", value);
    } else {
      return fmt::format("[{} values]", value.size());
    }
  }
};

std::string shape_text(const format::Tensor& tensor) {
  std::string text;
  for (int64_t dimension : tensor.shape)
    text += (text.empty() ? "" : " x ") + std::to_string(dimension);
  return text;
}

/// What the text of the licence beside the model is; empty where there is none.
std::string licence_found(const supply::LicenceReport& licence) {
  for (const supply::LicenceStatement& statement : licence.statements)
    if (statement.where == "file " + licence.text_file)
      return statement.spdx.empty() ? "a text that Lantern does not recognise" : statement.spdx;
  return "";
}

base::OrderedJson licence_json(const supply::LicenceReport& licence) {
  if (licence.text_file.empty()) return {};
  base::OrderedJson spdx;
  for (const supply::LicenceStatement& statement : licence.statements)
    if (statement.where == "file " + licence.text_file && !statement.spdx.empty())
      spdx = statement.spdx;
  return {{"file", licence.text_file},
          {"spdx", std::move(spdx)},
          {"contradicts_claim", licence.contradiction}};
}

base::OrderedJson report(const Flags& flags, const format::Description& description,
                         const supply::LicenceReport& found) {
  base::OrderedJson mix = base::OrderedJson::array(), licence = base::OrderedJson::object(),
                    metadata = base::OrderedJson::object(), tensors = base::OrderedJson::array();
  for (const auto& share : description.mix)
    mix.push_back({{"type", share.name},
                   {"tensors", share.tensors},
                   {"elements", share.elements},
                   {"bytes", share.bytes}});
  for (const auto& [key, value] : description.licence) licence[key] = value;
  for (const auto& [key, entry] : description.checkpoint->metadata().all())
    metadata[key] = std::visit(ValueAsJson(), entry.value);
  for (const auto& tensor : description.checkpoint->tensors())
    tensors.push_back({{"name", tensor.name},
                       {"type", quant::find_format(tensor.type)->name},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes}});
  auto optional = [](const std::optional<int64_t>& n) {
    return n ? base::OrderedJson(*n) : base::OrderedJson();
  };
  return {{"file", flags.model},
          {"kind", format::file_kind_name(description.kind)},
          {"architecture", description.architecture},
          {"name", description.name},
          {"parameters", description.n_parameters},
          {"tensor_bytes", description.tensor_bytes},
          {"file_bytes", description.file_bytes},
          {"mix", mix},
          {"licence", licence},
          {"licence_text", licence_json(found)},
          {"chat_templates", description.chat_templates},
          {"context_length", optional(description.n_context)},
          {"tokenizer", description.tokenizer},
          {"vocabulary", optional(description.n_vocab)},
          {"metadata", metadata},
          {"tensors", tensors}};
}

std::string page(const Flags& flags, const format::Description& description,
                 const supply::LicenceReport& found) {
  std::string templates;
  for (const std::string& name : description.chat_templates)
    templates += (templates.empty() ? "" : ", ") + name;
  std::vector<std::vector<std::string>> rows = {
      {"file", flags.model + ", " + std::string(format::file_kind_name(description.kind))},
      {"name", description.name.empty() ? "not said" : one_line(description.name)},
      {"architecture", description.architecture.empty() ? "not said" : description.architecture},
      {"parameters",
       description.n_parameters < 100'000
           ? std::to_string(description.n_parameters)
           : fmt::format("{:.1f} million", static_cast<double>(description.n_parameters) / 1e6)},
      {"size", base::format_bytes(description.file_bytes)},
      {"quantization", description.mix_text()},
      {"context", description.n_context ? std::to_string(*description.n_context) : "not said"},
      {"tokenizer",
       description.tokenizer +
           (description.n_vocab ? fmt::format(", {} tokens", *description.n_vocab) : "")},
      {"chat template", templates.empty() ? "none" : templates}};
  for (const auto& [key, value] : description.licence) rows.push_back({key, one_line(value)});
  if (description.licence.empty()) rows.push_back({"licence", "the file does not say"});
  if (const std::string what = licence_found(found); !what.empty())
    rows.push_back(
        {found.text_file,
         one_line(found.contradiction ? what + ", which is not what is claimed" : what)});
  std::string text = table(rows);
  if (flags.metadata) {
    std::vector<std::vector<std::string>> entries = {{"KEY", "VALUE"}};
    for (const auto& [key, entry] : description.checkpoint->metadata().all())
      entries.push_back({key, std::visit(ValueAsText(), entry.value)});
    text += "\n" + table(entries);
  }
  if (flags.tensors) {
    std::vector<std::vector<std::string>> entries = {{"TENSOR", "TYPE", "SHAPE", "BYTES"}};
    for (const auto& tensor : description.checkpoint->tensors())
      entries.push_back({tensor.name, std::string(quant::find_format(tensor.type)->name),
                         shape_text(tensor), std::to_string(tensor.bytes)});
    text += "\n" + table(entries, {3});
  }
  return visible(text);
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const supply::InspectedModel model, gate::describe(flags.model));
  const format::Description& description = model.description;
  LANTERN_ASSIGN(const supply::LicenceReport found, gate::claimed_and_found_licence(model));
  if (flags.json) {
    LANTERN_TRY(print_json(report(flags, description, found)));
  } else {
    LANTERN_TRY(print(page(flags, description, found)));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("FILE", flags->model, kModelHelp)->required();
  app.add_flag("--metadata", flags->metadata, "list every metadata key");
  app.add_flag("--tensors", flags->tensors, "list every tensor");
  app.add_flag("--json", flags->json, "everything as JSON (docs/schemas/inspect.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_inspect;
const Command k_inspect = {
    .name = "inspect",
    .access = ModelAccess::kDescribes,
    .summary = "show what is in a model file; nothing of it runs",
    .examples =
        "  lantern inspect ./model.gguf\n"
        "  lantern inspect smollm2 --metadata --tensors\n"
        "  lantern inspect ./folder --json",
    .define = define,
};

}  // namespace lantern::cli
