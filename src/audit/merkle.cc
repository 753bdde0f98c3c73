#include "audit/merkle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

namespace lantern::audit {

void TreeHasher::begin() {
  if (!fresh_) sha256_.restart();
  fresh_ = false;
}

Hash TreeHasher::leaf(std::span<const std::byte> entry) {
  constexpr std::byte kPrefix[] = {std::byte{0}};
  begin();
  sha256_.update(kPrefix);
  sha256_.update(entry);
  return sha256_.finish();
}

Hash TreeHasher::node(const Hash& left, const Hash& right) {
  std::array<std::byte, 65> bytes;
  bytes[0] = std::byte{1};
  std::copy(left.begin(), left.end(), bytes.begin() + 1);
  std::copy(right.begin(), right.end(), bytes.begin() + 33);
  begin();
  sha256_.update(bytes);
  return sha256_.finish();
}

Hash leaf_hash(std::span<const std::byte> entry) { return TreeHasher().leaf(entry); }
Hash leaf_hash(std::string_view entry) { return leaf_hash(std::as_bytes(std::span(entry))); }
Hash node_hash(const Hash& left, const Hash& right) { return TreeHasher().node(left, right); }
Hash empty_root() { return base::sha256(std::string_view()); }

void Frontier::append_subtree(int level, const Hash& root) {
  LANTERN_CHECK(size_ % (uint64_t{1} << level) == 0);
  roots_.push_back(root);
  // Each one bit of the old size, from this level on, is a complete subtree that the new one pairs.
  for (uint64_t ones = size_ >> level; (ones & 1) != 0; ones >>= 1) {
    const Hash right = roots_.back();
    roots_.pop_back();
    roots_.back() = hasher_.node(roots_.back(), right);
  }
  size_ += uint64_t{1} << level;
}

Hash Frontier::root() {
  if (roots_.empty()) return empty_root();
  Hash hash = roots_.back();
  for (size_t i = roots_.size() - 1; i-- > 0;) hash = hasher_.node(roots_[i], hash);
  return hash;
}

Frontier Frontier::of(uint64_t size, std::vector<Hash> roots) {
  LANTERN_CHECK(roots.size() == static_cast<size_t>(std::popcount(size)));
  Frontier frontier;
  frontier.size_ = size;
  frontier.roots_ = std::move(roots);
  return frontier;
}

namespace {

/// The hashes of the complete subtrees that make up [begin, end), the largest first. `begin` is a
/// multiple of the largest power of two that end - begin needs.
Result<std::vector<Hash>> subtrees(HashSource& source, uint64_t begin, uint64_t end) {
  std::vector<Hash> hashes;
  while (begin < end) {
    const int level = static_cast<int>(std::bit_width(end - begin)) - 1;
    LANTERN_ASSIGN(const Hash hash, source.node(level, begin >> level));
    hashes.push_back(hash);
    begin += uint64_t{1} << level;
  }
  return hashes;
}

/// MTH(D[begin:end]), begin < end.
Result<Hash> range_hash(HashSource& source, TreeHasher& hasher, uint64_t begin, uint64_t end) {
  LANTERN_ASSIGN(const std::vector<Hash> hashes, subtrees(source, begin, end));
  Hash hash = hashes.back();
  for (size_t i = hashes.size() - 1; i-- > 0;) hash = hasher.node(hashes[i], hash);
  return hash;
}

/// The largest power of two smaller than n; n >= 2.
uint64_t split(uint64_t n) { return std::bit_floor(n - 1); }

}  // namespace

Result<Frontier> frontier_at(HashSource& source, uint64_t size) {
  LANTERN_ASSIGN(std::vector<Hash> hashes, subtrees(source, 0, size));
  return Frontier::of(size, std::move(hashes));
}

Result<Hash> root_at(HashSource& source, uint64_t size) {
  LANTERN_ASSIGN(Frontier frontier, frontier_at(source, size));
  return frontier.root();
}

Result<std::vector<Hash>> inclusion_proof(HashSource& source, uint64_t index, uint64_t size) {
  if (index >= size)
    return make_error(ErrorCode::kInvalidArgument,
                      "no entry {} in a log of {} entries; the first is 0", index, size);
  TreeHasher hasher;
  std::vector<Hash> proof;
  uint64_t begin = 0, end = size;
  while (end - begin > 1) {  // from the root down; each step adds the other side
    const uint64_t middle = begin + split(end - begin);
    const bool left = index < middle;
    LANTERN_ASSIGN(const Hash other, left ? range_hash(source, hasher, middle, end)
                                          : range_hash(source, hasher, begin, middle));
    proof.push_back(other);
    (left ? end : begin) = middle;
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<std::vector<Hash>> consistency_proof(HashSource& source, uint64_t first, uint64_t second) {
  if (first > second)
    return make_error(ErrorCode::kInvalidArgument,
                      "no consistency from {} to {} entries: a log only grows", first, second);
  std::vector<Hash> proof;
  if (first == 0 || first == second) return proof;
  TreeHasher hasher;
  // SUBPROOF of RFC 6962, section 2.1.2, downwards. `whole`: the first tree is all of this part
  // and its hash is one that the verifier has.
  uint64_t begin = 0, end = second;
  bool whole = true;
  while (first != end) {
    const uint64_t middle = begin + split(end - begin);
    if (first <= middle) {
      LANTERN_ASSIGN(const Hash right, range_hash(source, hasher, middle, end));
      proof.push_back(right);
      end = middle;
    } else {
      LANTERN_ASSIGN(const Hash left, range_hash(source, hasher, begin, middle));
      proof.push_back(left);
      begin = middle;
      whole = false;
    }
  }
  if (!whole) {
    LANTERN_ASSIGN(const Hash last, range_hash(source, hasher, begin, end));
    proof.push_back(last);
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

bool inclusion_holds(uint64_t index, uint64_t size, const Hash& leaf, std::span<const Hash> proof,
                     const Hash& root) {
  if (index >= size) return false;
  TreeHasher hasher;
  uint64_t node = index, last = size - 1;
  Hash hash = leaf;
  for (const Hash& other : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      hash = hasher.node(other, hash);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = hasher.node(hash, other);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool consistency_holds(uint64_t first, uint64_t second, const Hash& first_root,
                       const Hash& second_root, std::span<const Hash> proof) {
  if (first > second) return false;
  if (first == second) return proof.empty() && first_root == second_root;
  if (first == 0) return proof.empty() && first_root == empty_root();
  // Where the first tree is one complete subtree, its root is left out of the proof.
  const bool complete = std::has_single_bit(first);
  if (!complete && proof.empty()) return false;
  uint64_t node = first - 1, last = second - 1;
  while ((node & 1) != 0) {
    node >>= 1;
    last >>= 1;
  }
  TreeHasher hasher;
  Hash of_first = complete ? first_root : proof.front();
  Hash of_second = of_first;
  for (const Hash& other : complete ? proof : proof.subspan(1)) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      of_first = hasher.node(other, of_first);
      of_second = hasher.node(other, of_second);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      of_second = hasher.node(of_second, other);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && of_first == first_root && of_second == second_root;
}

}  // namespace lantern::audit
