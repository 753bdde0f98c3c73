// Who is served next: a virtual time of tokens per user (start-time fair queueing, Goyal, Vin and
// Cheng, 1996). A user's time advances by the tokens spent on them; the one with the least is
// next. Who comes, or comes back, starts at the least time of those who are there: having been
// away saves up nothing, and those who have waited long are not overtaken.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace lantern::engine {

class FairShares {
 public:
  class Share {
   public:
    [[nodiscard]] int64_t time() const { return time_; }  // tokens
    void charge(int64_t tokens) { time_ += tokens; }

   private:
    friend class FairShares;
    std::string user_;
    int64_t time_ = 0;
    int64_t requests_ = 0;
  };

  /// A request of `user` is there: it waits or runs. The share holds until the same number of
  /// leave().
  Share& join(std::string_view user);
  void leave(Share& share);
  /// Users known: those who are there, and those who went ahead of the others' time.
  [[nodiscard]] size_t size() const { return shares_.size(); }

 private:
  void forget_passed();

  std::map<std::string, Share, std::less<>> shares_;
  int64_t now_ = 0;  // the least time of those who are there; never falls
};

}  // namespace lantern::engine
