// The KV cache: pages of kernels::kKvPagePositions positions, a keys' and a values' page a
// layer, taken as a sequence grows.
//
//   KvPool      what all sequences of an engine draw from: owns freed pages for reuse, counts
//               bytes, refuses past its budget
//   KvSequence  one sequence's pages; gives them back when it ends
//   KvPages     what all layers hold of 128 positions, kept beside sequences (PrefixCache)
//
// Pages are counted: sequences that share a prefix share its pages, which none of them writes any
// more. A page is free when the last holder gives it back.
//
// Pages come zeroed, reused ones too: what one sequence wrote reaches no other that does not share
// its prefix.
// Where a sliding window has passed a page for good, its layer's pages are given back and null
// in the view; one further page is kept so that a short rollback needs no new computation.
//
// One thread at a time uses a pool and its holders. The pool outlives its sequences and stays
// where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "arch/model.h"
#include "base/result.h"
#include "kernels/ops.h"

namespace lantern::engine {

/// Tokens of a prompt in one step: long enough for the matrix products' full speed, short
/// enough that cancelling is prompt and activations stay small.
inline constexpr int64_t kUsualChunk = 512;

class KvPool {
 public:
  /// Bytes that one look at the machine is good for: it takes some microseconds.
  static constexpr uint64_t kAskAnew = uint64_t{64} << 20;
  /// Left for everything else on the machine; less than kScratchBytes, so that a cache that was
  /// planned for alone may grow to its end.
  static constexpr uint64_t kMachineLeast = uint64_t{64} << 20;

  struct Options {
    kernels::KvType type = kernels::KvType::kF16;
    uint64_t bytes_max = UINT64_MAX;  // pages in use and kept for reuse
    /// What the machine has left, which other models take from, too; empty: enough. Asked for again
    /// with every kAskAnew bytes.
    std::function<uint64_t()> machine_left = {};
  };
  /// kUnsupported where the type does not fit a layer's widths.
  static Result<KvPool> create(std::span<const arch::ModelInfo::Layer> layers, Options options);

  KvPool(KvPool&&) noexcept = default;
  KvPool& operator=(KvPool&&) = delete;
  KvPool(const KvPool&) = delete;
  ~KvPool();

  [[nodiscard]] kernels::KvType type() const { return options_.type; }
  [[nodiscard]] uint64_t bytes_max() const { return options_.bytes_max; }
  [[nodiscard]] uint64_t bytes_in_use() const { return bytes_in_use_; }
  [[nodiscard]] uint64_t bytes_held() const { return bytes_held_; }  // kept pages included
  /// Whether so many bytes may be in use together, as far as is known now.
  [[nodiscard]] bool may_hold(uint64_t bytes) const;
  /// Gives the machine back what is kept for reuse. Bytes.
  uint64_t release_kept();
  /// Bytes of a sequence of `n` positions that is run in chunks of at most kUsualChunk.
  [[nodiscard]] uint64_t bytes_for(int64_t n) const;

 private:
  friend class KvSequence;
  friend class KvPages;
  struct Free {
    void operator()(std::byte* page) const;
  };
  using Page = std::unique_ptr<std::byte, Free>;

  KvPool(std::span<const arch::ModelInfo::Layer> layers, Options options)
      : layers_(layers.begin(), layers.end()), options_(std::move(options)) {}

  Result<std::byte*> take(uint64_t bytes);
  /// One holder more, one less; null does nothing.
  static std::byte* share(std::byte* page);
  void give_back(std::byte* page, uint64_t bytes);
  [[nodiscard]] Error exhausted(uint64_t bytes) const;
  [[nodiscard]] uint64_t machine_gives() const;
  Status ask_machine(uint64_t bytes);

  struct LayerBytes {
    uint64_t key_page, value_page;
  };
  std::vector<arch::ModelInfo::Layer> layers_;
  std::vector<LayerBytes> layer_bytes_;
  Options options_;
  std::map<uint64_t, std::vector<Page>> kept_;  // by size
  uint64_t bytes_in_use_ = 0;
  uint64_t bytes_held_ = 0;
  uint64_t bytes_granted_ = 0;  // held bytes for which the machine had room
};

/// One page's positions in all layers, shared with whoever else holds them. Null in a layer whose
/// sliding window had passed it.
class KvPages {
 public:
  explicit KvPages(KvPool& pool);
  ~KvPages();
  KvPages(KvPages&& other) noexcept;
  KvPages& operator=(KvPages&&) = delete;
  KvPages(const KvPages&) = delete;

  /// Whether every layer's pages are there.
  [[nodiscard]] bool is_whole() const;
  /// Bytes of those that are there, whoever shares them.
  [[nodiscard]] uint64_t bytes() const;
  /// Gives back what layers with a sliding window hold.
  void drop_windowed();

 private:
  friend class KvSequence;
  void drop(size_t layer);

  KvPool* pool_;
  std::vector<std::byte*> keys_, values_;  // [n_layers]
};

class KvSequence {
 public:
  explicit KvSequence(KvPool& pool);
  ~KvSequence();
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&&) = delete;
  KvSequence(const KvSequence&) = delete;

  /// Pages for positions [0, n); those there stay. kExhausted, with what is in use and what is
  /// missing; the sequence is then as it was.
  Status reserve(int64_t n);
  /// Gives back pages that no query at position `next` or later can see.
  void release_passed(int64_t next);
  /// Whether queries from `position` on find all they can see.
  [[nodiscard]] bool can_resume_at(int64_t position) const;
  /// Gives all pages back.
  void clear();

  /// Page `index` of all layers, for others to hold too.
  [[nodiscard]] KvPages share(int64_t index);
  /// `pages` become the sequence's next page, which is not to be written.
  void append_shared(const KvPages& pages);
  /// A copy of `pages`, which are whole, becomes the next page. As reserve().
  Status append_copy(const KvPages& pages);
  /// `pages`, which are whole and hold the same, take the place of page `index`.
  void replace(int64_t index, const KvPages& pages);

  /// [n_layers]; holds until the next call of another function.
  [[nodiscard]] std::span<const kernels::KvView> views() const { return views_; }
  [[nodiscard]] int64_t positions() const { return n_pages_ * kernels::kKvPagePositions; }

 private:
  struct LayerPages {
    std::vector<std::byte*> keys, values;
    int64_t released = 0;  // leading pages that are null
  };
  void update_views();

  KvPool* pool_;
  std::vector<LayerPages> layers_;
  std::vector<kernels::KvView> views_;
  int64_t n_pages_ = 0;
};

}  // namespace lantern::engine
