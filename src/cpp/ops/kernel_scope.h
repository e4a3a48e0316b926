// What the kernels of a product need of the processor's state, on this thread.
#pragma once

#include "isa/table.h"

namespace refine_itr {

class KernelScope {
 public:
  KernelScope(const KernelTable& table, Precision precision) noexcept
      : leave_(precision != Precision::fp32 ? table.leave : nullptr) {
    if (leave_ != nullptr) table.enter();
  }
  ~KernelScope() {
    if (leave_ != nullptr) leave_();
  }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  void (*leave_)() noexcept;
};

}  // namespace refine_itr
