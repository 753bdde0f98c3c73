// AI that is installed, whether or not it runs: packages of Python, images and containers, systemd
// units, extensions of editors, models and caches of browsers. A finding here is a label that says
// where to look, and never an alert.
//
// One file a kind of place: installed/<name>.cc defines `extern const InstalledKind k_<name>`. What
// the names of files and folders say is taken by the collector; a file's text is read by the
// confined child, as every foreign text is, and of it only what a rule knows comes back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sensor/host.h"
#include "sensor/parser.h"
#include "sensor/runtime_rules.h"

namespace lantern::sensor {

struct Installed {
  std::string kind = {};  // "package"
  std::string rule = {};  // its id
  std::string name = {}, version = {};
  std::string where = {};  // a path
  uint32_t uid = 0;        // of the home it lies in; 0 for the machine's own
};

/// What a kind's `find` looks with.
class InstalledSearch {
 public:
  InstalledSearch(Host& host, std::span<const RuntimeRule> rules, std::span<const Home> homes)
      : host_(host), rules_(rules), homes_(homes) {}

  [[nodiscard]] std::span<const RuntimeRule> rules() const { return rules_; }
  [[nodiscard]] std::span<const Home> homes() const { return homes_; }
  /// A folder's entries; none where it cannot be listed or enough was listed.
  std::vector<DirectoryEntry> list(const std::string& folder);
  /// The same for folders of people's own.
  std::vector<DirectoryEntry> list_private(const std::string& folder);
  void add(const RuntimeRule& rule, std::string_view name, std::string_view version,
           const std::string& where, uint32_t uid);
  /// Has the file's text, which may hold secrets, read by the kind's `read`.
  void read(const std::string& path, uint32_t uid);

  struct Text {
    std::string path = {};
    uint32_t uid = 0;
  };
  [[nodiscard]] const std::vector<Text>& texts() const { return texts_; }
  /// Whether something was left out because there is so much.
  [[nodiscard]] bool is_cut() const { return is_cut_; }
  std::vector<Installed> take() { return std::move(found_); }

 private:
  bool may_list();

  Host& host_;
  std::span<const RuntimeRule> rules_;
  std::span<const Home> homes_;
  std::vector<Installed> found_;
  std::vector<Text> texts_;
  size_t n_lists_ = 0;
  bool is_cut_ = false;
};

struct InstalledKind {
  std::string_view kind;
  void (*find)(InstalledSearch& search);
  /// What a text says, in the confined child; null: none is read. What is none of the kind's gives
  /// nothing.
  std::vector<InstalledEntry> (*read)(std::string_view path, std::string_view text,
                                      std::span<const RuntimeRule> rules);
};
std::span<const InstalledKind* const> installed_kinds();

inline constexpr uint64_t kInstalledTextBytesMax = 16u << 20;  // more is read in part

struct InstalledReport {
  std::vector<Installed> found = {};  // sorted by kind and place, each once
  std::vector<std::string> left_out =
      {};  // a line each for a person: kinds with more than is looked at
};
/// Everything of every kind. Errors: parse_files()'s.
Result<InstalledReport> find_installed(Host& host, std::span<const RuntimeRule> rules,
                                       const ParserOptions& options);

/// For kinds: "ollama/ollama:latest" into a name and what stands behind it.
std::pair<std::string_view, std::string_view> split_image(std::string_view reference);
/// For kinds: adds the rules that know an image.
void add_image(std::vector<InstalledEntry>& entries, std::string_view reference,
               std::span<const RuntimeRule> rules);

}  // namespace lantern::sensor
