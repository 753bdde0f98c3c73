// lantern licence: what a model's licence is, who says so and what it asks for.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/bom.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  bool text = false, json = false;
};

base::OrderedJson or_null(const std::string& text) {
  return text.empty() ? base::OrderedJson() : base::OrderedJson(text);
}

base::OrderedJson report(const gate::ModelLicence& licence) {
  const supply::LicenceReport& said = licence.report;
  base::OrderedJson statements = base::OrderedJson::array(), terms = base::OrderedJson::array();
  for (const auto& one : said.statements)
    statements.push_back({{"where", one.where}, {"said", one.said}, {"spdx", or_null(one.spdx)}});
  for (const auto& one : said.terms)
    terms.push_back({{"id", one.id},
                     {"name", one.name},
                     {"commercial_use", one.commercial},
                     {"attribution", one.attribution},
                     {"share_alike", one.share_alike},
                     {"use_restrictions", one.use_restrictions},
                     {"obligations", one.obligations}});
  return {{"model", licence.name},
          {"id", base::to_hex(licence.id)},
          {"licence", or_null(said.concluded)},
          {"declared", or_null(said.declared)},
          {"contradiction", said.contradiction},
          {"statements", statements},
          {"terms", terms},
          {"link", or_null(said.link)},
          {"text_file", or_null(said.text_file)},
          {"text", or_null(said.text)}};
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return text;
}

std::string page(const gate::ModelLicence& licence) {
  const supply::LicenceReport& said = licence.report;
  std::string word = said.concluded;
  if (word.empty())
    word = said.contradiction ? "unknown: those who speak of it contradict each other"
                              : "unknown: nothing names a licence that SPDX or Lantern knows";
  std::vector<std::vector<std::string>> rows = {{"licence", word}};
  for (const auto& one : said.statements)
    rows.push_back({one.where, one_line(one.said) + (one.spdx.empty() ? " (not known)" : "")});
  if (!said.link.empty()) rows.push_back({"link", one_line(said.link)});
  if (!said.text.empty())
    rows.push_back(
        {"text", fmt::format("{}, {} bytes: --text shows it", said.text_file, said.text.size())});
  for (const auto& one : said.terms) {
    rows.push_back({"name", one.name});
    rows.push_back({"commercial use", one.commercial});
    rows.push_back({"attribution", one.attribution ? "required" : "not required"});
    if (one.share_alike) rows.push_back({"share alike", "required"});
    rows.push_back({"use restrictions", one.use_restrictions ? "yes" : "none"});
    rows.push_back({"obligations", one.obligations});
  }
  if (said.terms.empty() && !said.concluded.empty())
    rows.push_back({"obligations", "not known to Lantern: read its text"});
  return visible(table(rows));
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(
      const gate::ModelLicence licence,
      gate::licence_of(flags.model, {.stop = new_interruptible_scope(),
                                     .progress = base::ProgressOutput::standard_error()}));
  if (flags.text) {
    if (licence.report.text.empty())
      return make_error(ErrorCode::kNotFound, "{}: its files hold no licence text", flags.model);
    LANTERN_TRY(print(SafeText()(licence.report.text)));
  } else if (flags.json) {
    LANTERN_TRY(print_json(report(licence)));
  } else {
    LANTERN_TRY(print(page(licence)));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, kModelHelp)->required();
  app.add_flag("--text", flags->text, "print the licence's text, where the model holds it");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/licence.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_licence;
const Command k_licence = {
    .name = "licence",
    .access = ModelAccess::kDescribes,
    .summary = "show a model's licence, who says so, and its obligations",
    .examples = "  lantern licence smollm2\n  lantern licence ./folder --text",
    .define = define,
};

}  // namespace lantern::cli
