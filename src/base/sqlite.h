// SQLite databases: one file each, in write-ahead mode, every commit synced, safe for several
// processes at once.
//
// A Database belongs to one thread at a time. What SQLite reports is an Error: kExhausted for a
// full disk, kCorrupt for a file that is no database or a damaged one, else kIo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lantern::base {

class Row;

class Database {
 public:
  /// Opens `path`, made where it is missing (mode 0600; its folder must exist), and brings its
  /// schema up to date: `migrations[i]` is SQL that leads from version i to i + 1. kUnsupported
  /// for a file of a later version.
  static Result<Database> open(const std::filesystem::path& path,
                               std::span<const std::string_view> migrations);

  /// The same for whoever cannot write there: nothing is made or changed, neither the file nor
  /// beside it. A missing file reads as an empty one. kUnsupported for a file of another version.
  /// A writer that comes at the same time may show as kCorrupt: read again.
  static Result<Database> open_read_only(const std::filesystem::path& path,
                                         std::span<const std::string_view> migrations);

  using Blob = std::span<const std::byte>;
  /// A parameter of a statement: null, a number, text or bytes; a time is a number, of seconds
  /// since 1970, and 0 where there is none. Text and bytes are borrowed until the call returns.
  struct Value {
    Value() = default;                                                        // null
    Value(int64_t n) : kind(Kind::kNumber), number(n) {}                      // NOLINT: implicit
    Value(std::string_view s) : kind(Kind::kText), text(s) {}                 // NOLINT: implicit
    Value(const std::string& s) : Value(std::string_view(s)) {}               // NOLINT: implicit
    Value(const char* s) : Value(std::string_view(s)) {}                      // NOLINT: implicit
    Value(Blob b) : kind(Kind::kBlob), bytes(b) {}                            // NOLINT: implicit
    Value(const Digest& d) : Value(Blob(d)) {}                                // NOLINT: implicit
    Value(UtcTime t) : Value(int64_t{t.time_since_epoch().count()}) {}        // NOLINT: implicit
    Value(const std::optional<UtcTime>& t) : Value(t.value_or(UtcTime())) {}  // NOLINT: implicit
    enum class Kind { kNull, kNumber, kText, kBlob } kind = Kind::kNull;
    int64_t number = 0;
    std::string_view text = {};
    Blob bytes = {};
  };

  /// Runs one statement; `parameters` take the place of its ?s, in order. `on_row` sees each row
  /// of the answer; its error ends the statement.
  Status run(std::string_view sql, std::initializer_list<Value> parameters = {},
             const std::function<Status(const Row&)>& on_row = {});

  /// Everything that `work` runs is one transaction, begun at once for writing; an error of `work`
  /// undoes it.
  Status transaction(const std::function<Status()>& work);

  /// Changes whenever another connection, of this process or another, has committed something.
  Result<int64_t> data_version();

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Database(std::unique_ptr<sqlite3, Close> handle, std::string name)
      : handle_(std::move(handle)), name_(std::move(name)) {}
  static Result<Database> open_handle(const std::string& name, int flags);
  Status run_script(std::string_view sql);
  Result<int64_t> schema_version();
  Status migrate(std::span<const std::string_view> migrations);
  [[nodiscard]] Error fault() const;

  std::unique_ptr<sqlite3, Close> handle_;
  std::string name_;
};

/// One row of an answer; columns count from 0. A column of another type reads as 0 or empty.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  [[nodiscard]] int64_t number(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::vector<std::byte> bytes(int column) const;
  [[nodiscard]] UtcTime time(int column) const;
  /// Nothing for a 0.
  [[nodiscard]] std::optional<UtcTime> time_if_any(int column) const;
  /// kCorrupt, naming the file, for bytes of another length.
  [[nodiscard]] Result<Digest> digest(int column) const;

 private:
  sqlite3_stmt* statement_;
};

}  // namespace lantern::base
