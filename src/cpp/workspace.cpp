#include "workspace.h"

#include <algorithm>

namespace refine_itr {
namespace {

constexpr std::size_t kLeastBlock = 64 << 10;

}  // namespace

std::size_t Workspace::nbytes() const noexcept {
  std::size_t total = 0;
  for (const Block& block : blocks_) total += block.size;
  return total;
}

std::byte* Workspace::take(std::size_t size) {
  size = (size + kCacheLine - 1) / kCacheLine * kCacheLine;
  while (position_.block < blocks_.size() &&
         position_.used + size > blocks_[position_.block].size) {
    position_ = {position_.block + 1, 0, position_.in_use};
  }
  if (position_.block == blocks_.size()) {
    // Earlier blocks hold what callers further up still use: they must not move.
    const std::size_t grown = std::max(size, kLeastBlock);
    blocks_.push_back({aligned_bytes(grown), grown});
  }
  std::byte* start = blocks_[position_.block].memory.get() + position_.used;
  position_.used += size;
  position_.in_use += size;
  peak_ = std::max(peak_, position_.in_use);
  return start;
}

void Workspace::merge_blocks() {
  blocks_.clear();
  blocks_.push_back({aligned_bytes(peak_), peak_});
}

WorkspaceScope::WorkspaceScope(Workspace& workspace)
    : workspace_(workspace), start_(workspace.position_) {
  if (start_.in_use == 0 && workspace.blocks_.size() > 1) workspace.merge_blocks();
}

}  // namespace refine_itr
