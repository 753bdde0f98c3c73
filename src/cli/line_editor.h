// Lines from a person: editing and history on a terminal (libedit), plain lines elsewhere.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace lantern::cli {

class LineEditor {
 public:
  /// History is kept in `history_file` (mode 0600), if it is not empty and stdin is a terminal.
  explicit LineEditor(std::filesystem::path history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class End { kInput, kInterrupted };  // Ctrl-D or end of file; Ctrl-C
  struct Line {
    std::string text;  // without line break
    std::optional<End> end;
  };
  /// One line. `prompt` is shown on a terminal alone.
  Line read(const char* prompt);
  /// Adds an entry, several lines allowed, to the history.
  void remember(const std::string& entry);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::cli
