#include "audit/note.h"

#include <gtest/gtest.h>

#include "audit/checkpoint.h"

namespace lantern::audit {
namespace {

// The example of C2SP's signed-note.md.
constexpr std::string_view kVkey =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
constexpr std::string_view kNote =
    "This is an example message.\n"
    "\n"
    "\xe2\x80\x94 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    "\n";

TEST(Note, VerifiesTheSpecificationsExample) {
  const auto verifier = NoteVerifier::from_vkey(kVkey, "vkey");
  ASSERT_TRUE(verifier.ok()) << verifier.error().message;
  EXPECT_EQ(verifier->vkey(), kVkey);
  const Note note = parse_note(kNote, "note").value();
  EXPECT_EQ(note.text, "This is an example message.\n");
  EXPECT_EQ(format_note(note), kNote);
  EXPECT_EQ(note_signers(note, std::vector{*verifier}, "note").value(), std::vector<size_t>{0});
}

// The example of tlog-cosignature.md: the witness's vkey is not published with it, so that only
// its form is held.
TEST(Note, ReadsTheSpecificationsCheckpointWithACosignature) {
  constexpr std::string_view kCosigned =
      "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
      "\xe2\x80\x94 example.com/behind-the-sofa "
      "Az3grlgtzPICa5OS8npVmf1Myq/"
      "5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
      "\xe2\x80\x94 witness.example.com/w1 "
      "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/"
      "zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
  const Note note = parse_note(kCosigned, "note").value();
  ASSERT_EQ(note.signatures.size(), 2u);
  EXPECT_EQ(note.signatures[1].key_id, 0x8d66cf3fu);
  EXPECT_EQ(note.signatures[1].signature.size(), 72u);
  const Checkpoint checkpoint = parse_checkpoint_text(note.text, "note").value();
  EXPECT_EQ(checkpoint.size, 20852163u);
  EXPECT_EQ(checkpoint_text(checkpoint), note.text);
}

TEST(Note, AChangedTextOrSignatureDoesNotVerify) {
  const auto verifier = NoteVerifier::from_vkey(kVkey, "vkey").value();
  for (const size_t at : {0u, 10u, 60u, 70u, 100u}) {
    std::string changed(kNote);
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    const auto note = parse_note(changed, "note");
    if (!note.ok()) continue;
    const auto signers = note_signers(*note, std::vector{verifier}, "note");
    EXPECT_TRUE(!signers.ok() || signers->empty()) << at;
  }
}

// One case a line of the specification.
TEST(Note, RefusesWhatIsNoNote) {
  const std::string line(kNote.substr(29));
  const std::pair<const char*, std::string> kCases[] = {
      {"empty", ""},
      {"no signature", "text\n\n"},
      {"no empty line", "text\n" + line},
      {"no last line break", std::string(kNote.substr(0, kNote.size() - 1))},
      {"control character", "te\rxt\n\n" + line},
      {"plain dash", "text\n\n- a AAAAAAA=\n"},
      {"no name", "text\n\n\xe2\x80\x94  AAAAAAA=\n"},
      {"plus in the name", "text\n\n\xe2\x80\x94 a+b AAAAAAA=\n"},
      {"no base64", "text\n\n\xe2\x80\x94 a $$$\n"},
      {"short signature", "text\n\n\xe2\x80\x94 a AAAAAA==\n"},
      {"too large", std::string(70'000, 'x') + "\n\n" + line},
  };
  for (const auto& [name, bytes] : kCases) {
    const auto note = parse_note(bytes, "f");
    ASSERT_FALSE(note.ok()) << name;
    EXPECT_EQ(note.error().code, ErrorCode::kCorrupt) << name;
    EXPECT_EQ(note.error().message.substr(0, 3), "f: ") << name << note.error().message;
  }
}

TEST(Note, RefusesWhatIsNoVerifierKey) {
  for (const std::string_view vkey :
       {"", "a+b", "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d90zz+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"})
    EXPECT_FALSE(NoteVerifier::from_vkey(vkey, "vkey").ok()) << vkey;
}

TEST(Checkpoint, RefusesWhatIsNone) {
  const std::string root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
  for (const std::string& text : std::vector<std::string>{
           "", "log\n", "log\n1\n", "log\n01\n" + root, "log\n-1\n" + root, "log\n1 \n" + root,
           "log\n9223372036854775808\n" + root, "\n1\n" + root, "log\n1\nAAAA\n", "log\n0\n" + root,
           "log\n1\n" + root + "extension\n"})
    EXPECT_FALSE(parse_checkpoint_text(text, "f").ok()) << text;
  EXPECT_TRUE(parse_checkpoint_text("log\n1\n" + root, "f").ok());
}

TEST(Proof, ComesBackAsItWas) {
  InclusionProof proof{
      .index = 73894, .hashes = {leaf_hash("a"), leaf_hash("b")}, .checkpoint = "log\n2\n...\n"};
  const std::string text = format_proof(proof);
  EXPECT_EQ(text.substr(0, 36), "c2sp.org/tlog-proof@v1\nindex 73894\n" + text.substr(35, 1));
  const InclusionProof read = parse_proof(text, "f").value();
  EXPECT_EQ(read.index, proof.index);
  EXPECT_EQ(read.hashes, proof.hashes);
  EXPECT_EQ(read.checkpoint, proof.checkpoint);
  std::string extra = text;
  extra.insert(text.find("index"), "extra AAAA\n");
  EXPECT_EQ(parse_proof(extra, "f")->index, proof.index);
  EXPECT_EQ(parse_proof(extra, "f")->extra, std::string(3, '\0'));
  EXPECT_EQ(format_proof(parse_proof(extra, "f").value()), extra);
  for (const std::string& bad : std::vector<std::string>{
           "", "x\n", text.substr(0, 23), "c2sp.org/tlog-proof@v1\nindex 1\nnot a hash\n\n"})
    EXPECT_FALSE(parse_proof(bad, "f").ok()) << bad;
}

}  // namespace
}  // namespace lantern::audit
