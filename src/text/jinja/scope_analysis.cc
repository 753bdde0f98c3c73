#include "text/jinja/scope_analysis.h"

#include <array>
#include <map>
#include <set>

namespace lantern::text::jinja {
namespace {

/// What is known of a scope's names. A branch of an if has symbols of its own over those of its
/// scope (`base`), which it does not copy: with many of both that would be quadratic.
struct Symbols {
  const Symbols* parent = nullptr;  // of the scope around
  const Symbols* base = nullptr;    // of the same scope, before this branch
  std::map<NameId, bool> known;     // to whether it is undefined at the scope's beginning
  std::set<NameId> stores;

  static Symbols within(const Symbols& around) {
    Symbols s;
    s.parent = &around;
    return s;
  }
  [[nodiscard]] Symbols branch() const {
    Symbols s;
    s.parent = parent;
    s.base = this;
    return s;
  }

  [[nodiscard]] bool knows(NameId name) const {
    for (const Symbols* s = this; s != nullptr; s = s->base)
      if (s->known.contains(name)) return true;
    return false;
  }
  [[nodiscard]] bool has_stored(NameId name) const {
    for (const Symbols* s = this; s != nullptr; s = s->base)
      if (s->stores.contains(name)) return true;
    return false;
  }
  [[nodiscard]] bool parents_know(NameId name) const {
    for (const Symbols* s = parent; s != nullptr; s = s->parent)
      if (s->knows(name)) return true;
    return false;
  }

  void load(NameId name) {
    if (!knows(name) && !parents_know(name)) known[name] = false;
  }
  void store(NameId name) {
    stores.insert(name);
    if (!knows(name)) known[name] = !parents_know(name);
  }
  void parameter(NameId name) {
    stores.insert(name);
    known[name] = false;
  }
  /// After an if: a name that only some branches write is looked up outside.
  void merge(const std::array<Symbols, 3>& branches) {
    std::map<NameId, size_t> counts;
    for (const Symbols& branch : branches)
      for (const NameId name : branch.stores)
        if (!has_stored(name)) ++counts[name];
    for (const Symbols& branch : branches) {
      for (const auto& [name, unset] : branch.known) known[name] = unset;
      stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (const auto& [name, count] : counts)
      if (count != branches.size()) known[name] = false;
  }
  [[nodiscard]] std::vector<NameId> unset() const {
    std::vector<NameId> out;
    for (const auto& [name, is_unset] : known)
      if (is_unset) out.push_back(name);
    return out;
  }
};

/// All names an expression reads. Chains may be long, so there is no recursion.
void load_names(Symbols& symbols, const Expr* expr) {
  std::vector<const Expr*> pending{expr};
  while (!pending.empty()) {
    const Expr* e = pending.back();
    pending.pop_back();
    if (e == nullptr) continue;
    if (e->kind == ExprKind::kName) symbols.load(e->name);
    pending.insert(pending.end(), {e->left, e->right, e->third});
    pending.insert(pending.end(), e->items.begin(), e->items.end());
    if (!e->call) continue;
    pending.insert(pending.end(), e->call->positional.begin(), e->call->positional.end());
    for (const auto& [name, value] : e->call->named) pending.push_back(value);
    pending.insert(pending.end(), {e->call->star, e->call->double_star});
  }
}

enum class TargetUse { kStore, kParameter };

void visit_target(Symbols& symbols, const Target& target, TargetUse use) {
  if (target.kind == Target::Kind::kTuple) {
    for (const Target& item : target.items) visit_target(symbols, item, use);
  } else if (target.kind == Target::Kind::kAttribute) {
    symbols.load(target.name);
  } else if (use == TargetUse::kStore) {
    symbols.store(target.name);
  } else {
    symbols.parameter(target.name);
  }
}

void visit_block(Symbols& symbols, const Block& block);

/// The branches of an if, from `first` on: Jinja counts three, the last two being all
/// its elifs together and its else.
void visit_if(Symbols& symbols, const Stmt& stmt) {
  load_names(symbols, stmt.branches[0].first);
  std::array<Symbols, 3> branches{symbols.branch(), symbols.branch(), symbols.branch()};
  visit_block(branches[0], stmt.branches[0].second);
  for (size_t i = 1; i < stmt.branches.size(); ++i) {
    load_names(branches[1], stmt.branches[i].first);
    std::array<Symbols, 3> inner{branches[1].branch(), branches[1].branch(), branches[1].branch()};
    visit_block(inner[0], stmt.branches[i].second);
    branches[1].merge(inner);
  }
  visit_block(branches[2], stmt.otherwise);
  symbols.merge(branches);
}

/// What a statement reads and writes in the scope it stands in; its own scope is not entered.
void visit_statement(Symbols& symbols, const Stmt& stmt) {
  switch (stmt.kind) {
    case StmtKind::kIf:
      visit_if(symbols, stmt);
      break;
    case StmtKind::kSet:
      load_names(symbols, stmt.expr);
      visit_target(symbols, stmt.target, TargetUse::kStore);
      break;
    case StmtKind::kSetBlock:
      visit_target(symbols, stmt.target, TargetUse::kStore);
      break;
    case StmtKind::kMacro:
      symbols.store(stmt.target.name);
      break;
    case StmtKind::kWith:
      for (const auto& [target, value] : stmt.assignments) load_names(symbols, value);
      break;
    case StmtKind::kOutput:
    case StmtKind::kFor:
    case StmtKind::kCallBlock:
    case StmtKind::kFilterBlock:
      load_names(symbols, stmt.expr);
      break;
    case StmtKind::kText:
    case StmtKind::kScope:
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      break;
  }
}

void visit_block(Symbols& symbols, const Block& block) {
  for (const Stmt* stmt : block) visit_statement(symbols, *stmt);
}

void enter_scopes(const Symbols& around, const Block& block);

/// A scope whose parameters are in `symbols` already.
std::vector<NameId> analyze_scope(Symbols& symbols, const Block& body) {
  visit_block(symbols, body);
  enter_scopes(symbols, body);
  return symbols.unset();
}

void enter_statement(const Symbols& around, Stmt& stmt) {
  Symbols own = Symbols::within(around);
  switch (stmt.kind) {
    case StmtKind::kIf:
      for (const auto& [condition, body] : stmt.branches) enter_scopes(around, body);
      enter_scopes(around, stmt.otherwise);
      return;
    case StmtKind::kFor: {
      visit_target(own, stmt.target, TargetUse::kParameter);
      stmt.unset = analyze_scope(own, stmt.body);
      Symbols otherwise = Symbols::within(around);
      stmt.unset_otherwise = analyze_scope(otherwise, stmt.otherwise);
      return;
    }
    case StmtKind::kMacro:
    case StmtKind::kCallBlock:
      for (const NameId name : stmt.macro->parameters) own.parameter(name);
      for (const Expr* value : stmt.macro->defaults) load_names(own, value);
      stmt.macro->unset = analyze_scope(own, stmt.macro->body);
      return;
    case StmtKind::kWith:
      for (const auto& [target, value] : stmt.assignments)
        visit_target(own, target, TargetUse::kParameter);
      stmt.unset = analyze_scope(own, stmt.body);
      return;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock:
    case StmtKind::kScope:
      stmt.unset = analyze_scope(own, stmt.body);
      return;
    default:
      return;
  }
}

void enter_scopes(const Symbols& around, const Block& block) {
  for (Stmt* stmt : block) enter_statement(around, *stmt);
}

}  // namespace

void find_unset_names(Template& source) {
  Symbols root;
  source.unset = analyze_scope(root, source.body);
}

}  // namespace lantern::text::jinja
