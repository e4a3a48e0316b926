// A workspace as Python holds it: one call at a time.
#pragma once

#include <atomic>
#include <stdexcept>

#include "workspace.h"

namespace refine_itr::bindings {

struct SharedWorkspace {
  Workspace workspace;
  std::atomic<bool> busy{false};
};

// Holds the workspace for one call. With the GIL released a second thread could come by: it gets a
// RuntimeError instead of the first one's memory.
class WorkspaceLease {
 public:
  explicit WorkspaceLease(SharedWorkspace& shared) : shared_(shared) {
    if (shared_.busy.exchange(true, std::memory_order_acquire)) {
      throw std::runtime_error("workspace: in use by another call; give each thread its own");
    }
  }
  ~WorkspaceLease() { shared_.busy.store(false, std::memory_order_release); }
  WorkspaceLease(const WorkspaceLease&) = delete;
  WorkspaceLease& operator=(const WorkspaceLease&) = delete;

  Workspace& operator*() const { return shared_.workspace; }

 private:
  SharedWorkspace& shared_;
};

}  // namespace refine_itr::bindings
