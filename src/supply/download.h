// One file over HTTP: resumed where an earlier try ended, hashed, bounded.
//
// What has arrived lies in the store's partial/ folder under a name made of the address, with a
// small file beside it that keeps the server's ETag and the size. Another try asks for the rest
// (Range, If-Range) and takes it only if the server vouches that it is the same file or its digest
// is known beforehand. A lock on the partial file keeps two processes from writing to one.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "supply/http.h"
#include "supply/source.h"

namespace lantern::supply {

struct DownloadRequest {
  HttpRequest http;
  std::string name;   // the file's path inside the model
  std::string label;  // for progress
  std::optional<uint64_t> size = {};
  std::optional<base::Digest> digest = {};
};

/// The file, in partial/ and locked. A wrong digest is not judged here but where it is compared
/// (pull); only a resumed file with one is fetched once more from its beginning.
///
/// Errors: kCorrupt where the size is not what was announced, kExhausted for the disk, kCancelled,
/// kNotFound, kIo once the attempts are used up.
Result<StagedFile> download(HttpClient& client, const DownloadRequest& request,
                            const PullContext& context);

/// What all files of a plan have in common.
struct DownloadCommon {
  std::string bearer_token = {};
  std::function<std::optional<Error>(const HttpReply&)> explain = {};
};
/// Every file of the plan that the store has not got, by its address, in order.
Result<std::vector<StagedFile>> download_all(HttpClient& client, const Plan& plan,
                                             const PullContext& context,
                                             const DownloadCommon& common);

/// Removes a partial file and what lies beside it; or, once the file has moved, only the latter.
void remove_partial(const std::filesystem::path& at);
void forget_partial(const std::filesystem::path& at);

}  // namespace lantern::supply
