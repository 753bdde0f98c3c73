// The schemas that one JSON schema document is made of: its own sub-schemas and those that
// compiling makes of them, by number; references; and which keywords are known.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lantern::text::grammar {

using Json = base::OrderedJson;
using SchemaId = int32_t;

class SchemaSet {
 public:
  explicit SchemaSet(const Json& root);

  /// `path`: its JSON pointer, for messages.
  SchemaId id_of(const Json& schema, std::string path);
  /// A schema of our own making.
  SchemaId make(Json schema, std::string path);
  [[nodiscard]] const Json& at(SchemaId id) const {
    return *schemas_[static_cast<size_t>(id)].json;
  }
  [[nodiscard]] const std::string& path(SchemaId id) const {
    return schemas_[static_cast<size_t>(id)].path;
  }
  /// Made, not of the document.
  [[nodiscard]] bool is_ours(SchemaId id) const { return schemas_[static_cast<size_t>(id)].ours; }
  [[nodiscard]] SchemaId root() const { return 0; }
  /// The member `name` of schema `id`, which is there.
  SchemaId child(SchemaId id, std::string_view name);
  /// Likewise, the member `name`/`key` or `name`/`index`.
  SchemaId child(SchemaId id, std::string_view name, const std::string& key);
  SchemaId child(SchemaId id, std::string_view name, size_t index);

  /// What `$ref` of schema `id` names. kUnsupported where it is outside the document.
  Result<SchemaId> resolve(SchemaId id);
  /// Whether a $ref's neighbours count (drafts before 2019-09 say they do not).
  [[nodiscard]] bool ref_stands_alone() const { return ref_stands_alone_; }

  /// kUnsupported for a keyword that is not known here, kInvalidArgument for no schema at all; once
  /// for each schema.
  Status check(SchemaId id);

  /// An annotation.
  static bool says_nothing(std::string_view keyword);

  [[nodiscard]] Error unsupported(SchemaId id, std::string_view keyword,
                                  std::string_view why) const;
  [[nodiscard]] Error invalid(SchemaId id, std::string_view keyword, std::string_view why) const;

 private:
  struct Entry {
    const Json* json;
    std::string path;
    bool ours = false;  // made, not of the document
    bool checked = false;
  };
  SchemaId inside(SchemaId id, const Json& schema, const std::string& path_on);
  enum class Where { kSchema, kSchemasByName, kAnywhere };
  void find_names(const Json& value, const std::string& base, Where where, int depth);
  [[nodiscard]] const Json* follow(const Json& from, std::string_view pointer) const;

  const Json& root_;
  bool ref_stands_alone_ = false;
  std::vector<Entry> schemas_;
  std::unordered_map<const Json*, SchemaId> ids_;
  std::deque<Json> made_;
  std::map<std::string, const Json*, std::less<>> names_;  // $id and $anchor
};

}  // namespace lantern::text::grammar
