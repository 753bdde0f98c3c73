#include "engine/kv_cache.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/progress.h"

namespace lantern::engine {
namespace {

// A cache line, and what every instruction set's loads want.
constexpr uint64_t kPageAlignment = 64;

// Stands before each page, in a cache line of its own.
struct PageHeader {
  uint64_t holders = 0;
};
static_assert(sizeof(PageHeader) <= kPageAlignment);

PageHeader& header(std::byte* page) {
  return *reinterpret_cast<PageHeader*>(page - kPageAlignment);
}

uint64_t pages_for(int64_t n) {
  return static_cast<uint64_t>((n + kernels::kKvPagePositions - 1) / kernels::kKvPagePositions);
}

}  // namespace

void KvPool::Free::operator()(std::byte* page) const { std::free(page - kPageAlignment); }

Result<KvPool> KvPool::create(std::span<const arch::ModelInfo::Layer> layers, Options options) {
  KvPool pool(layers, std::move(options));
  for (const auto& layer : layers) {
    LANTERN_ASSIGN(uint64_t keys,
                   kernels::kv_page_bytes(pool.type(), layer.n_kv_heads, layer.head_dim));
    LANTERN_ASSIGN(uint64_t values,
                   kernels::kv_page_bytes(pool.type(), layer.n_kv_heads, layer.value_dim));
    auto aligned = [](uint64_t bytes) {
      return (bytes + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
    };
    pool.layer_bytes_.push_back({aligned(keys), aligned(values)});
  }
  return pool;
}

KvPool::~KvPool() = default;

uint64_t KvPool::bytes_for(int64_t n) const {
  uint64_t bytes = 0;
  for (size_t l = 0; l < layers_.size(); ++l) {
    uint64_t pages = pages_for(n);
    // The window, the chunk that is being run, and what release_passed() keeps beside them.
    if (layers_[l].window > 0)
      pages = std::min(pages, pages_for(layers_[l].window) + pages_for(kUsualChunk) + 2);
    bytes += pages * (layer_bytes_[l].key_page + layer_bytes_[l].value_page);
  }
  return bytes;
}

Error KvPool::exhausted(uint64_t bytes) const {
  return make_error(ErrorCode::kExhausted,
                    "KV cache: {} more do not fit beside the {} in use (limit {}); a smaller "
                    "--context or --kv q8_0 needs less",
                    base::format_bytes(bytes), base::format_bytes(bytes_in_use_),
                    base::format_bytes(options_.bytes_max));
}

/// Beside what it holds.
uint64_t KvPool::machine_gives() const {
  if (!options_.machine_left) return UINT64_MAX;
  const uint64_t left = options_.machine_left();
  return left - std::min(left, kMachineLeast);
}

Status KvPool::ask_machine(uint64_t bytes) {
  if (!options_.machine_left || bytes_held_ + bytes <= bytes_granted_) return {};
  const uint64_t given = machine_gives();
  if (given < bytes)
    return make_error(ErrorCode::kExhausted,
                      "KV cache: {} more do not fit the {} that this machine has left for it; "
                      "shorter conversations, fewer at once or --kv q8_0 need less",
                      base::format_bytes(bytes), base::format_bytes(given));
  bytes_granted_ = bytes_held_ + std::max(bytes, std::min(given, kAskAnew));
  return {};
}

bool KvPool::may_hold(uint64_t bytes) const {
  if (bytes > options_.bytes_max) return false;
  return bytes <= std::max(bytes_held_, bytes_granted_) || bytes - bytes_held_ <= machine_gives();
}

uint64_t KvPool::release_kept() {
  uint64_t bytes = 0;
  for (const auto& [size, pages] : kept_) bytes += size * pages.size();
  kept_.clear();
  bytes_held_ -= bytes;
  bytes_granted_ = 0;
  return bytes;
}

Result<std::byte*> KvPool::take(uint64_t bytes) {
  Page page;
  auto& kept = kept_[bytes];
  if (!kept.empty()) {
    page = std::move(kept.back());
    kept.pop_back();
  } else {
    if (bytes > options_.bytes_max || bytes_held_ > options_.bytes_max - bytes)
      return exhausted(bytes);
    LANTERN_TRY(ask_machine(bytes));
    void* memory = std::aligned_alloc(kPageAlignment, kPageAlignment + bytes);
    if (memory == nullptr) return exhausted(bytes);
    page.reset(static_cast<std::byte*>(memory) + kPageAlignment);
    bytes_held_ += bytes;
  }
  std::memset(page.get(), 0, bytes);
  header(page.get()).holders = 1;
  bytes_in_use_ += bytes;
  return page.release();
}

std::byte* KvPool::share(std::byte* page) {
  if (page != nullptr) ++header(page).holders;
  return page;
}

void KvPool::give_back(std::byte* page, uint64_t bytes) {
  if (page == nullptr || --header(page).holders > 0) return;
  kept_[bytes].emplace_back(page);
  bytes_in_use_ -= bytes;
}

KvSequence::KvSequence(KvPool& pool) : pool_(&pool), layers_(pool.layers_.size()) {
  for (const auto& layer : pool.layers_)
    views_.push_back({.type = pool.type(),
                      .n_kv_heads = layer.n_kv_heads,
                      .head_dim = layer.head_dim,
                      .value_dim = layer.value_dim,
                      .key_pages = {},
                      .value_pages = {}});
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      layers_(std::move(other.layers_)),
      views_(std::move(other.views_)),
      n_pages_(std::exchange(other.n_pages_, 0)) {
  other.layers_.clear();
  other.views_.clear();
}

KvSequence::~KvSequence() { clear(); }

Status KvSequence::reserve(int64_t n) {
  const auto wanted = static_cast<int64_t>(pages_for(n));
  const int64_t before = n_pages_;
  auto grow = [&]() -> Status {
    for (; n_pages_ < wanted; ++n_pages_) {
      for (size_t l = 0; l < layers_.size(); ++l) {
        const auto& bytes = pool_->layer_bytes_[l];
        LANTERN_ASSIGN(std::byte * key, pool_->take(bytes.key_page));
        layers_[l].keys.push_back(key);
        LANTERN_ASSIGN(std::byte * value, pool_->take(bytes.value_page));
        layers_[l].values.push_back(value);
      }
    }
    return {};
  };
  auto status = grow();
  if (!status.ok()) {
    for (size_t l = 0; l < layers_.size(); ++l) {
      auto shrink = [&](std::vector<std::byte*>& pages, uint64_t bytes) {
        for (; pages.size() > static_cast<size_t>(before); pages.pop_back())
          pool_->give_back(pages.back(), bytes);
      };
      shrink(layers_[l].keys, pool_->layer_bytes_[l].key_page);
      shrink(layers_[l].values, pool_->layer_bytes_[l].value_page);
    }
    n_pages_ = before;
  }
  update_views();
  return status;
}

void KvSequence::release_passed(int64_t next) {
  for (size_t l = 0; l < layers_.size(); ++l) {
    const int64_t window = pool_->layers_[l].window;
    if (window <= 0) continue;
    // The query at `next` sees keys from next - window + 1 on; one page more is kept.
    const int64_t first_page = (next - window + 1) / kernels::kKvPagePositions - 1;
    auto& pages = layers_[l];
    for (; pages.released < std::min(first_page, n_pages_); ++pages.released) {
      const auto i = static_cast<size_t>(pages.released);
      pool_->give_back(std::exchange(pages.keys[i], nullptr), pool_->layer_bytes_[l].key_page);
      pool_->give_back(std::exchange(pages.values[i], nullptr), pool_->layer_bytes_[l].value_page);
    }
  }
}

bool KvSequence::can_resume_at(int64_t position) const {
  for (size_t l = 0; l < layers_.size(); ++l) {
    const int64_t first_seen = position - pool_->layers_[l].window + 1;
    if (layers_[l].released > 0 && first_seen < layers_[l].released * kernels::kKvPagePositions)
      return false;
  }
  return true;
}

void KvSequence::clear() {
  for (size_t l = 0; l < layers_.size(); ++l) {
    for (std::byte* page : layers_[l].keys) pool_->give_back(page, pool_->layer_bytes_[l].key_page);
    for (std::byte* page : layers_[l].values)
      pool_->give_back(page, pool_->layer_bytes_[l].value_page);
    layers_[l] = {};
  }
  n_pages_ = 0;
  update_views();
}

KvPages KvSequence::share(int64_t index) {
  KvPages pages(*pool_);
  const auto i = static_cast<size_t>(index);
  for (size_t l = 0; l < layers_.size(); ++l) {
    pages.keys_[l] = KvPool::share(layers_[l].keys[i]);
    pages.values_[l] = KvPool::share(layers_[l].values[i]);
  }
  return pages;
}

void KvSequence::append_shared(const KvPages& pages) {
  ++n_pages_;
  for (size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].keys.push_back(KvPool::share(pages.keys_[l]));
    layers_[l].values.push_back(KvPool::share(pages.values_[l]));
    if (pages.keys_[l] != nullptr) continue;
    // What lies before a gap is of no use.
    auto& [keys, values, released] = layers_[l];
    for (; released < n_pages_; ++released) {
      const auto i = static_cast<size_t>(released);
      pool_->give_back(std::exchange(keys[i], nullptr), pool_->layer_bytes_[l].key_page);
      pool_->give_back(std::exchange(values[i], nullptr), pool_->layer_bytes_[l].value_page);
    }
  }
  update_views();
}

Status KvSequence::append_copy(const KvPages& pages) {
  const auto i = static_cast<size_t>(n_pages_);
  LANTERN_TRY(reserve((n_pages_ + 1) * kernels::kKvPagePositions));
  for (size_t l = 0; l < layers_.size(); ++l) {
    std::memcpy(layers_[l].keys[i], pages.keys_[l], pool_->layer_bytes_[l].key_page);
    std::memcpy(layers_[l].values[i], pages.values_[l], pool_->layer_bytes_[l].value_page);
  }
  return {};
}

void KvSequence::replace(int64_t index, const KvPages& pages) {
  const auto i = static_cast<size_t>(index);
  for (size_t l = 0; l < layers_.size(); ++l) {
    auto& [keys, values, released] = layers_[l];
    if (index < released) continue;
    pool_->give_back(std::exchange(keys[i], KvPool::share(pages.keys_[l])),
                     pool_->layer_bytes_[l].key_page);
    pool_->give_back(std::exchange(values[i], KvPool::share(pages.values_[l])),
                     pool_->layer_bytes_[l].value_page);
  }
  update_views();
}

KvPages::KvPages(KvPool& pool)
    : pool_(&pool), keys_(pool.layers_.size()), values_(pool.layers_.size()) {}

KvPages::KvPages(KvPages&& other) noexcept
    : pool_(other.pool_),
      keys_(std::exchange(other.keys_, {})),
      values_(std::exchange(other.values_, {})) {}

KvPages::~KvPages() {
  for (size_t l = 0; l < keys_.size(); ++l) drop(l);
}

void KvPages::drop(size_t layer) {
  const auto& bytes = pool_->layer_bytes_[layer];
  pool_->give_back(std::exchange(keys_[layer], nullptr), bytes.key_page);
  pool_->give_back(std::exchange(values_[layer], nullptr), bytes.value_page);
}

bool KvPages::is_whole() const {
  return std::ranges::none_of(keys_, [](const std::byte* page) { return page == nullptr; });
}

uint64_t KvPages::bytes() const {
  uint64_t bytes = 0;
  for (size_t l = 0; l < keys_.size(); ++l)
    if (keys_[l] != nullptr)
      bytes += pool_->layer_bytes_[l].key_page + pool_->layer_bytes_[l].value_page;
  return bytes;
}

void KvPages::drop_windowed() {
  for (size_t l = 0; l < keys_.size(); ++l)
    if (pool_->layers_[l].window > 0) drop(l);
}

void KvSequence::update_views() {
  for (size_t l = 0; l < layers_.size(); ++l) {
    views_[l].key_pages = layers_[l].keys;
    views_[l].value_pages = layers_[l].values;
  }
}

}  // namespace lantern::engine
