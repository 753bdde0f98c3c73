#include "audit/merkle.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace lantern::audit {
namespace {

Hash hash_of(std::string_view hex) { return base::digest_from_hex(hex).value(); }

/// The definition of RFC 6962, section 2.1, by recursion.
Hash definition(std::span<const Hash> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves[0];
  size_t split = 1;
  while (2 * split < leaves.size()) split *= 2;
  return node_hash(definition(leaves.first(split)), definition(leaves.subspan(split)));
}

class MemorySource : public HashSource {
 public:
  explicit MemorySource(std::vector<Hash> leaves) { rows_.push_back(std::move(leaves)); }
  Result<Hash> node(int level, uint64_t index) override {
    while (rows_.size() <= static_cast<size_t>(level)) {
      const std::vector<Hash>& below = rows_.back();
      std::vector<Hash> row;
      for (size_t i = 0; i + 1 < below.size(); i += 2)
        row.push_back(node_hash(below[i], below[i + 1]));
      rows_.push_back(std::move(row));
    }
    const auto& row = rows_[static_cast<size_t>(level)];
    if (index >= row.size()) return make_error(ErrorCode::kInternal, "no such node");
    return row[index];
  }

 private:
  std::vector<std::vector<Hash>> rows_;
};

std::vector<Hash> numbered_leaves(size_t n) {
  std::vector<Hash> leaves;
  leaves.reserve(n);
  for (size_t i = 0; i < n; ++i) leaves.push_back(leaf_hash(std::to_string(i)));
  return leaves;
}

// The tree that certificate-transparency implementations test with; roots and proofs as published
// with RFC 6962's reference implementation.
const std::array<std::string, 8>& known_entries() {
  static const std::array<std::string, 8> kEntries = {
      "",
      std::string(1, '\0'),
      "\x10",
      "\x20\x21",
      "\x30\x31",
      "\x40\x41\x42\x43",
      "\x50\x51\x52\x53\x54\x55\x56\x57",
      "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
  return kEntries;
}

TEST(Merkle, GivesThePublishedRoots) {
  constexpr std::string_view kRoots[] = {
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Frontier frontier;
  EXPECT_EQ(base::to_hex(frontier.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (size_t i = 0; i < 8; ++i) {
    frontier.append(leaf_hash(known_entries()[i]));
    EXPECT_EQ(base::to_hex(frontier.root()), kRoots[i]) << i + 1;
  }
}

TEST(Merkle, GivesThePublishedProofs) {
  std::vector<Hash> leaves;
  for (const std::string& entry : known_entries()) leaves.push_back(leaf_hash(entry));
  MemorySource source(leaves);
  const auto hex = [](const std::vector<Hash>& proof) {
    std::vector<std::string> out;
    out.reserve(proof.size());
    for (const Hash& hash : proof) out.push_back(base::to_hex(hash));
    return out;
  };
  EXPECT_EQ(hex(inclusion_proof(source, 0, 8).value()),
            (std::vector<std::string>{
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}));
  EXPECT_EQ(hex(consistency_proof(source, 6, 8).value()),
            (std::vector<std::string>{
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}));
  EXPECT_EQ(hash_of("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"), leaves[1]);
}

TEST(Merkle, EverySizeFollowsTheDefinition) {
  const std::vector<Hash> leaves = numbered_leaves(300);
  MemorySource source(leaves);
  Frontier frontier;
  for (size_t size = 0; size <= leaves.size(); ++size) {
    const Hash root = definition(std::span(leaves).first(size));
    EXPECT_EQ(frontier.root(), root) << size;
    EXPECT_EQ(root_at(source, size).value(), root) << size;
    if (size < leaves.size()) frontier.append(leaves[size]);
  }
}

// Every index of every size up to 300, and every pair of sizes.
TEST(Merkle, ProofsHoldForWhatTheyProveAndNothingElse) {
  const std::vector<Hash> leaves = numbered_leaves(301);
  MemorySource source(leaves);
  std::vector<Hash> roots;
  for (size_t size = 0; size <= 300; ++size) roots.push_back(root_at(source, size).value());
  for (uint64_t size = 1; size <= 300; ++size)
    for (uint64_t index = 0; index < size; ++index) {
      auto proof = inclusion_proof(source, index, size).value();
      ASSERT_TRUE(inclusion_holds(index, size, leaves[index], proof, roots[size]));
      ASSERT_FALSE(inclusion_holds(index, size, leaves[index + 1], proof, roots[size]));
      ASSERT_FALSE(inclusion_holds(index + 1, size, leaves[index], proof, roots[size]));
      ASSERT_FALSE(inclusion_holds(index, size, leaves[index], proof, roots[size - 1]));
      if (proof.empty()) continue;
      auto changed = proof;
      changed[index % proof.size()][index % 32] ^= std::byte{1};
      ASSERT_FALSE(inclusion_holds(index, size, leaves[index], changed, roots[size]));
      changed = proof;
      changed.push_back(proof[0]);
      ASSERT_FALSE(inclusion_holds(index, size, leaves[index], changed, roots[size]));
      proof.pop_back();
      ASSERT_FALSE(inclusion_holds(index, size, leaves[index], proof, roots[size]));
    }
  for (uint64_t second = 0; second <= 300; ++second)
    for (uint64_t first = 0; first <= second; ++first) {
      auto proof = consistency_proof(source, first, second).value();
      ASSERT_TRUE(consistency_holds(first, second, roots[first], roots[second], proof))
          << first << " " << second;
      if (first == 0 || first == second) continue;
      ASSERT_FALSE(consistency_holds(first, second, roots[first - 1], roots[second], proof));
      ASSERT_FALSE(consistency_holds(first, second, roots[first], roots[second - 1], proof));
      ASSERT_FALSE(consistency_holds(first, second + 1, roots[first], roots[second], {}));
      auto changed = proof;
      changed[first % proof.size()][second % 32] ^= std::byte{0x80};
      ASSERT_FALSE(consistency_holds(first, second, roots[first], roots[second], changed));
      proof.pop_back();
      ASSERT_FALSE(consistency_holds(first, second, roots[first], roots[second], proof));
    }
}

TEST(Merkle, ProofsHoldAtTheEdgesOfTiles) {
  const std::vector<Hash> leaves = numbered_leaves(65'538);
  MemorySource source(leaves);
  for (const uint64_t size : {255u, 256u, 257u, 511u, 512u, 513u, 65'535u, 65'536u, 65'537u}) {
    const Hash root = root_at(source, size).value();
    for (const uint64_t index :
         {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{254}, size / 2, size - 2, size - 1}) {
      const auto proof = inclusion_proof(source, index, size).value();
      EXPECT_TRUE(inclusion_holds(index, size, leaves[index], proof, root)) << index << " " << size;
    }
    for (const uint64_t first : {uint64_t{1}, uint64_t{254}, size / 2, size - 1}) {
      const auto proof = consistency_proof(source, first, size).value();
      EXPECT_TRUE(consistency_holds(first, size, root_at(source, first).value(), root, proof))
          << first << " " << size;
    }
  }
}

// Roots and proofs by another implementation, tools/golden/audit_log.py.
TEST(Merkle, AgreesWithAnIndependentImplementation) {
  const std::string text =
      base::read_text_file(LANTERN_SOURCE_DIR "/src/audit/testdata/reference.json", 1 << 20)
          .value();
  const base::Json reference = base::parse_json(text, "reference.json").value();
  MemorySource source(numbered_leaves(65'537));
  for (const auto& [size, root] : reference["roots"].items())
    EXPECT_EQ(base::to_hex(root_at(source, std::stoull(size)).value()), root.get<std::string>())
        << size;
  const auto agrees = [&](const base::Json& item, const std::vector<Hash>& proof) {
    ASSERT_EQ(proof.size(), item[2].size()) << item;
    for (size_t i = 0; i < proof.size(); ++i)
      EXPECT_EQ(base::to_hex(proof[i]), item[2][i].get<std::string>()) << item;
  };
  for (const auto& item : reference["inclusion"])
    agrees(item, inclusion_proof(source, item[0], item[1]).value());
  for (const auto& item : reference["consistency"])
    agrees(item, consistency_proof(source, item[0], item[1]).value());
  EXPECT_GT(reference["roots"].size(), 25u);
}

TEST(Merkle, AsksForNothingOutsideTheTree) {
  MemorySource source(numbered_leaves(4));
  EXPECT_EQ(inclusion_proof(source, 4, 4).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(consistency_proof(source, 5, 4).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(inclusion_holds(0, 0, empty_root(), {}, empty_root()));
}

}  // namespace
}  // namespace lantern::audit
