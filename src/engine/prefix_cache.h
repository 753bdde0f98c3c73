// Keys and values of prefixes that were run before, for the next request that begins alike.
//
// A tree over pages of the KV cache. A node is up to kernels::kKvPagePositions ids and what all
// layers hold of them; its path from the root is the prefix it belongs to:
//
//   scope "alice" ── ids[0,128) ─┬─ ids[128,256) ── ids[256,290)   an answer's end: not full, so a
//   leaf
//                                └─ ids'[128,256)
//
// Full pages are shared with the sequences that use them. Of a page that a prefix leaves in the
// middle (the end of an answer, or another continuation) a sequence gets a copy and writes on from
// there, so that a hit is long to the id and not to the page.
//
// SCOPES. Every scope (a user, or a group that a policy names) has a tree of its own, and no
// request sees another scope's: neither what is in it nor, by the time it takes, whether it is
// there. Prefixes with other rotations (LongRoPE) or under another adapter are apart likewise.
//
// MEMORY. Where it is short the least recently used leaf goes first. Nodes that a sequence stands
// on are held; of those only what sliding windows have passed may be given back.
//
// A hit has the bits of computing it again (invariant 3). One thread at a time; outlived by its
// pool, outlives its positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "engine/batch.h"
#include "engine/kv_cache.h"

namespace lantern::engine {

class PrefixCache {
 public:
  struct Scope {
    std::string name;
    bool long_rope = false;
    base::Digest adapter{};  // Adapter::key; zeros: none
    auto operator<=>(const Scope&) const = default;
  };

  explicit PrefixCache(uint64_t bytes_max);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  struct Node;
  /// Where a sequence stands in the tree: all its full pages are there or become so.
  class Position {
   public:
    Position() = default;
    Position(Position&& other) noexcept
        : node_(std::exchange(other.node_, nullptr)), only_gives_(other.only_gives_) {}
    Position& operator=(Position&& other) noexcept {
      std::swap(node_, other.node_);
      std::swap(only_gives_, other.only_gives_);
      return *this;
    }
    Position(const Position&) = delete;
    ~Position() = default;

   private:
    friend class PrefixCache;
    Node* node_ = nullptr;
    bool only_gives_ = false;  // a hit proved of no use, so no further is taken
  };

  /// At the scope's root, with nothing yet.
  Position enter(const Scope& scope);
  /// Goes on with what is there of `ids`: `sequence`, which holds whole pages of a prefix of `ids`
  /// that `position` stands at, gets what follows, all but the last id at most. Ids gained. Where
  /// too much of what sliding windows need is gone, `sequence` is empty afterwards.
  int64_t advance(Position& position, std::span<const int32_t> ids, Sequence& sequence);
  /// Takes in the pages of `sequence` that have become full.
  void extend(Position& position, Sequence& sequence);
  /// The sequence ends: takes in the rest, and holds nothing any more.
  void leave(Position& position, Sequence& sequence);

  /// Gives back the least recently used. False: nothing can go.
  bool evict();
  /// Gives back the pages of layers with sliding windows that are held for nothing but later hits.
  /// False: there are none.
  bool drop_windowed();
  /// Of pages in the tree, those that sequences share too.
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  struct IdsLess {
    using is_transparent = void;
    bool operator()(std::span<const int32_t> a, std::span<const int32_t> b) const;
  };
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>, IdsLess>;

  Node* find_longest(Node& parent, std::span<const int32_t> ids, size_t& n_common) const;
  Node* insert(Node& parent, std::span<const int32_t> ids, KvPages pages);
  void hold(Node& node);
  void release(Node& node);
  void refresh(Node& node);
  void erase(Node& node);

  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  uint64_t clock_ = 0;
  std::map<Scope, std::unique_ptr<Node>> roots_;
  std::set<std::pair<uint64_t, Node*>> idle_;  // leaves that nobody stands on, oldest first
};

}  // namespace lantern::engine
