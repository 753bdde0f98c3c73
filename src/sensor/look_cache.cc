#include "sensor/look_cache.h"

#include <utility>

namespace lantern::sensor {

LookCache::Key LookCache::key_of(const ParseJob& job) {
  const base::FileStamp& stamp = job.file->stamp;
  return {job.task,       stamp.device,   stamp.inode, stamp.size,
          stamp.mtime_ns, stamp.ctime_ns, job.store,   job.path};
}

const ParseAnswer* LookCache::find(const ParseJob& job) {
  if (job.file->stamp.inode == 0) return nullptr;
  const Key key = key_of(job);
  if (const auto at = young_.find(key); at != young_.end()) return at->second.get();
  const auto at = old_.find(key);
  if (at == old_.end()) return nullptr;
  const std::shared_ptr<const ParseAnswer> answer = at->second;
  old_.erase(at);
  if (young_.size() >= generation_max_) old_ = std::exchange(young_, {});
  return young_.emplace(key, answer).first->second.get();
}

void LookCache::keep(const ParseJob& job, const ParseAnswer& answer) {
  if (job.file->stamp.inode == 0) return;
  if (young_.size() >= generation_max_) old_ = std::exchange(young_, {});
  young_.insert_or_assign(key_of(job), std::make_shared<const ParseAnswer>(answer));
}

}  // namespace lantern::sensor
