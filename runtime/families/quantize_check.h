// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nibble/quantize.hpp"
#include "runtime/families/tile.h"

namespace nibble {

// Of [rows, columns]; where the format has none, `has_amax` makes no difference.
Nvfp4Matrix with_strides(Nvfp4Matrix matrix, QuantizedFormat format, int64_t columns);
CodedShape coded_shape(QuantizedFormat format, int64_t rows, int64_t columns, bool has_amax);

QuantizeRequest with_strides(QuantizeRequest request);
// Strides must be filled in.
Status check_quantize(const QuantizeRequest& request, Pointers pointers);

inline bool makes_rows(const QuantizeRequest& request) {
  return request.copies != Copies::kTransposed;
}
inline bool makes_transposed(const QuantizeRequest& request) {
  return request.copies != Copies::kRowWise;
}
inline bool has_transform(const QuantizeRequest& request) {
  return request.transform.enabled || request.transposed_transform.enabled;
}
// Whether the transposed copy is scaled by an amax of its own.
inline bool has_transposed_amax(const QuantizeRequest& request) {
  return makes_transposed(request) && (!makes_rows(request) || has_transform(request));
}

}  // namespace nibble
