// The Merkle tree of RFC 6962, section 2.1 (RFC 9162 has the same tree): hashes, the right edge of
// a growing tree, proofs and their verification.
//
// A node is named by its level (0: leaves) and its index in that level; it covers the entries
// [index << level, (index + 1) << level) and exists once all of them do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::audit {

using Hash = base::Digest;

/// The leaf and node hashes, with one hashing context kept for all of them. One thread at a time.
class TreeHasher {
 public:
  /// SHA-256(0x00 || entry)
  Hash leaf(std::span<const std::byte> entry);
  /// SHA-256(0x01 || left || right)
  Hash node(const Hash& left, const Hash& right);

 private:
  base::Sha256 sha256_;
  bool fresh_ = true;
  void begin();
};

Hash leaf_hash(std::span<const std::byte> entry);
Hash leaf_hash(std::string_view entry);
Hash node_hash(const Hash& left, const Hash& right);
/// The root of no entries: SHA-256 of nothing.
Hash empty_root();

/// The right edge of a tree: the roots of its complete subtrees, the largest first. What is needed
/// to append and to know the root; at most 64 hashes.
class Frontier {
 public:
  Frontier() = default;
  Frontier(const Frontier& other) : size_(other.size_), roots_(other.roots_) {}
  Frontier& operator=(const Frontier& other) {
    size_ = other.size_;
    roots_ = other.roots_;
    return *this;
  }

  void append(const Hash& leaf) { append_subtree(0, leaf); }
  /// A complete subtree of 2^level entries; size() is a multiple of that.
  void append_subtree(int level, const Hash& root);
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] Hash root();
  /// A frontier of `size` entries whose subtree roots, the largest first, are `roots`.
  static Frontier of(uint64_t size, std::vector<Hash> roots);

 private:
  uint64_t size_ = 0;
  std::vector<Hash> roots_;
  TreeHasher hasher_;
};

/// Where the hashes of a tree come from: tiles, or memory.
class HashSource {
 public:
  virtual ~HashSource() = default;
  /// The hash of a complete subtree. `level` <= 63.
  virtual Result<Hash> node(int level, uint64_t index) = 0;
};

/// The largest complete subtrees that make up the first `size` entries, the largest first.
Result<Frontier> frontier_at(HashSource& source, uint64_t size);
Result<Hash> root_at(HashSource& source, uint64_t size);

/// PATH(index, D[0:size]), from the leaf's sibling up. kInvalidArgument unless index < size.
Result<std::vector<Hash>> inclusion_proof(HashSource& source, uint64_t index, uint64_t size);
/// PROOF(first, D[0:second]). kInvalidArgument unless first <= second. Empty where first is 0 or
/// equals second.
Result<std::vector<Hash>> consistency_proof(HashSource& source, uint64_t first, uint64_t second);

/// RFC 9162, section 2.1.3.2.
bool inclusion_holds(uint64_t index, uint64_t size, const Hash& leaf, std::span<const Hash> proof,
                     const Hash& root);
/// RFC 9162, section 2.1.4.2; `first` of 0 holds with the empty root and an empty proof.
bool consistency_holds(uint64_t first, uint64_t second, const Hash& first_root,
                       const Hash& second_root, std::span<const Hash> proof);

}  // namespace lantern::audit
