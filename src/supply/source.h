// Sources: places where a model is to be had, one file each under sources/.
//
// pull() drives them: plan() says which files there are, with sizes and digests as far as the place
// tells before the download; fetch() brings them into a staging folder. Neither is trusted with
// more: digests are computed by us, compared by pull(), and only then does the store take anything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "supply/http.h"
#include "supply/network.h"
#include "supply/reference.h"
#include "supply/staging.h"
#include "supply/store.h"

namespace lantern::supply {

struct ModelFile;

/// A signature that lies beside a model (docs/signatures.md). Nothing of it is verified here.
struct FoundSignature {
  std::string name = {};  // "model.sig", "model.gguf.sig"
  std::string text = {};  // a JSON document, it seems
};
inline constexpr uint64_t kFoundSignatureBytesMax = 16u << 20;

/// Judges, before the store takes anything in, what came: the files with their digests, and the
/// signature beside them, or none. An error ends the pull with it.
using SignatureJudge =
    std::function<Status(const FoundSignature* found, std::span<const ModelFile> files)>;

/// What a pull may use. Defaults come from the environment where that is customary.
struct PullContext {
  const Store& store;
  NetworkMode network = NetworkMode::kOnline;
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();
  std::function<void(std::string_view)> notice = {};  // a line for the person, now and then
  HttpOptions http = {};
  std::string hub_endpoint = {};  // empty: HF_ENDPOINT, else the public Hub
  std::string hub_token = {};     // empty: HF_TOKEN, else none
  /// Bytes free on the file system of a folder; a test's own, where it wants a full disk.
  std::function<Result<uint64_t>(const std::filesystem::path&)> free_bytes = available_bytes;
  SignatureJudge judge_signature = {};  // empty: signatures are not looked for
  /// Told of a source that gave other bytes than were announced, which are deleted. An error ends
  /// the pull.
  std::function<Status(const Error&)> on_wrong_content = {};

  void say(std::string_view line) const {
    if (notice) notice(line);
  }
};

struct PlannedFile {
  std::string name = {};  // its path inside the model, checked
  std::optional<uint64_t> size = {};
  std::optional<base::Digest> digest = {};
  std::string url = {};         // where the source has one
  bool already_stored = false;  // set by pull(): fetch() gives an entry without a file for it
};

struct Plan {
  std::string name = {};  // what an alias is made of, where none is given
  ModelKind kind = ModelKind::kGguf;
  std::string source = {};  // what the manifest records
  std::string revision = {};
  std::string licence = {};
  /// Empty where only the download tells (a wheel whose member was not named).
  std::vector<PlannedFile> files = {};
  /// Over the wire or copied, where that is not the files' own size; 0: their size.
  uint64_t download_bytes = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<Plan> plan(const PullContext& context) = 0;
  /// One StagedFile for each planned file, in that order, in `folder` or among the partial
  /// downloads.
  virtual Result<std::vector<StagedFile>> fetch(const Plan& plan, const StagingFolder& folder,
                                                const PullContext& context) = 0;
  /// What lies beside the planned files under signature_names(). None where the place has none or
  /// will not give it: who needs one refuses then. kCancelled, kExhausted.
  virtual Result<std::optional<FoundSignature>> signature(const Plan&, const PullContext&) {
    return std::optional<FoundSignature>();
  }
};

/// Where signatures of a model are looked for, in order: of a GGUF file FILE.sig (of a split set
/// its first part's), then model.sig in the same folder.
std::vector<std::string> signature_names(ModelKind kind, std::string_view first_file);
/// A signature by another standard (PGP, minisign), or a web page, is none: the person is told.
std::optional<FoundSignature> as_signature(std::string name, std::string text,
                                           const PullContext& context);

std::unique_ptr<Source> make_hub_source(Reference reference);
std::unique_ptr<Source> make_pypi_source(Reference reference);
std::unique_ptr<Source> make_url_source(Reference reference);
std::unique_ptr<Source> make_path_source(Reference reference);
/// By the reference's kind; kInvalidArgument for an alias, which is no place.
Result<std::unique_ptr<Source>> make_source(Reference reference);

/// kExhausted with both numbers where `needed` bytes (and a little for the store's own files) do
/// not fit.
Status require_space(const PullContext& context, uint64_t needed);

}  // namespace lantern::supply
