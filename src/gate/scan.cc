#include "gate/scan.h"

#include <memory>
#include <vector>

#include "format/source.h"

namespace lantern::gate {

Result<supply::scan::Report> scan_composition(const Composition& model) {
  if (model.paths.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: its files are not at hand to be scanned",
                      model.name);
  std::vector<std::unique_ptr<format::Source>> opened;
  std::vector<supply::scan::NamedSource> sources;
  for (const ComposedFile& file : model.paths) {
    LANTERN_ASSIGN(std::unique_ptr<format::Source> source, format::FileSource::open(file.path));
    sources.push_back({.path = file.name, .source = source.get()});
    opened.push_back(std::move(source));
  }
  return supply::scan::scan_sources(sources);
}

}  // namespace lantern::gate
