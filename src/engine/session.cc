#include "engine/session.h"

#include <cstring>
#include <utility>

#include "base/byte_reader.h"
#include "kernels/ops.h"

namespace lantern::engine {
namespace {

constexpr std::string_view kMagic = "LNTSESS1";
constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;
constexpr uint64_t kIdsMax = uint64_t{1} << 30;
constexpr uint32_t kLayersMax = 1u << 16;

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out += text;
}

void put_ids(std::string& out, const std::vector<int32_t>& ids) {
  put(out, uint64_t{ids.size()});
  out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
}

void put_bytes(std::string& out, std::span<const std::byte> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// A count of things of `bytes_each`, so many of which must still be there.
Result<uint64_t> read_count(base::ByteReader& reader, uint64_t bytes_each, uint64_t most,
                            std::string_view field) {
  LANTERN_ASSIGN(const auto n, reader.read<uint64_t>(field));
  if (n > most || n > reader.remaining() / bytes_each)
    return make_error(ErrorCode::kCorrupt, "{}: {} of them do not fit the file", field, n);
  return n;
}

Result<std::string> read_text(base::ByteReader& reader, std::string_view field) {
  LANTERN_ASSIGN(const uint64_t n, read_count(reader, 1, kTextBytesMax, field));
  LANTERN_ASSIGN(const auto bytes, reader.read_bytes(n, field));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::vector<int32_t>> read_ids(base::ByteReader& reader, std::string_view field) {
  LANTERN_ASSIGN(const uint64_t n, read_count(reader, sizeof(int32_t), kIdsMax, field));
  LANTERN_ASSIGN(const auto bytes, reader.read_bytes(n * sizeof(int32_t), field));
  std::vector<int32_t> ids(n);
  if (n > 0) std::memcpy(ids.data(), bytes.data(), bytes.size());
  return ids;
}

Status read_checkpoints(base::ByteReader& reader, Session& session) {
  LANTERN_ASSIGN(const uint64_t n, read_count(reader, 16, kIdsMax, "checkpoints"));
  Session::Checkpoint last;
  for (uint64_t i = 0; i < n; ++i) {
    Session::Checkpoint next;
    LANTERN_ASSIGN(next.text_bytes, reader.read<uint64_t>("checkpoint"));
    LANTERN_ASSIGN(next.n_ids, reader.read<uint64_t>("checkpoint"));
    if (next.text_bytes < last.text_bytes || next.n_ids < last.n_ids ||
        next.text_bytes > session.text.size() || next.n_ids > session.ids.size())
      return make_error(ErrorCode::kCorrupt, "checkpoint {}: outside the text or not rising", i);
    session.checkpoints.push_back(next);
    last = next;
  }
  return {};
}

Status read_pages(base::ByteReader& reader, uint32_t n_layers, Session& session) {
  for (uint32_t l = 0; l < n_layers; ++l) {
    Session::LayerBytes layer;
    LANTERN_ASSIGN(layer.keys, reader.read<uint64_t>("page size"));
    LANTERN_ASSIGN(layer.values, reader.read<uint64_t>("page size"));
    session.layers.push_back(layer);
  }
  const uint64_t n_pages = session_pages(session.cached.size());
  if (n_layers > 0 && n_pages > reader.remaining() / n_layers)
    return make_error(ErrorCode::kCorrupt, "pages: {} do not fit the file", n_pages);
  for (uint64_t page = 0; page < n_pages; ++page) {
    for (const Session::LayerBytes& layer : session.layers) {
      LANTERN_ASSIGN(const auto there, reader.read<uint8_t>("page"));
      if (there > 1) return make_error(ErrorCode::kCorrupt, "page {}: neither there nor not", page);
      Session::Pages pages;
      if (there == 1) {
        LANTERN_ASSIGN(pages.keys, reader.read_bytes(layer.keys, "page of keys"));
        LANTERN_ASSIGN(pages.values, reader.read_bytes(layer.values, "page of values"));
      }
      session.pages.push_back(pages);
    }
  }
  return {};
}

Result<Session> read_fields(base::ByteReader& reader) {
  LANTERN_ASSIGN(const auto magic, reader.read_bytes(kMagic.size(), "magic"));
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0)
    return make_error(ErrorCode::kUnsupported, "no session that this program knows");
  Session session;
  LANTERN_ASSIGN(session.arithmetic, reader.read<uint32_t>("arithmetic version"));
  LANTERN_ASSIGN(session.kv_type, reader.read<uint32_t>("cache type"));
  LANTERN_ASSIGN(const auto n_layers, reader.read<uint32_t>("layers"));
  if (n_layers == 0 || n_layers > kLayersMax)
    return make_error(ErrorCode::kCorrupt, "layers: {} is not from 1 to {}", n_layers, kLayersMax);
  LANTERN_ASSIGN(session.planned_length, reader.read<int64_t>("planned length"));
  LANTERN_ASSIGN(const auto model, reader.read_bytes(session.model.size(), "model"));
  std::memcpy(session.model.data(), model.data(), model.size());
  LANTERN_ASSIGN(session.system, read_text(reader, "system"));
  LANTERN_ASSIGN(const std::string turns, read_text(reader, "turns"));
  LANTERN_ASSIGN(session.turns, base::parse_ordered_json(turns, "turns"));
  if (!session.turns.is_array()) return make_error(ErrorCode::kCorrupt, "turns: no array");
  for (const auto& turn : session.turns)
    if (!turn.is_object() || !turn.contains("role") || !turn["role"].is_string() ||
        !turn.contains("content") || !turn["content"].is_string())
      return make_error(ErrorCode::kCorrupt, "turns: one has no role or content");
  LANTERN_ASSIGN(session.text, read_text(reader, "text"));
  LANTERN_ASSIGN(session.ids, read_ids(reader, "ids"));
  LANTERN_ASSIGN(session.cached, read_ids(reader, "ids in the cache"));
  LANTERN_TRY(read_checkpoints(reader, session));
  LANTERN_TRY(read_pages(reader, n_layers, session));
  if (reader.remaining() > 0)
    return make_error(ErrorCode::kCorrupt, "{} bytes follow its end", reader.remaining());
  return session;
}

}  // namespace

uint64_t session_pages(uint64_t n_positions) {
  constexpr auto kPositions = static_cast<uint64_t>(kernels::kKvPagePositions);
  return n_positions / kPositions + (n_positions % kPositions > 0 ? 1 : 0);
}

std::string write_session(const Session& session) {
  std::string out(kMagic);
  put(out, session.arithmetic);
  put(out, session.kv_type);
  put(out, static_cast<uint32_t>(session.layers.size()));
  put(out, session.planned_length);
  put_bytes(out, std::as_bytes(std::span(session.model)));
  put_text(out, session.system);
  put_text(out, session.turns.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace));
  put_text(out, session.text);
  put_ids(out, session.ids);
  put_ids(out, session.cached);
  put(out, uint64_t{session.checkpoints.size()});
  for (const Session::Checkpoint& checkpoint : session.checkpoints) {
    put(out, checkpoint.text_bytes);
    put(out, checkpoint.n_ids);
  }
  for (const Session::LayerBytes& layer : session.layers) {
    put(out, layer.keys);
    put(out, layer.values);
  }
  size_t page_bytes = 0;
  for (const Session::Pages& pages : session.pages)
    page_bytes += 1 + pages.keys.size() + pages.values.size();
  out.reserve(out.size() + page_bytes);
  for (const Session::Pages& pages : session.pages) {
    put(out, static_cast<uint8_t>(pages.keys.empty() ? 0 : 1));
    put_bytes(out, pages.keys);
    put_bytes(out, pages.values);
  }
  return out;
}

Result<Session> read_session(std::string_view bytes, std::string_view what) {
  base::ByteReader reader(std::as_bytes(std::span(bytes)));
  auto session = read_fields(reader);
  if (!session.ok()) return std::move(session).error().within(what);
  return session;
}

}  // namespace lantern::engine
