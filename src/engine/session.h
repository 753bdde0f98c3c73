// A conversation as bytes: what Conversation::save() writes and restore() reads. Not encrypted:
// gate/session.h does that.
//
//   "LNTSESS1"                                  8 bytes
//   arithmetic version, KV type, layers         3 x u32
//   planned length                              i64
//   model's id (with an adapter: SHA-256 of it and the adapter's key)   32 bytes
//   system, turns (JSON), text                  each u64 bytes, then the bytes
//   ids of the text, ids in the cache           each u64 count, then i32 each
//   checkpoints                                 u64 count, then 2 x u64 each: bytes of text, ids
//   for each layer: bytes of a page of keys, of values      2 x u64
//   pages in order of positions, in each all layers         u8: 1 and both pages, or 0 (passed by a
//                                                           sliding window)
// All numbers little-endian. Page contents are the kernels' own, hence the arithmetic version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/result.h"

namespace lantern::engine {

struct Session {
  uint32_t arithmetic = 0;
  uint32_t kv_type = 0;
  int64_t planned_length = 0;
  base::Digest model{};
  std::string system = {};
  base::OrderedJson turns = base::OrderedJson::array();
  std::string text = {};
  std::vector<int32_t> ids = {};
  std::vector<int32_t> cached = {};  // ids whose keys and values are in the pages
  struct Checkpoint {
    uint64_t text_bytes = 0;
    uint64_t n_ids = 0;
  };
  std::vector<Checkpoint> checkpoints = {};  // rising, into `text` and `ids`
  struct LayerBytes {
    uint64_t keys = 0, values = 0;  // of a page
  };
  std::vector<LayerBytes> layers = {};
  struct Pages {
    std::span<const std::byte> keys = {}, values = {};  // both empty: passed
  };
  std::vector<Pages> pages = {};  // [pages of `cached`, layers]; borrowed
};

/// Pages that hold so many positions.
uint64_t session_pages(uint64_t n_positions);

std::string write_session(const Session& session);
/// `bytes` must outlive what it gives. kCorrupt names `what` and the field; kUnsupported for
/// another version of the format.
Result<Session> read_session(std::string_view bytes, std::string_view what);

}  // namespace lantern::engine
