// Whole models against transformers: the tiny models of tests/golden/models (made by
// tools/golden/models.py), from their folders and from GGUF files that another tool wrote.
//
// Logits lie within 2e-5 of their range of transformers' (its own float32 and float64 differ by
// up to 2.4e-6 on such models), and are the same bits whatever the file's form, the instruction
// set, the threads, the pieces of the prompt and the sequences beside it (invariant 3).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "arch/model.h"
#include "base/file.h"
#include "base/json.h"
#include "gate/admission.h"
#include "gate/convert.h"
#include "kernels/isa.h"
#include "kernels/ops.h"

namespace lantern {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 2e-5;

fs::path golden() { return fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models"; }

struct Case {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, n_vocab]
};

std::vector<Case> read_cases(const fs::path& folder) {
  auto text = base::read_text_file(folder / "cases.json", 1 << 20);
  auto json = base::parse_json(text.value(), "cases.json").value();
  std::vector<Case> out;
  for (const auto& entry : json["cases"]) {
    Case one{.tokens = entry["tokens"].get<std::vector<int32_t>>(), .logits = {}};
    one.logits.resize(one.tokens.size() * json["n_vocab"].get<size_t>());
    std::ifstream file(folder / entry["logits"].get<std::string>(), std::ios::binary);
    file.read(reinterpret_cast<char*>(one.logits.data()),
              static_cast<std::streamsize>(one.logits.size() * sizeof(float)));
    EXPECT_TRUE(file.good());
    out.push_back(std::move(one));
  }
  return out;
}

/// A model and what it runs on.
struct Loaded {
  std::unique_ptr<base::ThreadPool> pool;
  kernels::Context context;
  std::unique_ptr<arch::Model> model;
};

Loaded load(const fs::path& path, kernels::Isa isa = kernels::Isa::kRef, int n_threads = 1) {
  auto admitted = gate::Admission::admit(path.string());
  EXPECT_TRUE(admitted.ok()) << admitted.error().message;
  Loaded out;
  out.pool = std::make_unique<base::ThreadPool>(n_threads);
  out.context = {.isa = isa, .pool = out.pool.get()};
  auto model = arch::Model::load(admitted.value(), {.context = &out.context, .progress = {}});
  EXPECT_TRUE(model.ok()) << model.error().message;
  out.model = std::make_unique<arch::Model>(std::move(model).value());
  return out;
}

/// KV pages of one sequence, all allocated at once.
class Cache {
 public:
  Cache(const arch::ModelInfo& info, int64_t n_positions, kernels::KvType type) {
    const int64_t n_pages =
        (n_positions + kernels::kKvPagePositions - 1) / kernels::kKvPagePositions;
    pointers_.resize(2 * info.layers.size());
    for (size_t i = 0; i < info.layers.size(); ++i) {
      const auto& layer = info.layers[i];
      for (int64_t page = 0; page < n_pages; ++page) {
        pointers_[2 * i].push_back(take(type, layer.n_kv_heads, layer.head_dim));
        pointers_[2 * i + 1].push_back(take(type, layer.n_kv_heads, layer.value_dim));
      }
      views_.push_back({.type = type,
                        .n_kv_heads = layer.n_kv_heads,
                        .head_dim = layer.head_dim,
                        .value_dim = layer.value_dim,
                        .key_pages = pointers_[2 * i],
                        .value_pages = pointers_[2 * i + 1]});
    }
  }
  [[nodiscard]] std::span<const kernels::KvView> views() const { return views_; }

 private:
  std::byte* take(kernels::KvType type, int64_t n_kv_heads, int64_t dim) {
    const uint64_t bytes = kernels::kv_page_bytes(type, n_kv_heads, dim).value();
    auto* page = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    std::fill_n(page, bytes, std::byte{0});
    pages_.emplace_back(page, &std::free);
    return page;
  }

  std::vector<std::unique_ptr<std::byte, decltype(&std::free)>> pages_;
  std::vector<std::vector<std::byte*>> pointers_;
  std::vector<kernels::KvView> views_;
};

struct How {
  int64_t chunk = 1 << 20;  // tokens of the prompt a step
  int64_t n_beside = 0;     // other sequences in every step
  kernels::KvType kv = kernels::KvType::kF32;
};

/// Logits of all positions, float32 [tokens, n_vocab].
std::vector<float> run(const Loaded& loaded, const std::vector<int32_t>& tokens, How how = {}) {
  const arch::ModelInfo& info = loaded.model->info();
  const auto n = static_cast<int64_t>(tokens.size());
  std::vector<float> logits(tokens.size() * static_cast<size_t>(info.n_vocab));
  std::vector<Cache> caches;
  for (int64_t i = 0; i <= how.n_beside; ++i) caches.emplace_back(info, n, how.kv);
  std::vector<std::vector<int32_t>> prompts;  // of the others: other tokens, other lengths
  for (int64_t i = 0; i < how.n_beside; ++i) {
    prompts.emplace_back(tokens.rbegin(), tokens.rend() - i);
    std::ranges::rotate(prompts.back(), prompts.back().begin() + 1 + i);
  }
  std::vector<float> ignored(static_cast<size_t>((how.n_beside + 1) * info.n_vocab));
  arch::Workspace workspace;
  for (int64_t first = 0; first < n; first += how.chunk) {
    const int64_t count = std::min(how.chunk, n - first);
    std::vector<arch::SequenceStep> steps;
    for (int64_t i = 0; i < how.n_beside; ++i) {
      const auto& prompt = prompts[static_cast<size_t>(i)];
      const int64_t other = std::min(count, std::ssize(prompt) - first);
      if (other <= 0) continue;
      steps.push_back({.tokens = std::span(prompt).subspan(static_cast<size_t>(first),
                                                           static_cast<size_t>(other)),
                       .first_position = first,
                       .kv = caches[static_cast<size_t>(i + 1)].views(),
                       .planned_length = std::ssize(prompt),
                       .wanted = arch::LogitsWanted::kLast,
                       .logits = ignored.data() + i * info.n_vocab});
    }
    auto own = steps.size() / 2;
    steps.insert(steps.begin() + static_cast<int64_t>(own),
                 {.tokens = std::span(tokens).subspan(static_cast<size_t>(first),
                                                      static_cast<size_t>(count)),
                  .first_position = first,
                  .kv = caches[0].views(),
                  .planned_length = n,
                  .wanted = arch::LogitsWanted::kAll,
                  .logits = logits.data() + first * info.n_vocab});
    Status status = loaded.model->forward(loaded.context, steps, workspace);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  return logits;
}

/// The largest difference as a part of the expected logits' range.
double deviation(const std::vector<float>& got, const std::vector<float>& expected) {
  auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(double{got[i]} - double{expected[i]}));
  return worst / (double{high} - double{low});
}

std::vector<std::string> model_names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden()))
    if (entry.is_directory()) out.push_back(entry.path().filename().string());
  std::ranges::sort(out);
  return out;
}

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = golden() / GetParam();
    home_ = fs::temp_directory_path() /
            ("lantern-golden-" + GetParam() + "-" + std::to_string(::getpid()));
    fs::create_directories(home_);
    setenv("LANTERN_HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("LANTERN_HOME");
    fs::remove_all(home_);
  }

  fs::path folder_;
  fs::path home_;
};

TEST_P(GoldenModel, AgreesWithTransformersFromFolderAndGguf) {
  const Loaded hf = load(folder_);
  const bool has_gguf = fs::exists(folder_ / "model.gguf");  // not of multimodal folders
  const Loaded gguf = has_gguf ? load(folder_ / "model.gguf") : load(folder_);
  EXPECT_EQ(hf.model->info().notices.empty(), has_gguf);
  for (const Case& one : read_cases(folder_)) {
    const std::vector<float> from_hf = run(hf, one.tokens);
    ASSERT_EQ(from_hf.size(), one.logits.size());
    const double worst = deviation(from_hf, one.logits);
    EXPECT_LT(worst, kTolerance);
    RecordProperty("deviation", std::to_string(worst));
    std::printf("  %-22s %zu tokens: %.2e of the range\n", GetParam().c_str(), one.tokens.size(),
                worst);
    EXPECT_EQ(from_hf, run(gguf, one.tokens)) << "folder and GGUF differ in bits";
  }
}

TEST_P(GoldenModel, ReadsTheConfigOfTransformers4) {
  const fs::path old = home_ / "v4";
  fs::create_directories(old);
  fs::copy_file(folder_ / "config.v4.json", old / "config.json");
  fs::copy_file(folder_ / "model.safetensors", old / "model.safetensors");
  const Loaded is = load(old);
  const Loaded should = load(folder_);
  for (const Case& one : read_cases(folder_))
    EXPECT_EQ(run(is, one.tokens), run(should, one.tokens));
}

TEST_P(GoldenModel, ConvertsToGgufOfTheSameBits) {
  const fs::path file = home_ / "converted.gguf";
  auto converted = gate::convert(folder_.string(), file, {});
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  const Loaded is = load(file);
  const Loaded should = load(folder_);
  EXPECT_THAT(is.model->info().notices, testing::IsEmpty());
  for (const Case& one : read_cases(folder_))
    EXPECT_EQ(run(is, one.tokens), run(should, one.tokens));
}

TEST_P(GoldenModel, GivesTheSameBitsHoweverItIsRun) {
  const Case one = read_cases(folder_).back();
  for (kernels::KvType kv : {kernels::KvType::kF32, kernels::KvType::kF16}) {
    const Loaded reference = load(folder_);
    const std::vector<float> expected = run(reference, one.tokens, {.kv = kv});
    for (int64_t chunk : {1, 7, 16})
      EXPECT_EQ(run(reference, one.tokens, {.chunk = chunk, .kv = kv}), expected) << chunk;
    EXPECT_EQ(run(reference, one.tokens, {.chunk = 11, .n_beside = 3, .kv = kv}), expected);
    for (kernels::Isa isa :
         {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
      if (!kernels::isa_supported(isa)) continue;
      for (int n_threads = 1; n_threads <= 4; ++n_threads) {
        const Loaded other = load(folder_, isa, n_threads);
        EXPECT_EQ(run(other, one.tokens, {.chunk = 13, .n_beside = n_threads - 1, .kv = kv}),
                  expected)
            << kernels::isa_name(isa) << ", " << n_threads << " threads";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(model_names()),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace lantern
