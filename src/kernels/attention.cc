// Attention over the paged KV cache: cuts the batch into tiles (attention_kernels.h), hands them to
// threads and merges blocks in the order of positions.
//
// In prefill a tile is as many queries as pay for widening a block's keys and values to float32. In
// decode there may be fewer tiles than threads; then a tile's blocks are shared out, every block's
// partial result is kept, and whoever finishes a tile's last block merges them in order. The bits
// are those of one thread going through the blocks, since a block's result depends on its row
// alone.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace lantern::kernels {
namespace {

// Rows of a full tile: widening a block costs the same as about 4 rows' products, so 64 rows bring
// it to a sixteenth, and their queries and outputs (2 x 16 KB at 64 dimensions) stay in L2.
constexpr int64_t kTileRows = 64;
// Rows that a tile keeps when tiles are made smaller to occupy all threads.
constexpr int64_t kMinTileRows = 16;
// Items of work that keep threads evenly busy.
constexpr int64_t kItemsPerThread = 4;
// One thread does so many multiply-adds in about 6 us, and two with a region's 2 us no faster.
constexpr int64_t kMultiplyAddsAlone = 192 * 1024;

constexpr int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Queries [first_query, first_query + n_queries) of one sequence, all heads of one KV head.
struct Tile {
  const AttentionSequence* sequence;
  int64_t kv_head;
  int64_t first_query;
  int64_t n_queries;
  int64_t first_block;
  int64_t end_block;
  int64_t first_partial = 0;  // where its blocks' partial results begin, in partials
};

/// Blocks of one tile, done by one thread.
struct Item {
  int64_t tile;
  int64_t first_block;
  int64_t end_block;
};

int64_t first_visible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
}

class AttentionRun {
 public:
  AttentionRun(const Context& context, const AttentionShape& shape,
               std::span<const AttentionSequence> sequences)
      : kernels_(attention_kernels(context.isa)),
        pool_(context.pool),
        n_threads_(context.pool != nullptr ? context.pool->n_threads() : 1),
        shape_(shape),
        sequences_(sequences) {}

  void run() {
    plan_tiles();
    if (tiles_.empty()) return;
    plan_items();
    allocate();
    std::atomic<int64_t> next{0};
    auto work = [&](int thread) {
      for (;;) {
        int64_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i >= static_cast<int64_t>(items_.size())) return;
        run_item(items_[static_cast<size_t>(i)], thread);
      }
    };
    if (pool_ == nullptr) {
      work(0);
    } else if (n_threads_ == 1) {
      pool_->parallel_for(1, 1, [&](int64_t, int64_t) { work(0); });
    } else {
      pool_->run(work);
    }
  }

 private:
  /// One thread's working memory.
  struct Scratch {
    float* q;
    float* kernel;
    AttentionPartial running;
    AttentionPartial block;
  };

  /// The position after the last that the query at `position` sees.
  int64_t end_visible(const AttentionSequence& s, int64_t position) const {
    return shape_.mask == AttentionMask::kCausal ? position + 1 : s.first_position + s.n_tokens;
  }

  int64_t group(const AttentionSequence& s) const { return shape_.n_heads / s.kv.n_kv_heads; }

  void plan_tiles() {
    int64_t rows = kTileRows;
    do {
      tiles_.clear();
      for (const AttentionSequence& s : sequences_) add_tiles(s, rows);
      rows /= 2;
    } while (n_threads_ > 1 && rows >= kMinTileRows &&
             static_cast<int64_t>(tiles_.size()) < kItemsPerThread * n_threads_);
    int64_t multiply_adds = 0;
    for (const Tile& t : tiles_)
      multiply_adds += t.n_queries * group(*t.sequence) * (t.end_block - t.first_block) *
                       kKvPagePositions * (t.sequence->kv.head_dim + t.sequence->kv.value_dim);
    if (multiply_adds <= kMultiplyAddsAlone) n_threads_ = 1;
  }

  void add_tiles(const AttentionSequence& s, int64_t rows) {
    LANTERN_CHECK(s.kv.n_kv_heads > 0 && shape_.n_heads % s.kv.n_kv_heads == 0);
    int64_t queries = std::max<int64_t>(1, rows / group(s));
    for (int64_t first = 0; first < s.n_tokens; first += queries) {
      int64_t n = std::min(queries, s.n_tokens - first);
      int64_t position = s.first_position + first;
      Tile tile{.sequence = &s,
                .kv_head = 0,
                .first_query = first,
                .n_queries = n,
                .first_block = first_visible(shape_, position) / kKvPagePositions,
                .end_block = div_up(end_visible(s, position + n - 1), kKvPagePositions)};
      for (; tile.kv_head < s.kv.n_kv_heads; ++tile.kv_head) tiles_.push_back(tile);
    }
  }

  void plan_items() {
    auto n_tiles = static_cast<int64_t>(tiles_.size());
    int64_t pieces = n_threads_ == 1 ? 1 : div_up(kItemsPerThread * n_threads_, n_tiles);
    for (int64_t i = 0; i < n_tiles; ++i) {
      Tile& t = tiles_[static_cast<size_t>(i)];
      int64_t n_blocks = t.end_block - t.first_block;
      int64_t piece = div_up(n_blocks, std::min(pieces, n_blocks));
      t.first_partial = n_partials_;
      if (piece < n_blocks) n_partials_ += n_blocks;
      for (int64_t b = t.first_block; b < t.end_block; b += piece)
        items_.push_back({i, b, std::min(b + piece, t.end_block)});
    }
    // Tiles that lie deepest have most blocks; started first, they do not end last.
    std::stable_sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
      return a.end_block - a.first_block > b.end_block - b.first_block;
    });
    if (n_partials_ > 0) {
      remaining_ = std::make_unique<std::atomic<int64_t>[]>(tiles_.size());
      for (size_t i = 0; i < tiles_.size(); ++i)
        remaining_[i].store(tiles_[i].end_block - tiles_[i].first_block, std::memory_order_relaxed);
    }
  }

  void allocate() {
    for (const Tile& t : tiles_) {
      const KvView& kv = t.sequence->kv;
      max_rows_ = std::max(max_rows_, t.n_queries * group(*t.sequence));
      head_dim_ = std::max(head_dim_, round_up_to_lanes(kv.head_dim));
      value_dim_ = std::max(value_dim_, round_up_to_lanes(kv.value_dim));
    }
    query_floats_ = div_up(max_rows_, kTileRowGroup) * kTileRowGroup * head_dim_;
    partial_floats_ = round_up_to_lanes(max_rows_) * 2 + max_rows_ * value_dim_;
    scratch_floats_ =
        query_floats_ + attention_scratch_floats(head_dim_, value_dim_) + 2 * partial_floats_;
    int64_t n = n_threads_ * scratch_floats_ + n_partials_ * partial_floats_ + kLanes;
    memory_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(n));
    void* start = memory_.get();
    size_t space = static_cast<size_t>(n) * sizeof(float);
    start_ = static_cast<float*>(std::align(64, space - 64, start, space));
  }

  AttentionPartial partial(float* p) const {
    int64_t rows = round_up_to_lanes(max_rows_);
    return {.maximum = p, .sum = p + rows, .output = p + 2 * rows};
  }
  Scratch scratch(int thread) const {
    float* p = start_ + thread * scratch_floats_;
    float* kernel = p + query_floats_;
    float* running = kernel + attention_scratch_floats(head_dim_, value_dim_);
    return {.q = p,
            .kernel = kernel,
            .running = partial(running),
            .block = partial(running + partial_floats_)};
  }
  AttentionPartial stored_partial(const Tile& t, int64_t block) const {
    return partial(start_ + n_threads_ * scratch_floats_ +
                   (t.first_partial + block - t.first_block) * partial_floats_);
  }

  RowLimits limits(const Tile& t, int64_t row, int64_t block) const {
    int64_t position = t.sequence->first_position + t.first_query + row / group(*t.sequence);
    int64_t start = block * kKvPagePositions;
    auto clamp = [&](int64_t p) {
      return static_cast<int32_t>(std::clamp<int64_t>(p - start, 0, kKvPagePositions));
    };
    return {.low = clamp(first_visible(shape_, position)),
            .high = clamp(end_visible(*t.sequence, position))};
  }

  int64_t n_rows(const Tile& t) const { return t.n_queries * group(*t.sequence); }

  AttentionTile pack(const Tile& t, const Scratch& s) const {
    const KvView& kv = t.sequence->kv;
    int64_t g = group(*t.sequence);
    for (int64_t first = 0; first < n_rows(t); first += kTileRowGroup) {
      const float* rows[kTileRowGroup];
      for (int64_t i = 0; i < kTileRowGroup; ++i) {
        // A last group that is not full repeats the last row; nobody reads its results.
        int64_t r = std::min(first + i, n_rows(t) - 1);
        rows[i] = t.sequence->q + (t.first_query + r / g) * shape_.q_stride +
                  (t.kv_head * g + r % g) * kv.head_dim;
      }
      kernels_.pack_queries(kv.head_dim, rows, s.q + first * kv.head_dim);
    }
    return {.n_rows = n_rows(t),
            .head_dim = kv.head_dim,
            .value_dim = kv.value_dim,
            .type = kv.type,
            .scale = shape_.scale,
            .softcap = shape_.softcap,
            .q = s.q,
            .scratch = s.kernel};
  }

  /// The tile's head in a block; null pointers from `end` on.
  KvBlock kv_block(const Tile& t, int64_t block, int64_t end) const {
    if (block >= end) return {.keys = nullptr, .values = nullptr};
    const KvView& kv = t.sequence->kv;
    auto page = static_cast<size_t>(block);
    auto head = [&](std::byte* p, int64_t dim) {
      return reinterpret_cast<const uint8_t*>(p) + t.kv_head * kv_head_bytes(kv.type, dim);
    };
    return {.keys = head(kv.key_pages[page], kv.head_dim),
            .values = head(kv.value_pages[page], kv.value_dim)};
  }

  void finish(const Tile& t, const AttentionPartial& running) const {
    const KvView& kv = t.sequence->kv;
    int64_t g = group(*t.sequence);
    for (int64_t r = 0; r < n_rows(t); ++r) {
      float* out = t.sequence->out + (t.first_query + r / g) * shape_.out_stride +
                   (t.kv_head * g + r % g) * kv.value_dim;
      kernels_.finish(kv.value_dim, running.sum[r],
                      running.output + r * round_up_to_lanes(kv.value_dim), out);
    }
  }

  void run_item(const Item& item, int thread) {
    const Tile& t = tiles_[static_cast<size_t>(item.tile)];
    Scratch s = scratch(thread);
    AttentionTile tile = pack(t, s);
    std::vector<RowLimits> row_limits(static_cast<size_t>(tile.n_rows));
    std::fill_n(s.running.sum, tile.n_rows, 0.0f);
    bool whole = item.first_block == t.first_block && item.end_block == t.end_block;
    for (int64_t b = item.first_block; b < item.end_block; ++b) {
      AttentionPartial out = whole ? s.block : stored_partial(t, b);
      for (int64_t r = 0; r < tile.n_rows; ++r)
        row_limits[static_cast<size_t>(r)] = limits(t, r, b);
      kernels_.block(tile, kv_block(t, b, item.end_block), kv_block(t, b + 1, item.end_block),
                     row_limits.data(), out);
      if (whole) kernels_.merge(tile.n_rows, tile.value_dim, row_limits.data(), s.running, out);
    }
    if (!whole) {
      int64_t done = item.end_block - item.first_block;
      auto& remaining = remaining_[static_cast<size_t>(item.tile)];
      if (remaining.fetch_sub(done, std::memory_order_acq_rel) != done) return;
      for (int64_t b = t.first_block; b < t.end_block; ++b) {
        for (int64_t r = 0; r < tile.n_rows; ++r)
          row_limits[static_cast<size_t>(r)] = limits(t, r, b);
        kernels_.merge(tile.n_rows, tile.value_dim, row_limits.data(), s.running,
                       stored_partial(t, b));
      }
    }
    finish(t, s.running);
  }

  const AttentionKernels& kernels_;
  base::ThreadPool* pool_;
  int n_threads_;
  const AttentionShape& shape_;
  std::span<const AttentionSequence> sequences_;
  std::vector<Tile> tiles_;
  std::vector<Item> items_;
  std::unique_ptr<std::atomic<int64_t>[]> remaining_;  // blocks to do, by tile
  int64_t n_partials_ = 0;
  int64_t max_rows_ = 0;
  int64_t head_dim_ = 0;
  int64_t value_dim_ = 0;
  int64_t query_floats_ = 0;
  int64_t partial_floats_ = 0;
  int64_t scratch_floats_ = 0;
  std::unique_ptr<float[]> memory_;
  float* start_ = nullptr;
};

}  // namespace

void attention(const Context& context, AttentionShape shape,
               std::span<const AttentionSequence> sequences) {
  AttentionRun(context, shape, sequences).run();
}

}  // namespace lantern::kernels
