// Memory that calls reuse: it grows to the largest call's need and stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aligned_bytes.h"
#include "isa/table.h"
#include "matrix_view.h"

namespace refine_itr {

// Not for two calls at a time. Use it through WorkspaceScope.
class Workspace {
 public:
  std::size_t nbytes() const noexcept;

 private:
  friend class WorkspaceScope;

  struct Block {
    AlignedBytes memory;
    std::size_t size;
  };
  struct Position {
    std::size_t block;
    std::size_t used;    // of this block
    std::size_t in_use;  // of all
  };

  std::byte* take(std::size_t size);
  void merge_blocks();

  std::vector<Block> blocks_;  // more than one only until the next call after one that grew it
  Position position_{0, 0, 0};
  std::size_t peak_ = 0;  // most in use at once
};

// What is taken in a scope is free again at its end. Scopes nest as calls do.
class WorkspaceScope {
 public:
  explicit WorkspaceScope(Workspace& workspace);
  ~WorkspaceScope() { workspace_.position_ = start_; }
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

  // `count` elements, uninitialised, aligned to a cache line. Throws std::bad_alloc: call it
  // outside parallel regions.
  template <class T>
  T* take(std::int64_t count) {
    return reinterpret_cast<T*>(workspace_.take(static_cast<std::size_t>(count) * sizeof(T)));
  }

 private:
  Workspace& workspace_;
  Workspace::Position start_;
};

// From one row of `cols` floats to the next: an odd number of cache lines, as rows a power of two
// apart would all fall on the same cache sets.
inline std::int64_t spread_stride(std::int64_t cols) {
  return (ceil_div(cols, kLineWords) | 1) * kLineWords;
}

// Uninitialised memory, rows `spread_stride` apart.
inline Batch take_batch(WorkspaceScope& scope, std::int64_t batch, std::int64_t rows,
                        std::int64_t cols) {
  const std::int64_t stride = spread_stride(cols);
  return {scope.take<float>(batch * rows * stride), batch, rows, cols, stride};
}

}  // namespace refine_itr
