#include "audit/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "audit/lock.h"
#include "audit/reader.h"
#include "audit/test_support.h"
#include "base/base64.h"

namespace lantern::audit {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename() != kLockFile)
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// 300 entries in tiles, 40 in the journal.
void make_log(const Fixture& fixture) {
  fixture.fill(300, 100);
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    ASSERT_TRUE((*log)->publish().ok());
  }
  fixture.fill(40, 8);
}

TEST(Verify, ALogThatIsWholeIsConsistent) {
  const Fixture fixture;
  make_log(fixture);
  const Verdict verdict = fixture.verify().value();
  EXPECT_EQ(faults_of(verdict), "");
  EXPECT_EQ(verdict.n_entries, 340u);
  EXPECT_FALSE(verdict.anchored_size.has_value());
  const Verdict anchored =
      fixture.verify({{.note = fixture.read(fixture.anchor), .source = "kept"}}).value();
  EXPECT_EQ(anchored.anchored_size, 340u);
  EXPECT_EQ(anchored.anchored_by, "kept");
}

// Every byte of every small file, and every 13th of the entries, with each bit of it flipped in
// turn.
TEST(Verify, AFlippedBitAnywhereIsFound) {
  const Fixture fixture;
  make_log(fixture);
  int n_flips = 0;
  for (const fs::path& file : files_of(fixture.folder)) {
    const std::string whole = fixture.read(file);
    const size_t stride = whole.size() > 3000 ? 397 : 17;
    for (size_t at = 0; at < whole.size(); at += stride) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 1 << (at / stride % 8));
      write(file, changed);
      const auto verdict = fixture.verify();
      EXPECT_TRUE(!verdict.ok() || !verdict->consistent()) << file << " byte " << at;
      ++n_flips;
    }
    write(file, whole);
  }
  EXPECT_GT(n_flips, 300);
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
}

TEST(Verify, AMissingFileIsNamed) {
  const Fixture fixture;
  make_log(fixture);
  for (const fs::path& file : files_of(fixture.folder)) {
    const std::string name = file.lexically_relative(fixture.folder).string();
    if (name == "checkpoint" || name == "head" || name == "journal") continue;
    const std::string whole = fixture.read(file);
    fs::remove(file);
    const Verdict verdict = fixture.verify().value();
    EXPECT_EQ(faults_of(verdict), "missing_file") << name;
    ASSERT_FALSE(verdict.findings.empty());
    EXPECT_THAT(verdict.findings[0].message, HasSubstr(name));
    write(file, whole);
  }
}

TEST(Verify, ACutTailIsNamed) {
  const Fixture fixture;
  make_log(fixture);
  const std::string journal = fixture.read(fixture.folder / "journal");
  const auto records = parse_journal(journal, "journal")->records.batches;
  const size_t last = journal_record(records.back()).size();
  fs::resize_file(fixture.folder / "journal", journal.size() - last);
  EXPECT_EQ(faults_of(fixture.verify().value()), "cut_tail");
  fs::remove(fixture.folder / "journal");
  EXPECT_EQ(faults_of(fixture.verify().value()), "cut_tail");
  // Back to before the published checkpoint.
  write(fixture.folder / "journal", journal_header(200));
  EXPECT_EQ(faults_of(fixture.verify().value()), "cut_tail");
}

TEST(Verify, ACutThatLeavesATraceIsNamed) {
  const Fixture fixture;
  make_log(fixture);
  const fs::path old = fixture.scratch.path() / "old";
  fs::copy(fixture.folder, old, fs::copy_options::recursive);
  fixture.fill(400, 50);  // past a seal
  const Anchor kept{.note = fixture.read(fixture.anchor), .source = "kept.txt"};

  // Within a record, and the head made to agree.
  const std::string journal = fixture.read(fixture.folder / "journal");
  const auto batches = parse_journal(journal, "journal")->records.batches;
  ASSERT_GE(batches.size(), 2u);
  const std::string head = fixture.read(fixture.folder / "head");
  write(fixture.folder / "journal", journal.substr(0, journal.size() - 100));
  write(fixture.folder / "head", batches[batches.size() - 2].checkpoint);
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
  const Verdict torn = fixture.verify({kept}).value();
  EXPECT_EQ(faults_of(torn), "cut_tail");
  EXPECT_THAT(torn.findings[0].message, HasSubstr("the log ends within entry 690"));

  // Back past a seal, with every file but the tiles as it was then: they are of more entries.
  for (const char* name : {"journal", "head", "checkpoint"})
    fs::copy_file(old / name, fixture.folder / name, fs::copy_options::overwrite_existing);
  const Verdict behind = fixture.verify().value();
  EXPECT_EQ(faults_of(behind), "cut_tail");
  EXPECT_THAT(behind.findings[0].message, HasSubstr("is of a log of more than its 340 entries"));
  EXPECT_EQ(faults_of(fixture.verify({kept}).value()), "cut_tail");
}

// No name could tell the two apart: they are the same bytes.
TEST(Verify, ACutThatLeavesNoTraceIsAnOldCopy) {
  const Fixture fixture;
  make_log(fixture);
  const fs::path old = fixture.scratch.path() / "old";
  fs::copy(fixture.folder, old, fs::copy_options::recursive);
  fixture.fill(30, 10);
  const Anchor kept{.note = fixture.read(fixture.anchor), .source = "kept.txt"};
  const std::string journal = fixture.read(fixture.folder / "journal");
  const auto batches = parse_journal(journal, "journal")->records.batches;
  const size_t last = batches.size() - 4;
  size_t end = journal.size();
  for (size_t i = last + 1; i < batches.size(); ++i) end -= journal_record(batches[i]).size();
  write(fixture.folder / "journal", journal.substr(0, end));
  write(fixture.folder / "head", batches[last].checkpoint);
  for (const fs::path& file : files_of(fixture.folder))
    EXPECT_EQ(fixture.read(file), fixture.read(old / file.lexically_relative(fixture.folder)));
  EXPECT_EQ(files_of(fixture.folder).size(), files_of(old).size());
  EXPECT_EQ(faults_of(fixture.verify({kept}).value()), "replayed_old_log");
}

// Shorter than the newest checkpoint, and another history: an earlier checkpoint tells.
TEST(Verify, AShorterForkIsNamedAgainstAnEarlierCheckpoint) {
  const Fixture fixture, fork;
  fixture.fill(100, 10);
  const Anchor early{.note = fixture.read(fixture.anchor), .source = "early"};
  fixture.fill(100, 10);
  const Anchor late{.note = fixture.read(fixture.anchor), .source = "late"};
  LogOptions options = fork.options();
  options.keys.signer = fixture.key;
  {
    auto log = Log::open(options);
    ASSERT_TRUE(log.ok());
    for (int i = 0; i < 150; ++i) ASSERT_TRUE((*log)->append(sample_event(7000 + i)).ok());
  }
  const auto faults = [&](std::vector<Anchor> anchors) {
    return faults_of(verify_log({.folder = fork.folder,
                                 .keys = {fixture.key.public_key()},
                                 .anchors = std::move(anchors)})
                         .value());
  };
  EXPECT_EQ(faults({late}), "replayed_old_log");
  EXPECT_EQ(faults({early, late}), "forked_log replayed_old_log");
}

TEST(Verify, AnOldCopyAForkAndAnotherLogAreNamedAgainstACheckpointFromOutside) {
  const Fixture fixture;
  make_log(fixture);
  const fs::path old = fixture.scratch.path() / "old";
  fs::copy(fixture.folder, old, fs::copy_options::recursive);
  fixture.fill(30, 10);
  const Anchor kept{.note = fixture.read(fixture.anchor), .source = "kept.txt"};
  EXPECT_EQ(faults_of(fixture.verify({kept}).value()), "");

  // The old copy agrees with itself; only the checkpoint from outside tells.
  fs::remove_all(fixture.folder);
  fs::copy(old, fixture.folder, fs::copy_options::recursive);
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
  const Verdict replayed = fixture.verify({kept}).value();
  EXPECT_EQ(faults_of(replayed), "replayed_old_log");
  EXPECT_THAT(replayed.findings[0].message,
              HasSubstr("kept.txt: covers 370 entries and the log ends at 340"));

  // It went on to say something else.
  {
    LogOptions options = fixture.options();
    options.anchor = fixture.scratch.path() / "other";
    auto log = Log::open(options);
    ASSERT_TRUE(log.ok()) << log.error().message;
    for (int i = 0; i < 50; ++i) ASSERT_TRUE((*log)->append(sample_event(7000 + i)).ok());
  }
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
  EXPECT_EQ(faults_of(fixture.verify({kept}).value()), "forked_log");

  const auto another = sign_checkpoint(
      {.origin = "test.invalid/another", .size = 3, .root = leaf_hash("x")}, fixture.key);
  EXPECT_EQ(faults_of(fixture.verify({{.note = another->note, .source = "a"}}).value()),
            "another_log");
}

TEST(Verify, ACheckpointFromOutsideMustBeSignedByAKeyThatIsKnown) {
  const Fixture fixture;
  make_log(fixture);
  const auto stranger = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  const Checkpoint head = fixture.verify()->head;
  const auto forged = sign_checkpoint(head, stranger);
  EXPECT_EQ(faults_of(fixture.verify({{.note = forged->note, .source = "a"}}).value()),
            "bad_signature");
  const auto verdict = verify_log({.folder = fixture.folder, .keys = {stranger.public_key()}});
  EXPECT_EQ(faults_of(verdict.value()), "bad_signature");
}

TEST(Verify, AWitnessCosignatureAnchors) {
  const Fixture fixture;
  make_log(fixture);
  const auto witness = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  const auto verifier =
      NoteVerifier::create("witness.invalid/w", witness.public_key(), NoteAlgorithm::kCosignature)
          .value();
  Note note = parse_note(fixture.read(fixture.anchor), "anchor").value();
  const uint64_t time = 1'800'000'000;
  const std::string message = fmt::format("cosignature/v1\ntime {}\n{}", time, note.text);
  auto signature = witness.sign(std::as_bytes(std::span(message))).value();
  std::vector<std::byte> stamped;
  for (int shift = 56; shift >= 0; shift -= 8) stamped.push_back(std::byte(time >> shift & 255));
  stamped.insert(stamped.end(), signature.begin(), signature.end());
  note.signatures.push_back(
      {.name = verifier.name(), .key_id = verifier.key_id(), .signature = stamped});
  VerifyOptions options{.folder = fixture.folder,
                        .keys = {fixture.key.public_key()},
                        .witnesses = {verifier},
                        .anchors = {{.note = format_note(note), .source = "cosigned"}}};
  Verdict verdict = verify_log(options).value();
  EXPECT_EQ(faults_of(verdict), "");
  EXPECT_EQ(verdict.anchored_size, 340u);
  // Without the witness's line it is no anchor of his; with another time it is a forgery.
  options.anchors[0].note = fixture.read(fixture.anchor);
  EXPECT_EQ(faults_of(verify_log(options).value()), "bad_signature");
  note.signatures.back().signature[7] ^= std::byte{1};
  options.anchors[0].note = format_note(note);
  EXPECT_EQ(faults_of(verify_log(options).value()), "bad_signature");
}

TEST(Verify, ThreadsAgree) {
  const Fixture fixture;
  fixture.fill(3000, 500);
  VerifyOptions options{.folder = fixture.folder, .keys = {fixture.key.public_key()}};
  options.n_threads = 3;
  EXPECT_EQ(faults_of(verify_log(options).value()), "");
  const fs::path bundle = fixture.folder / bundle_path(4, kTileWidth);
  std::string bytes = fixture.read(bundle);
  bytes[5000] = static_cast<char>(bytes[5000] ^ 4);
  write(bundle, bytes);
  const Verdict verdict = verify_log(options).value();
  EXPECT_FALSE(verdict.consistent());
  EXPECT_THAT(verdict.findings[0].message, HasSubstr("tile/entries/004"));
}

TEST(Verify, NoLogIsAnError) {
  const Scratch scratch;
  EXPECT_EQ(verify_log({.folder = scratch.path()}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace lantern::audit
