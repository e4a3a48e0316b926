// The native module, refine_itr._core. Its Python face is src/refine_itr/_core.pyi.
#include "register.h"

PYBIND11_MODULE(_core, m) {
  using namespace refine_itr::bindings;
  m.doc() = "Kernels and encoders of Refine-ITR: float32, C-contiguous arrays, GIL released.";
  register_isa(m);             // isa, available_isas, force_isa, max_threads
  register_weights(m);         // PackedMatrix, PackedGates, Workspace
  register_linear(m);          // linear
  register_l2norm(m);          // l2norm
  register_graph(m);           // light_gcn[_folded], vsrn_gcn[_folded]
  register_gru(m);             // gru
  register_top_k(m);           // top_k, NarrowGallery
  register_nms(m);             // nms
  register_select_regions(m);  // select_regions
  register_limits(m);          // multiply_adds, read_memory
  register_encoders(m);        // LightGcnLayer, VsrnGcnLayer, ImageEncoder, TextEncoder
}
