#include "engine/prefix_cache.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/check.h"

namespace lantern::engine {
namespace {

constexpr auto kPage = static_cast<size_t>(kernels::kKvPagePositions);

size_t common_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

struct PrefixCache::Node {
  explicit Node(std::optional<KvPages> given) : pages(std::move(given)) {}

  std::optional<KvPages> pages;  // none at a root
  Node* parent = nullptr;
  const Scope* scope = nullptr;  // a root's, its key in roots_
  std::span<const int32_t> ids;  // its key in parent->children
  Children children;
  int64_t held = 0;                    // positions that stand here
  uint64_t used = 0;                   // by clock_
  std::optional<uint64_t> idle_since;  // its key in idle_
};

bool PrefixCache::IdsLess::operator()(std::span<const int32_t> a,
                                      std::span<const int32_t> b) const {
  return std::ranges::lexicographical_compare(a, b);
}

PrefixCache::PrefixCache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

// One after another: a tree may be deeper than a stack.
PrefixCache::~PrefixCache() {
  while (evict()) {
  }
}

PrefixCache::Position PrefixCache::enter(const Scope& scope) {
  auto [root, made] = roots_.try_emplace(scope);
  if (made) {
    root->second = std::make_unique<Node>(std::nullopt);
    root->second->scope = &root->first;
  }
  Position position;
  position.node_ = root->second.get();
  hold(*position.node_);
  return position;
}

/// The child that has most in common with the beginning of `ids`; null where none has anything.
PrefixCache::Node* PrefixCache::find_longest(Node& parent, std::span<const int32_t> ids,
                                             size_t& n_common) const {
  n_common = 0;
  Node* best = nullptr;
  auto consider = [&](Children::iterator child) {
    const size_t n = common_length(child->first, ids);
    if (n <= n_common) return;
    n_common = n;
    best = child->second.get();
  };
  // In the order of ids, what has most in common stands on one side or the other.
  const auto after = parent.children.lower_bound(ids);
  if (after != parent.children.end()) consider(after);
  if (after != parent.children.begin()) consider(std::prev(after));
  return best;
}

int64_t PrefixCache::advance(Position& position, std::span<const int32_t> ids, Sequence& sequence) {
  if (position.node_ == nullptr || position.only_gives_) return 0;
  const size_t before = sequence.ids.size();
  LANTERN_CHECK(before % kPage == 0);
  const auto usable = ids.first(ids.size() - 1);
  while (sequence.ids.size() < usable.size()) {
    const auto rest = usable.subspan(sequence.ids.size());
    size_t n_common = 0;
    Node* child = find_longest(*position.node_, rest.first(std::min(kPage, rest.size())), n_common);
    if (child == nullptr) break;
    if (n_common < kPage) {
      if (child->pages->is_whole() && sequence.kv.append_copy(*child->pages).ok())
        sequence.ids.insert(sequence.ids.end(), rest.begin(),
                            rest.begin() + static_cast<std::ptrdiff_t>(n_common));
      break;
    }
    sequence.kv.append_shared(*child->pages);
    sequence.ids.insert(sequence.ids.end(), child->ids.begin(), child->ids.end());
    hold(*child);
    release(*std::exchange(position.node_, child));
  }
  const auto gained = static_cast<int64_t>(sequence.ids.size() - before);
  if (gained == 0 || sequence.kv.can_resume_at(std::ssize(sequence.ids))) return gained;
  // Run from the beginning; extend() then fills what is missing in the tree.
  Node* root = position.node_;
  while (root->parent != nullptr) root = root->parent;
  hold(*root);
  release(*std::exchange(position.node_, root));
  position.only_gives_ = true;
  sequence.kv.clear();
  sequence.ids.clear();
  return 0;
}

void PrefixCache::extend(Position& position, Sequence& sequence) {
  if (position.node_ == nullptr) return;
  size_t depth = 0;
  for (const Node* node = position.node_; node->parent != nullptr; node = node->parent) ++depth;
  const std::span<const int32_t> ids = sequence.ids;
  for (; (depth + 1) * kPage <= ids.size(); ++depth) {
    const auto of_page = ids.subspan(depth * kPage, kPage);
    const auto index = static_cast<int64_t>(depth);
    const auto found = position.node_->children.find(of_page);
    Node* child = nullptr;
    if (found == position.node_->children.end()) {
      child = insert(*position.node_, of_page, sequence.kv.share(index));
    } else {
      // Another ran the same beside this one: one copy serves both.
      child = found->second.get();
      if (child->pages->is_whole()) {
        sequence.kv.replace(index, *child->pages);
      } else {
        bytes_ -= child->pages->bytes();
        child->pages.emplace(sequence.kv.share(index));
        bytes_ += child->pages->bytes();
      }
    }
    hold(*child);
    release(*std::exchange(position.node_, child));
  }
  while (bytes_ > bytes_max_ && evict()) {
  }
}

void PrefixCache::leave(Position& position, Sequence& sequence) {
  if (position.node_ == nullptr) return;
  extend(position, sequence);
  const std::span<const int32_t> tail =
      std::span(sequence.ids).subspan(sequence.ids.size() / kPage * kPage);
  Node* node = std::exchange(position.node_, nullptr);
  if (!tail.empty()) {
    size_t n_common = 0;
    find_longest(*node, tail, n_common);
    const auto index = static_cast<int64_t>(sequence.ids.size() / kPage);
    if (n_common < tail.size()) insert(*node, tail, sequence.kv.share(index));
  }
  ++clock_;
  for (Node* on_path = node; on_path != nullptr; on_path = on_path->parent) {
    on_path->used = clock_;
    refresh(*on_path);
  }
  release(*node);
  while (bytes_ > bytes_max_ && evict()) {
  }
}

PrefixCache::Node* PrefixCache::insert(Node& parent, std::span<const int32_t> ids, KvPages pages) {
  bytes_ += pages.bytes();
  auto [child, made] = parent.children.emplace(std::vector<int32_t>(ids.begin(), ids.end()),
                                               std::make_unique<Node>(std::move(pages)));
  LANTERN_CHECK(made);
  Node* node = child->second.get();
  node->ids = child->first;
  node->parent = &parent;
  node->used = ++clock_;
  refresh(*node);
  refresh(parent);
  // A shorter end that the new one begins with is of no use any more.
  if (child != parent.children.begin()) {
    Node& shorter = *std::prev(child)->second;
    if (shorter.idle_since && shorter.ids.size() < ids.size() &&
        common_length(shorter.ids, ids) == shorter.ids.size())
      erase(shorter);
  }
  return node;
}

void PrefixCache::hold(Node& node) {
  ++node.held;
  refresh(node);
}

void PrefixCache::release(Node& node) {
  --node.held;
  refresh(node);
  if (node.parent == nullptr && node.held == 0 && node.children.empty())
    roots_.erase(Scope(*node.scope));
}

/// Brings idle_ up to date with the node.
void PrefixCache::refresh(Node& node) {
  if (node.idle_since) idle_.erase({*std::exchange(node.idle_since, std::nullopt), &node});
  if (node.parent == nullptr || node.held > 0 || !node.children.empty()) return;
  node.idle_since = node.used;
  idle_.insert({node.used, &node});
}

/// An idle leaf goes, and a root that is left with nothing.
void PrefixCache::erase(Node& node) {
  idle_.erase({*node.idle_since, &node});
  bytes_ -= node.pages->bytes();
  Node& parent = *node.parent;
  const auto child = parent.children.find(node.ids);
  parent.children.erase(child);
  hold(parent);
  release(parent);
}

bool PrefixCache::evict() {
  if (idle_.empty()) return false;
  erase(*idle_.begin()->second);
  return true;
}

bool PrefixCache::drop_windowed() {
  const uint64_t before = bytes_;
  std::vector<Node*> nodes;
  nodes.reserve(roots_.size());
  for (const auto& [scope, root] : roots_) nodes.push_back(root.get());
  while (!nodes.empty()) {
    Node* node = nodes.back();
    nodes.pop_back();
    if (node->pages) {
      bytes_ -= node->pages->bytes();
      node->pages->drop_windowed();
      bytes_ += node->pages->bytes();
    }
    for (const auto& [ids, child] : node->children) nodes.push_back(child.get());
  }
  return bytes_ < before;
}

}  // namespace lantern::engine
