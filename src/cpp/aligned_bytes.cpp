#include "aligned_bytes.h"

#include <algorithm>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace refine_itr {
namespace {

constexpr std::size_t kHugePage = 2 << 20;

}  // namespace

AlignedBytes aligned_bytes(std::size_t size) {
  // A product reads a whole matrix of weights again and again: in pages of 4 KiB its addresses do
  // not fit into the processor's tables.
  const std::size_t alignment = size >= kHugePage ? kHugePage : kCacheLine;
  const std::size_t whole = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  if (whole < size) throw std::bad_alloc();
  AlignedBytes bytes(static_cast<std::byte*>(std::aligned_alloc(alignment, whole)));
  if (bytes == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // A system without them refuses, which changes nothing but the speed.
  if (alignment == kHugePage) static_cast<void>(madvise(bytes.get(), whole, MADV_HUGEPAGE));
#endif
  return bytes;
}

}  // namespace refine_itr
