#include "kernels/huge_buffer.h"

#include <sys/mman.h>

namespace lantern::kernels {
namespace {

constexpr uint64_t kPageBytes = 4096;
// Below this a huge page would waste more memory than its translations save.
constexpr uint64_t kHugeFromBytes = uint64_t{1} << 20;

}  // namespace

Status HugeBuffer::allocate(uint64_t bytes) {
  release();
  if (bytes == 0) return {};
  if (bytes > (uint64_t{1} << 60))
    return make_error(ErrorCode::kExhausted, "{} bytes of memory are more than any machine has",
                      bytes);
  const uint64_t capacity = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  void* memory =
      mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return make_error(ErrorCode::kExhausted, "no memory for {} bytes; choose a smaller model",
                      capacity);
  // Advice: without huge pages all works, slower.
  if (capacity >= kHugeFromBytes) (void)madvise(memory, capacity, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(memory);
  capacity_ = capacity;
  return {};
}

void HugeBuffer::release() {
  if (data_ != nullptr) (void)munmap(data_, capacity_);
  data_ = nullptr;
  capacity_ = 0;
}

}  // namespace lantern::kernels
