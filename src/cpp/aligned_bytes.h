// Memory for the numbers of kernels.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace refine_itr {

constexpr std::size_t kCacheLine = 64;

struct Free {
  void operator()(std::byte* p) const noexcept { std::free(p); }
};

using AlignedBytes = std::unique_ptr<std::byte[], Free>;

// Uninitialised, aligned to a cache line; in huge pages where it is large and the system has them.
// Throws std::bad_alloc.
AlignedBytes aligned_bytes(std::size_t size);

}  // namespace refine_itr
