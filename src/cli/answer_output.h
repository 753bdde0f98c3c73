// An answer on its way to standard output, piece by piece.
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>

#include "base/result.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace lantern::cli {

/// Ctrl-C ends the answer, and so does the first write that fails: nobody takes the rest.
class AnswerOutput {
 public:
  AnswerOutput() = default;
  AnswerOutput(const AnswerOutput&) = delete;
  AnswerOutput& operator=(const AnswerOutput&) = delete;

  void show(std::string_view piece) {
    if (!written_.ok()) return;
    written_ = print(safe_(piece));
    if (!written_.ok()) over_.request_stop();
  }
  /// For whoever makes the answer.
  [[nodiscard]] std::stop_token stop() const { return over_.get_token(); }
  /// What the first failed write said.
  [[nodiscard]] const Status& written() const { return written_; }

 private:
  std::stop_source over_;
  std::stop_callback<std::function<void()>> interrupted_{new_interruptible_scope(),
                                                         [this] { over_.request_stop(); }};
  SafeText safe_;
  Status written_;
};

}  // namespace lantern::cli
