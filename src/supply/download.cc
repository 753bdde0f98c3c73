#include "supply/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <thread>

#include "base/checked.h"
#include "base/json.h"
#include "base/printable.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

constexpr int kAttemptsInAllMax = 100;  // even if each one gains a byte
constexpr uint64_t kMetaBytesMax = 4096;
constexpr auto kLockPoll = std::chrono::milliseconds(100);

fs::path meta_path(fs::path at) { return at.replace_extension(".json"); }

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "bytes 5-9/10" or "bytes */10" or "bytes 5-9/*"
struct ContentRange {
  std::optional<uint64_t> first, total;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  ContentRange range{.first = {}, .total = parse_number(text.substr(slash + 1))};
  if (size_t dash = text.substr(0, slash).find('-'); dash != std::string_view::npos)
    range.first = parse_number(text.substr(0, dash));
  return range;
}

/// The file that grows; appended to and hashed as it does.
class Partial {
 public:
  static Result<Partial> open(const fs::path& at, const PullContext& context);

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& etag() const { return etag_; }
  [[nodiscard]] const fs::path& path() const { return at_; }

  /// Hashes what an earlier process left.
  Status take_up(const PullContext& context);
  Status restart();
  Status append(std::span<const std::byte> bytes) {
    hash_.update(bytes);
    size_ += bytes.size();
    return write_fully(fd_.get(), bytes, at_);
  }
  /// Keeps the validator that a later resumption needs; a weak one is none.
  Status remember(std::string etag) {
    etag_ = etag.starts_with('"') ? std::move(etag) : "";
    base::Json json = {{"etag", base::printable(etag_, 256)}};
    return base::write_file_atomically(meta_path(at_), json.dump() + "\n");
  }
  Result<StagedFile> finish(std::string name);

 private:
  fs::path at_;
  base::UniqueFd fd_;
  ContentHash hash_{ContentHash::Verity::kNo};
  ContentHash::Verity verity_ = ContentHash::Verity::kNo;
  uint64_t size_ = 0;
  std::string etag_;
};

Result<Partial> Partial::open(const fs::path& at, const PullContext& context) {
  bool waiting = false;
  for (;;) {
    LANTERN_TRY(check_stop(context.stop));
    Partial partial;
    partial.at_ = at;
    partial.fd_ =
        base::UniqueFd(::open(at.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (partial.fd_.get() < 0) return base::errno_error(errno, at.string());
    if (::flock(partial.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return base::errno_error(errno, at.string());
      if (!std::exchange(waiting, true))
        context.say("another lantern is downloading this file; waiting for it");
      std::this_thread::sleep_for(kLockPoll);
      continue;
    }
    // Whoever held the lock may have moved the file into the store meanwhile.
    struct stat ours {
    }, named{};
    if (::fstat(partial.fd_.get(), &ours) != 0) return base::errno_error(errno, at.string());
    if (::stat(at.c_str(), &named) != 0 || named.st_ino != ours.st_ino ||
        named.st_dev != ours.st_dev)
      continue;
    if (context.store.verity().supports(partial.fd_.get(), at))
      partial.verity_ = ContentHash::Verity::kYes;
    partial.hash_ = ContentHash(partial.verity_);
    partial.size_ = static_cast<uint64_t>(ours.st_size);
    if (auto text = base::read_text_file(meta_path(at), kMetaBytesMax); text.ok())
      if (auto json = base::parse_json(*text, at.string(), {.bytes_max = kMetaBytesMax});
          json.ok() && json->is_object() && json->contains("etag") && (*json)["etag"].is_string())
        partial.etag_ = (*json)["etag"].get<std::string>();
    return partial;
  }
}

Status Partial::restart() {
  if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0)
    return base::errno_error(errno, at_.string());
  hash_ = ContentHash(verity_);
  size_ = 0;
  etag_.clear();
  return {};
}

Status Partial::take_up(const PullContext& context) {
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(at_));
  base::Progress progress({.label = "Reading what is here already", .total = size_},
                          context.progress);
  LANTERN_ASSIGN(
      hash_,
      hash_prefix(file, size_, {.stop = context.stop, .progress = &progress, .verity = verity_}));
  if (::lseek(fd_.get(), static_cast<off_t>(size_), SEEK_SET) < 0)
    return base::errno_error(errno, at_.string());
  return {};
}

Result<StagedFile> Partial::finish(std::string name) {
  if (::fsync(fd_.get()) != 0) return base::errno_error(errno, at_.string());
  const ContentHash::Digests digests = hash_.finish();
  return StagedFile{.name = std::move(name),
                    .at = at_,
                    .size = size_,
                    .digest = digests.sha256,
                    .verity = digests.verity,
                    .held = std::make_shared<base::UniqueFd>(std::move(fd_))};
}

/// The attempts at one file.
class Download {
 public:
  Download(HttpClient& client, const DownloadRequest& request, const PullContext& context,
           Partial partial)
      : client_(client),
        request_(request),
        context_(context),
        partial_(std::move(partial)),
        total_(request.size) {}

  Status run();
  Partial& partial() { return partial_; }
  [[nodiscard]] bool was_resumed() const { return was_resumed_; }

 private:
  [[nodiscard]] bool may_resume() const { return request_.digest || !partial_.etag().empty(); }
  Status prepare();
  HttpRequest next_request() const;
  Status on_head(const HttpReply& reply);
  Status on_body(std::span<const std::byte> piece);
  Result<bool> handle(const HttpClient::Outcome& outcome);

  HttpClient& client_;
  const DownloadRequest& request_;
  const PullContext& context_;
  Partial partial_;
  std::optional<uint64_t> total_;
  base::Progress* progress_ = nullptr;
  std::optional<Error> why_;  // of the last attempt that failed
  bool was_resumed_ = false, space_checked_ = false, range_refused_ = false;
};

Status Download::prepare() {
  bool too_long = request_.size && partial_.size() > *request_.size;
  if (partial_.size() == 0 || !may_resume() || too_long) return partial_.restart();
  LANTERN_TRY(partial_.take_up(context_));
  was_resumed_ = true;
  return {};
}

HttpRequest Download::next_request() const {
  HttpRequest http = request_.http;
  http.headers["Accept-Encoding"] = "identity";
  if (partial_.size() > 0) {
    http.headers["Range"] = fmt::format("bytes={}-", partial_.size());
    if (!partial_.etag().empty()) http.headers["If-Range"] = partial_.etag();
  }
  return http;
}

Status Download::on_head(const HttpReply& reply) {
  std::string place = reply.url.origin;
  if (std::string encoding = reply.header("content-encoding");
      !encoding.empty() && encoding != "identity")
    return make_error(ErrorCode::kIo, "{}: sends {} compressed on the way, which was not asked for",
                      place, request_.name);
  std::optional<uint64_t> total;
  if (reply.status == 206) {
    auto range = parse_content_range(reply.header("content-range"));
    if (!range || !range->first || *range->first != partial_.size())
      return make_error(ErrorCode::kIo, "{}: sends another part of {} than was asked for", place,
                        request_.name);
    total = range->total;
  } else {
    if (partial_.size() > 0) {
      LANTERN_TRY(partial_.restart());
      was_resumed_ = false;
    }
    total = parse_number(reply.header("content-length"));
  }
  if (request_.size && total && *total != *request_.size)
    return make_error(ErrorCode::kCorrupt, "{}: {} has {} bytes there, and {} were announced",
                      place, request_.name, *total, *request_.size);
  if (!request_.size) total_ = total;
  if (total_ && !request_.size && !std::exchange(space_checked_, true))
    LANTERN_TRY(require_space(context_, *total_ - std::min(*total_, partial_.size())));
  progress_->set(partial_.size());
  progress_->set_total(total_.value_or(0));
  return partial_.remember(reply.header("etag"));
}

Status Download::on_body(std::span<const std::byte> piece) {
  if (total_ && piece.size() > *total_ - std::min(*total_, partial_.size()))
    return make_error(ErrorCode::kCorrupt, "{}: more than its {} bytes came", request_.name,
                      *total_);
  LANTERN_TRY(partial_.append(piece));
  progress_->advance(piece.size());
  return {};
}

/// Whether it is complete. An error ends the download; otherwise why_ says what went wrong.
Result<bool> Download::handle(const HttpClient::Outcome& outcome) {
  const HttpReply& reply = outcome.reply;
  if (outcome.transient) {
    why_ = outcome.transient;
    return false;
  }
  if (reply.status == 416 && partial_.size() > 0 && !std::exchange(range_refused_, true)) {
    auto range = parse_content_range(reply.header("content-range"));
    bool complete = range && range->total == partial_.size() &&
                    (!request_.size || *request_.size == partial_.size());
    if (complete) return true;
    LANTERN_TRY(partial_.restart());
    why_ = make_error(ErrorCode::kIo, "{}: the server has no more of {}", reply.url.origin,
                      request_.name);
    return false;
  }
  if (reply.status != 200 && reply.status != 206) {
    why_ = status_error(request_.http, reply);
    if (!is_transient_status(reply.status)) return Error(*why_);
    return false;
  }
  if (!total_ || partial_.size() == *total_) return true;
  why_ = make_error(ErrorCode::kIo, "{}: {} ended after {} of {} bytes", reply.url.origin,
                    request_.name, partial_.size(), *total_);
  return false;
}

Status Download::run() {
  LANTERN_TRY(prepare());
  base::Progress progress(
      {.label = request_.label, .total = total_.value_or(0), .done = partial_.size()},
      context_.progress);
  progress_ = &progress;
  std::optional<HttpReply> last;
  // A complete file of an earlier process needs no request.
  bool complete = was_resumed_ && request_.size == partial_.size() && request_.digest;
  for (int attempt = 1, in_all = 1; !complete; ++attempt, ++in_all) {
    LANTERN_TRY(client_.wait_before(attempt, last ? &*last : nullptr, why_ ? *why_ : Error{}));
    // Without a validator nobody can say that the rest belongs to the same file.
    if (attempt > 1 && !may_resume()) LANTERN_TRY(partial_.restart());
    uint64_t before = partial_.size();
    HttpClient::Exchange exchange{
        .on_head = [this](const HttpReply& reply) { return on_head(reply); },
        .on_body = [this](std::span<const std::byte> piece) { return on_body(piece); }};
    LANTERN_ASSIGN(HttpClient::Outcome outcome, client_.attempt(next_request(), exchange));
    LANTERN_ASSIGN(complete, handle(outcome));
    if (complete) break;
    last = std::move(outcome.reply);
    if (partial_.size() > before && may_resume()) attempt = 1;
    if (attempt >= client_.options().attempts_max || in_all >= kAttemptsInAllMax)
      return Error(*why_);
  }
  progress.finish();
  return {};
}

}  // namespace

void remove_partial(const fs::path& at) {
  ::unlink(at.c_str());
  forget_partial(at);
}

void forget_partial(const fs::path& at) {
  if (!at.empty()) ::unlink(meta_path(at).c_str());
}

Result<StagedFile> download(HttpClient& client, const DownloadRequest& request,
                            const PullContext& context) {
  LANTERN_ASSIGN(fs::path folder, context.store.partial_folder());
  std::string key = request.http.url.text;
  if (request.digest) key += " " + base::to_hex(*request.digest);
  fs::path at = folder / (base::to_hex(base::sha256(key)) + ".part");
  for (bool again = false;; again = true) {
    LANTERN_ASSIGN(Partial partial, Partial::open(at, context));
    // Another process may have brought it while this one waited for the lock.
    if (request.digest && context.store.has_blob(*request.digest)) {
      remove_partial(at);
      std::error_code code;
      uint64_t size = fs::file_size(context.store.blob_path(*request.digest), code);
      if (!code)
        return StagedFile{.name = request.name, .at = {}, .size = size, .digest = *request.digest};
    }
    if (again) LANTERN_TRY(partial.restart());
    Download attempts(client, request, context, std::move(partial));
    LANTERN_TRY(attempts.run());
    LANTERN_ASSIGN(StagedFile file, attempts.partial().finish(request.name));
    // What an earlier process left may have been damaged by a crash: then it is fetched afresh.
    bool damaged = request.digest && file.digest != *request.digest;
    if (!damaged || again || !attempts.was_resumed()) return file;
    context.say(request.name + ": what an earlier download left is damaged; starting over");
  }
}

Result<std::vector<StagedFile>> download_all(HttpClient& client, const Plan& plan,
                                             const PullContext& context,
                                             const DownloadCommon& common) {
  std::vector<StagedFile> staged;
  for (const auto& file : plan.files) {
    if (file.already_stored) {
      staged.push_back({.name = file.name, .at = {}, .size = *file.size, .digest = *file.digest});
      continue;
    }
    DownloadRequest request{.http = {.url = {},
                                     .bearer_token = common.bearer_token,
                                     .headers = {},
                                     .explain = common.explain},
                            .name = file.name,
                            .label = "Downloading " + file.name,
                            .size = file.size,
                            .digest = file.digest};
    if (plan.files.size() > 1)
      request.label += fmt::format(" ({} of {})", staged.size() + 1, plan.files.size());
    LANTERN_ASSIGN(request.http.url, parse_url(file.url));
    LANTERN_ASSIGN(StagedFile finished, download(client, request, context));
    staged.push_back(std::move(finished));
  }
  return staged;
}

}  // namespace lantern::supply
