// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The scale_layout family, for itself and for batches.
#pragma once

#include <span>

#include "nibble/scale_layout.hpp"
#include "runtime/families/tile.h"
#include "templates/params/scale_layout.h"

namespace nibble {

extern const Family kScaleLayoutFamily;
std::span<const Constant> scale_layout_constants();

ScaleLayoutRequest with_strides(ScaleLayoutRequest request);
// Strides must be filled in, here and below.
Status check_scale_layout(const ScaleLayoutRequest& request, Pointers pointers);
// Of a family with these constants.
KernelSpec scale_layout_spec(const Family& family, const ScaleLayoutRequest& request,
                             const Arch& arch);
ScaleLayoutParams scale_layout_params(const ScaleLayoutRequest& request);
// Thread blocks across and down.
int64_t scale_tiles_across(const KernelSpec& spec, const ScaleLayoutRequest& request);
int64_t scale_tiles_down(const ScaleLayoutRequest& request);

}  // namespace nibble
