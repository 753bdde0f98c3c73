// Names that matter in a template.
#pragma once

#include <string>
#include <string_view>

namespace lantern::supply::scan {

/// An attribute that leads into Python's internals: any dunder, frames, code objects.
bool is_internal_attribute(std::string_view name);
/// A function or module that runs, opens or imports: eval, os, subprocess, getattr, ...
bool is_dangerous_function(std::string_view name);
bool is_dangerous_module(std::string_view name);
/// A method whose call runs a program, a file or code: popen, system, import_module, ...
bool is_dangerous_method(std::string_view name);
/// Functions that Jinja or its hosts (Flask) put into every template: handles on Python objects.
bool is_python_handle(std::string_view name);
/// str.format() with a field that walks: "{0.__class__}"; empty, or the part that does.
std::string walking_field(std::string_view format);
/// The keys of a message under which a person's words are.
bool is_words_key(std::string_view name);
/// A method of text, whose result is still its words.
bool is_text_method(std::string_view name);
/// Words a person would type, with no mark that a prompt format uses.
bool is_plain_words(std::string_view text);

}  // namespace lantern::supply::scan
