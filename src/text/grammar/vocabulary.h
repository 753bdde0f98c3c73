// A vocabulary laid out for masks: its tokens as tries, cut into cells of tokens that are alike.
//
// Most tokens are words. A cell holds the tokens that consist of characters of one class alone and
// have at most so many of them; where a grammar admits every such text, the whole cell is allowed
// at once and its trie is not walked (Automaton::class_length()). What is in no class (quotes,
// backslashes, controls, parts of characters, special tokens) is one more cell, always walked.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/grammar.h"

namespace lantern::text::grammar {

/// Tokens in a trie, nodes in the order of a walk.
struct Trie {
  std::vector<uint8_t> byte;
  std::vector<uint16_t> depth;        // 1 for a first byte
  std::vector<uint32_t> skip;         // the node after this one's subtree
  std::vector<uint32_t> first_token;  // by node, and one more: into tokens
  std::vector<TokenId> tokens;
  uint16_t depth_max = 0;
};

/// Characters that words of one kind are made of, smaller classes first; kText has all that need
/// no escape in JSON.
enum TokenClass : size_t { kDigits, kLower, kLetters, kWord, kAscii, kText, kTokenClasses };
/// A cell's tokens have at most so many characters.
inline constexpr std::array<int, 4> kLengthBands = {2, 4, 8, 16};
inline constexpr int kLengthMax = 16;

struct ByteRange {
  uint8_t first, last;
};
/// The class's characters of ASCII; kText has all others beside.
std::span<const ByteRange> class_ranges(size_t token_class);
/// Whether every character of `inner` is one of `outer`.
bool class_within(size_t inner, size_t outer);

struct Cell {
  size_t token_class = kTokenClasses;  // kTokenClasses: no class
  int length = 0;
  Trie trie;
};

struct VocabularyTables {
  size_t size = 0;
  std::vector<Cell> cells;
  std::vector<TokenId> end_ids;
  std::vector<std::string> bytes;  // by id; what a token adds to a text; empty: never allowed
  /// By class and band: the tokens of all cells that the class contains, up to the band.
  std::array<std::array<TokenMask, kLengthBands.size()>, kTokenClasses> within;
};

VocabularyTables make_tables(std::vector<std::string> bytes, std::span<const TokenId> end_ids);

}  // namespace lantern::text::grammar
