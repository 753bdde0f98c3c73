// What commands see of bills of materials and licences. (cli/ and server/ include gate/ alone; the
// types come along.) Only headers and digests are read: no approval is needed.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "format/describe.h"
#include "supply/bom/bom.h"
#include "supply/licence_report.h"
#include "supply/manifest.h"

namespace lantern::gate {

struct IdentifyOptions {
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();  // of hashing, where it is needed
};

/// A model as its files and the store's records tell it.
struct IdentifiedModel {
  std::string name = {};
  supply::Manifest manifest = {};     // of a path: the newest file's time
  std::filesystem::path folder = {};  // where its files lie
  std::filesystem::path entry = {};   // the file or folder that a reader opens
  bool stored = false;
};
/// `reference`: as Admission::admit() takes it; files behind a path are hashed. Same errors.
Result<IdentifiedModel> identify_model(std::string_view reference, const IdentifyOptions& options);

struct BomOptions {
  std::string format = "cyclonedx";
  std::string supplier = {}, released = {}, download_location = {}, licence = {};
  supply::Derivation derivation = {};
  IdentifyOptions identify = {};
};

/// Errors: identify_model()'s, describe()'s, supply::write_bom()'s.
Result<supply::Bom> make_bom(std::string_view reference, const BomOptions& options);

struct ModelLicence {
  std::string name = {};
  base::Digest id{};
  supply::LicenceReport report = {};
};
Result<ModelLicence> licence_of(std::string_view reference, const IdentifyOptions& options);
/// What the files at `entry` conclude of their licence, as an SPDX expression; empty: nothing. The
/// header is read by the confined child; nothing is hashed.
Result<std::string> concluded_licence(const std::filesystem::path& entry);

}  // namespace lantern::gate
