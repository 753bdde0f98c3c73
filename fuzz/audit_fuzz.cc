// What the audit log reads back from disk or is handed as evidence: a journal, a bundle, a tile, a
// checkpoint, a proof, an event, a verifier key. The first byte chooses. Besides memory: what is
// read whole is written the same again, and errors are one line.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "audit/checkpoint.h"
#include "audit/event.h"
#include "audit/journal.h"
#include "audit/note.h"
#include "audit/tiles.h"

namespace {

using namespace lantern;
using namespace lantern::audit;

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
bool read(const Result<T>& result) {
  if (!result.ok()) require(result.error().message.find('\n') == std::string::npos);
  return result.ok();
}

void journal(std::string_view bytes) {
  const auto parsed = parse_journal(bytes, "f");
  if (!read(parsed)) return;
  std::string again = journal_header(parsed->base);
  for (const JournalBatch& batch : parsed->records.batches) again += journal_record(batch);
  require(bytes.starts_with(again));
  require(again.size() + parsed->records.unfinished_bytes == bytes.size());
}

void bundle(std::string_view bytes) {
  for (const uint64_t width : {1u, 2u, 256u}) {
    const auto entries = parse_bundle(bytes, width, "f");
    if (!read(entries)) continue;
    std::string again;
    for (const std::string_view entry : *entries) append_to_bundle(again, entry);
    require(again == bytes);
  }
  (void)read(parse_tile(std::as_bytes(std::span(bytes)), bytes.size() / 32, "f"));
}

void note(std::string_view bytes) {
  const auto parsed = parse_note(bytes, "f");
  if (!read(parsed)) return;
  require(format_note(*parsed) == bytes);
  const auto checkpoint = parse_checkpoint_text(parsed->text, "f");
  if (read(checkpoint)) require(checkpoint_text(*checkpoint) == parsed->text);
}

void event(std::string_view bytes) {
  const auto parsed = event_from_json(bytes, "f");
  if (!read(parsed)) return;
  const auto line = event_to_json(*parsed);
  if (!read(line)) return;
  const auto again = event_from_json(*line, "f");
  require(again.ok() && event_to_json(*again).value() == *line);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'j':
      journal(bytes);
      break;
    case 'b':
      bundle(bytes);
      break;
    case 'n':
      note(bytes);
      break;
    case 'p': {
      const auto proof = parse_proof(bytes, "f");
      if (read(proof)) require(parse_proof(format_proof(*proof), "f").ok());
      break;
    }
    case 'e':
      event(bytes);
      break;
    default: {
      const auto verifier = NoteVerifier::from_vkey(bytes, "f");
      if (read(verifier)) require(verifier->vkey().size() == bytes.size());
    }
  }
  return 0;
}
