// What module.cpp calls: one function for each file of bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace refine_itr::bindings {

void register_isa(pybind11::module_& m);
void register_weights(pybind11::module_& m);
void register_linear(pybind11::module_& m);
void register_l2norm(pybind11::module_& m);
void register_graph(pybind11::module_& m);
void register_gru(pybind11::module_& m);
void register_top_k(pybind11::module_& m);
void register_nms(pybind11::module_& m);
void register_select_regions(pybind11::module_& m);
void register_limits(pybind11::module_& m);
void register_encoders(pybind11::module_& m);

}  // namespace refine_itr::bindings
