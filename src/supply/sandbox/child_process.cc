#include "supply/sandbox/child_process.h"

namespace lantern::supply::sandbox {

Result<base::ChildOutput> run_child(const Manifest& manifest, const std::vector<OpenFile>& files,
                                    const ChildRun& run) {
  base::ChildRun child{.program = run.program,
                       .argument = std::string(kChildArgument),
                       .input = manifest_to_json(manifest),
                       .time_max = run.time_max,
                       .output_bytes_max = run.output_bytes_max};
  for (const OpenFile& file : files) child.files.push_back(file.fd);
  return base::run_confined_child(child);
}

}  // namespace lantern::supply::sandbox
