// A model's header read by a confined child (scan_child.h), never in the program's own process.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "format/folder.h"
#include "supply/sandbox/inspection.h"

namespace lantern::supply::sandbox {

struct InspectOptions {
  std::chrono::milliseconds time_max{60'000};
  std::filesystem::path program = "/proc/self/exe";
  std::string misbehave = {};  // as ChildOptions::misbehave
};

/// `path`: a file (any part of a split GGUF set) or a Hugging Face folder. Errors: those of
/// format::describe(); kInternal, "inconclusive" to a command, where the child died, took too long,
/// or answered what makes no sense; kIo where none could be started.
Result<InspectedModel> inspect_in_child(const std::filesystem::path& path,
                                        const InspectOptions& options = {});

/// The same, in this process where the program cannot start children (a test's).
Result<InspectedModel> inspect_model(const std::filesystem::path& path);

/// Has the child read what inspect_in_child() would, for its verdict alone: what the files were
/// that it read, or their error as above. For whoever reads them next in a process that matters.
Result<std::vector<base::FileStamp>> check_in_child(const std::filesystem::path& path,
                                                    const InspectOptions& options = {});
/// The same; nothing where the program cannot start children (a test's).
Result<std::vector<base::FileStamp>> check_model(const std::filesystem::path& path);

/// What the child does: `name` in `folder`, or the folder itself where it is empty.
Result<InspectedModel> inspect_here(const format::Folder& folder, const std::string& name);

}  // namespace lantern::supply::sandbox
