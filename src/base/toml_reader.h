// A TOML document read strictly: every key that nobody asked for is a fault, and every fault has
// its line and column. Faults stick: after the first, readers return defaults, and the document's
// status() says what it was, so that a schema reads as a list of fields.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace lantern::base {

/// Says what is wrong with a text; empty: nothing.
using TextCheck = std::function<std::string(std::string_view)>;

struct TomlDocument;

/// One table of a document, which must outlive it.
class TomlTable {
 public:
  struct Node;  // a node of the TOML library

  [[nodiscard]] bool has(std::string_view key) const;
  /// Where the table begins, counted from 1.
  [[nodiscard]] int line() const;

  std::optional<std::string> text(std::string_view key, const TextCheck& check);
  std::optional<int64_t> integer(std::string_view key, int64_t min, int64_t max);
  std::optional<bool> boolean(std::string_view key);
  /// An offset date-time in whole seconds.
  std::optional<UtcTime> time(std::string_view key);
  /// A list of at least one text, each once.
  std::optional<std::vector<std::string>> texts(std::string_view key, const TextCheck& check);
  std::optional<TomlTable> table(std::string_view key);
  /// Empty where there is none.
  std::vector<TomlTable> tables(std::string_view key, size_t count_max);
  /// Every key of this table, for tables whose keys are names.
  [[nodiscard]] std::vector<std::string> keys() const;

  /// Makes `fault` of `key` (or of the table, where it is not there) the document's.
  void wrong(std::string_view key, std::string_view fault);
  /// wrong(key) where it is not there.
  void require(std::string_view key);
  /// wrong() for the first key that was not asked for.
  void finish();

 private:
  friend struct TomlDocument;
  TomlTable(const Node* node, std::string path, TomlDocument* document)
      : node_(node), path_(std::move(path)), document_(document) {}
  const Node* find(std::string_view key);
  [[nodiscard]] std::string path_of(std::string_view key) const;

  const Node* node_;
  std::string path_;  // "rules.3"
  TomlDocument* document_;
  std::set<std::string, std::less<>> asked_;
};

struct TomlDocument {
  /// kCorrupt with line and column; kTooLarge where it is longer than `bytes_max`.
  static Result<std::unique_ptr<TomlDocument>> parse(std::string_view text, std::string_view what,
                                                     size_t bytes_max);
  ~TomlDocument();
  TomlDocument(const TomlDocument&) = delete;
  TomlDocument& operator=(const TomlDocument&) = delete;

  TomlTable root();
  [[nodiscard]] Status status() const;

 private:
  friend class TomlTable;
  struct Parsed;
  TomlDocument();
  std::unique_ptr<Parsed> parsed_;
  std::string what_;
  std::optional<Error> fault_;
};

}  // namespace lantern::base
