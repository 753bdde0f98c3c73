#include "cli/line_editor.h"

#include <histedit.h>
#include <sys/stat.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

#include "base/paths.h"
#include "cli/output.h"

namespace lantern::cli {

namespace {
constexpr int kHistoryEntries = 1000;
}

struct LineEditor::Impl {
  std::filesystem::path history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  const char* prompt = "";

  static char* show_prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return const_cast<char*>(static_cast<Impl*>(self)->prompt);
  }

  void save() {
    if (history_file.empty() || history == nullptr) return;
    HistEvent event;
    ::history(history, &event, H_SAVE, history_file.c_str());
    ::chmod(history_file.c_str(), 0600);
  }
};

LineEditor::LineEditor(std::filesystem::path history_file) : impl_(std::make_unique<Impl>()) {
  if (!stdin_is_terminal()) return;
  std::setlocale(LC_CTYPE, "");  // libedit reads wide characters by the locale
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  impl_->history_file = std::move(history_file);
  impl_->editor = el_init("lantern", stdin, stderr, stderr);
  impl_->history = history_init();
  if (impl_->editor == nullptr || impl_->history == nullptr) return;
  HistEvent event;
  ::history(impl_->history, &event, H_SETSIZE, kHistoryEntries);
  ::history(impl_->history, &event, H_SETUNIQUE, 1);
  el_set(impl_->editor, EL_CLIENTDATA, impl_.get());
  el_set(impl_->editor, EL_PROMPT, &Impl::show_prompt);
  el_set(impl_->editor, EL_EDITOR, "emacs");
  el_set(impl_->editor, EL_SIGNAL, 0);  // Ctrl-C is ours: el_gets returns with EINTR
  el_set(impl_->editor, EL_HIST, ::history, impl_->history);
  el_set(impl_->editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(impl_->editor, nullptr);  // ~/.editrc
  if (!impl_->history_file.empty())
    ::history(impl_->history, &event, H_LOAD, impl_->history_file.c_str());
}

LineEditor::~LineEditor() {
  impl_->save();
  if (impl_->editor != nullptr) el_end(impl_->editor);
  if (impl_->history != nullptr) history_end(impl_->history);
}

LineEditor::Line LineEditor::read(const char* prompt) {
  Line line;
  if (impl_->editor == nullptr) {
    if (!std::getline(std::cin, line.text)) line.end = End::kInput;
    return line;
  }
  impl_->prompt = prompt;
  int n = 0;
  errno = 0;
  const char* text = el_gets(impl_->editor, &n);
  if (text == nullptr || n <= 0) {
    line.end = n < 0 && errno == EINTR ? End::kInterrupted : End::kInput;
    return line;
  }
  line.text.assign(text, static_cast<size_t>(n));
  if (line.text.ends_with('\n')) line.text.pop_back();
  return line;
}

void LineEditor::remember(const std::string& entry) {
  if (impl_->history == nullptr || entry.empty()) return;
  HistEvent event;
  ::history(impl_->history, &event, H_ENTER, entry.c_str());
}

}  // namespace lantern::cli
