#include "base/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/file.h"

namespace lantern::base {
namespace {

constexpr int kBusyTimeoutMs = 30'000;

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Status bind(sqlite3_stmt* statement, int at, const Database::Value& value) {
  using Kind = Database::Value::Kind;
  int code = SQLITE_OK;
  switch (value.kind) {
    case Kind::kNull:
      code = sqlite3_bind_null(statement, at);
      break;
    case Kind::kNumber:
      code = sqlite3_bind_int64(statement, at, value.number);
      break;
    case Kind::kText:
      code = sqlite3_bind_text64(statement, at, value.text.data(), value.text.size(), SQLITE_STATIC,
                                 SQLITE_UTF8);
      break;
    case Kind::kBlob:
      code =
          sqlite3_bind_blob64(statement, at, value.bytes.data(), value.bytes.size(), SQLITE_STATIC);
      break;
  }
  if (code == SQLITE_OK) return {};
  return make_error(ErrorCode::kInternal, "SQLite: parameter {}: {}", at, sqlite3_errstr(code));
}

/// The path inside a file: URI, whose '?', '#' and '%' have a meaning.
std::string uri_path(const std::filesystem::path& path) {
  std::string out;
  for (const char c : path.string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// SQLITE_OPEN_NOFOLLOW refuses a link anywhere in the path; people's folders may be links, the file
// itself may not.
Result<std::filesystem::path> in_real_folder(const std::filesystem::path& path) {
  std::error_code error;
  auto folder = std::filesystem::canonical(
      path.has_parent_path() ? path.parent_path() : std::filesystem::path("."), error);
  if (error) return errno_error(error.value(), path.string());
  return folder / path.filename();
}

}  // namespace

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Error Database::fault() const {
  const int code = sqlite3_errcode(handle_.get());
  // A full disk where the shared memory of the WAL should grow is but an I/O error to SQLite.
  if (const int of_system = sqlite3_system_errno(handle_.get());
      (code & 0xff) == SQLITE_IOERR && (of_system == ENOSPC || of_system == EDQUOT))
    return errno_error(of_system, name_);
  const auto kind = [&] {
    switch (code & 0xff) {
      case SQLITE_FULL:
      case SQLITE_NOMEM:
      case SQLITE_TOOBIG:
        return ErrorCode::kExhausted;
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return ErrorCode::kCorrupt;
      default:
        return ErrorCode::kIo;
    }
  }();
  return make_error(kind, "{}: {}", name_, sqlite3_errmsg(handle_.get()));
}

Result<Database> Database::open_handle(const std::string& name, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &raw, flags, nullptr);
  Database database(std::unique_ptr<sqlite3, Close>(raw), name);
  if (raw == nullptr) return make_error(ErrorCode::kExhausted, "{}: no memory", name);
  if (code != SQLITE_OK) return database.fault();
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  // Bytes from outside may lie in the file: no code of the schema is trusted.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

Result<Database> Database::open(const std::filesystem::path& path,
                                std::span<const std::string_view> migrations) {
  // SQLite would make it by the umask; side files take this one's mode. A file that is there is not
  // opened here: closing it would drop the locks that this process's other connections hold on it,
  // and the next process to close its own would take the WAL away from under them
  // (sqlite.org/howtocorrupt.html, 2.2).
  {
    const UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (made.get() < 0 && errno != EEXIST) return errno_error(errno, path.string());
  }
  LANTERN_ASSIGN(const std::filesystem::path real, in_real_folder(path));
  LANTERN_ASSIGN(Database database,
                 open_handle(real.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW));
  LANTERN_TRY(database.run_script(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"));
  LANTERN_TRY(database.migrate(migrations));
  return database;
}

Result<Database> Database::open_read_only(const std::filesystem::path& path,
                                          std::span<const std::string_view> migrations) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) {
    LANTERN_ASSIGN(Database empty,
                   open_handle(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    LANTERN_TRY(empty.migrate(migrations));
    return empty;
  }
  // Without a log of writes beside it the file is whole, and "immutable" keeps SQLite from making
  // one; with such a log its writer's files must be used.
  const std::filesystem::path wal = path.string() + "-wal";
  const bool is_whole = std::filesystem::file_size(wal, error) == 0 || error;
  const std::string name = "file:" + uri_path(path) + (is_whole ? "?immutable=1" : "");
  LANTERN_ASSIGN(Database database,
                 open_handle(name, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_URI));
  database.name_ = path.string();
  LANTERN_ASSIGN(const int64_t version, database.schema_version());
  if (version != static_cast<int64_t>(migrations.size()))
    return make_error(ErrorCode::kUnsupported,
                      "{}: of schema {}, this lantern reads {} where it may not write",
                      path.string(), version, migrations.size());
  return database;
}

Result<int64_t> Database::schema_version() {
  int64_t version = 0;
  LANTERN_TRY(run("PRAGMA user_version", {}, [&](const Row& row) -> Status {
    version = row.number(0);
    return {};
  }));
  return version;
}

Status Database::migrate(std::span<const std::string_view> migrations) {
  LANTERN_ASSIGN(int64_t version, schema_version());
  const auto latest = static_cast<int64_t>(migrations.size());
  if (version > latest)
    return make_error(ErrorCode::kUnsupported,
                      "{}: written by a later version of lantern (schema {}, this one knows {})",
                      name_, version, latest);
  if (version == latest) return {};
  return transaction([&]() -> Status {
    LANTERN_ASSIGN(version, schema_version());  // another process may have been faster
    for (; version < latest; ++version)
      LANTERN_TRY(run_script(migrations[static_cast<size_t>(version)]));
    return run_script(fmt::format("PRAGMA user_version = {}", latest));
  });
}

Status Database::run_script(std::string_view sql) {
  if (sqlite3_exec(handle_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return fault();
  return {};
}

Status Database::run(std::string_view sql, std::initializer_list<Value> parameters,
                     const std::function<Status(const Row&)>& on_row) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr) !=
      SQLITE_OK)
    return fault();
  const Statement statement(raw);
  int at = 0;
  for (const Value& value : parameters) LANTERN_TRY(bind(raw, ++at, value));
  for (;;) {
    const int code = sqlite3_step(raw);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return fault();
    if (on_row) LANTERN_TRY(on_row(Row(raw)));
  }
}

Status Database::transaction(const std::function<Status()>& work) {
  LANTERN_TRY(run_script("BEGIN IMMEDIATE"));
  Status done = work();
  if (done.ok()) done = run_script("COMMIT");
  // A failed COMMIT may leave the transaction open; a rollback with none open does nothing.
  if (!done.ok()) (void)run_script("ROLLBACK").ok();
  return done;
}

Result<int64_t> Database::data_version() {
  int64_t version = 0;
  LANTERN_TRY(run("PRAGMA data_version", {}, [&](const Row& row) -> Status {
    version = row.number(0);
    return {};
  }));
  return version;
}

int64_t Row::number(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Row::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string() : std::string(data, static_cast<size_t>(size));
}

std::vector<std::byte> Row::bytes(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return {};
  return {data, data + size};
}

UtcTime Row::time(int column) const { return UtcTime(std::chrono::seconds(number(column))); }

std::optional<UtcTime> Row::time_if_any(int column) const {
  return number(column) == 0 ? std::nullopt : std::optional(time(column));
}

Result<Digest> Row::digest(int column) const {
  const std::vector<std::byte> stored = bytes(column);
  Digest digest;
  if (stored.size() != digest.size()) {
    const char* file = sqlite3_db_filename(sqlite3_db_handle(statement_), nullptr);
    return make_error(ErrorCode::kCorrupt, "{}: a digest of {} bytes",
                      std::filesystem::path(file == nullptr ? "" : file).filename().string(),
                      stored.size());
  }
  std::copy(stored.begin(), stored.end(), digest.begin());
  return digest;
}

}  // namespace lantern::base
