#include "server/socket_client.h"

#include <gtest/gtest.h>

namespace lantern::server {
namespace {

TEST(ParseAnswerHead, ReadsWhatEndsTheBody) {
  const auto plain = parse_answer_head("HTTP/1.1 200 OK\r\nContent-Length: 12");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->status, 200);
  EXPECT_EQ(plain->length, 12u);
  const auto chunked = parse_answer_head(
      "HTTP/1.1 403 Forbidden\r\ntransfer-encoding: Chunked\r\ncontent-length: 3");
  ASSERT_TRUE(chunked.ok());
  EXPECT_TRUE(chunked->chunked);
  EXPECT_FALSE(chunked->length.has_value());
}

TEST(ParseAnswerHead, RefusesWhatIsNone) {
  for (const char* head : {"", "HTTP/1.1", "HTTP/1.1 2x0 OK", "SMTP 200 OK more", "HTTP/1.1 001 OK",
                           "HTTP/1.1 200 OK\r\nContent-Length: -1",
                           "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999"})
    EXPECT_FALSE(parse_answer_head(head).ok()) << head;
}

TEST(ChunkReader, GivesTheSameHoweverTheBytesCome) {
  const std::string body = "5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
  for (size_t step = 1; step <= body.size(); ++step) {
    ChunkReader reader;
    std::string out;
    for (size_t at = 0; at < body.size(); at += step) {
      const auto piece = reader.take(std::string_view(body).substr(at, step));
      ASSERT_TRUE(piece.ok());
      out += *piece;
    }
    EXPECT_EQ(out, "hello world") << step;
    EXPECT_TRUE(reader.ended()) << step;
  }
}

TEST(ChunkReader, RefusesWhatIsNone) {
  for (const std::string& body : {std::string("zz\r\n"), std::string("ffffffffffff\r\n"),
                                  std::string("\r\n"), std::string(2000, '1')}) {
    ChunkReader reader;
    EXPECT_FALSE(reader.take(body).ok()) << body.substr(0, 10);
  }
}

TEST(ErrorOf, TakesTheMessageOfEachShape) {
  EXPECT_EQ(error_of({.status = 403, .body = R"({"error":"no"})"}).message, "no");
  EXPECT_EQ(error_of({.status = 403, .body = R"({"error":{"message":"no"}})"}).code,
            ErrorCode::kDenied);
  EXPECT_EQ(error_of({.status = 502, .body = "nonsense"}).message, "nonsense");
}

}  // namespace
}  // namespace lantern::server
