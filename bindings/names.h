// The words that name options -> enums.
#pragma once

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "encoders/image_encoder.h"
#include "isa/table.h"
#include "ops/gru.h"
#include "ops/l2norm.h"

namespace refine_itr::bindings {

template <class Value>
Value find_named(const char* option, const std::string& name,
                 std::initializer_list<std::pair<const char*, Value>> choices) {
  std::string accepted;
  for (const auto& [choice, value] : choices) {
    if (name == choice) return value;
    accepted += (accepted.empty() ? "" : ", ") + std::string(choice);
  }
  throw pybind11::value_error(std::string(option) + ": expected one of " + accepted + "; got '" +
                              name + "'");
}

inline Precision precision_of(const std::string& name) {
  return find_named<Precision>(
      "precision", name,
      {{"fp32", Precision::fp32}, {"bf16", Precision::bf16}, {"int8", Precision::int8}});
}

inline const char* name_of(Precision precision) {
  constexpr const char* kNames[kPrecisions] = {"fp32", "bf16", "int8"};
  return kNames[static_cast<int>(precision)];
}

inline SequencePooling sequence_pooling(const std::string& name) {
  return find_named<SequencePooling>(
      "pooling", name, {{"last", SequencePooling::last}, {"mean", SequencePooling::mean}});
}

inline RegionPooling region_pooling(const std::string& name) {
  return find_named<RegionPooling>("pooling", name,
                                   {{"gru", RegionPooling::gru},
                                    {"mean", RegionPooling::mean},
                                    {"max-of-top", RegionPooling::max_of_top},
                                    {"gpo", RegionPooling::gpo}});
}

inline NormAxis l2norm_axis(const std::string& name) {
  return find_named<NormAxis>("axis", name,
                              {{"region", NormAxis::region}, {"feature", NormAxis::feature}});
}

inline NormAxis encoder_norm_axis(const std::string& name) {
  return find_named<NormAxis>("norm_axis", name,
                              {{"region", NormAxis::region},
                               {"feature", NormAxis::feature},
                               {"none", NormAxis::none}});
}

}  // namespace refine_itr::bindings
