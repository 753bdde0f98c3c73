#include "engine/fair_shares.h"

#include <algorithm>
#include <limits>

namespace lantern::engine {

void FairShares::forget_passed() {
  int64_t least = std::numeric_limits<int64_t>::max();
  bool any = false;
  for (const auto& [user, share] : shares_) {
    if (share.requests_ == 0) continue;
    least = std::min(least, share.time_);
    any = true;
  }
  if (any) now_ = std::max(now_, least);
  std::erase_if(shares_, [&](const auto& entry) {
    return entry.second.requests_ == 0 && (!any || entry.second.time_ <= now_);
  });
}

FairShares::Share& FairShares::join(std::string_view user) {
  forget_passed();
  auto found = shares_.find(user);
  if (found == shares_.end()) {
    found = shares_.emplace(std::string(user), Share()).first;
    found->second.user_ = user;
  }
  Share& share = found->second;
  if (share.requests_++ == 0) share.time_ = std::max(share.time_, now_);
  return share;
}

void FairShares::leave(Share& share) {
  --share.requests_;
  forget_passed();
}

}  // namespace lantern::engine
