// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The list of families: one line each.
#include "runtime/families/amax.h"
#include "runtime/families/batch.h"
#include "runtime/families/dequantize.h"
#include "runtime/families/gemm_spec.h"
#include "runtime/families/hadamard.h"
#include "runtime/families/quantize.h"
#include "runtime/families/scale_layout.h"
#include "runtime/families/trusted.h"
#include "runtime/jit/family.h"

namespace nibble {

std::span<const Family* const> all_families() {
  static constexpr const Family* kFamilies[] = {&kAmaxFamily,
                                                &kQuantizeFamily,
                                                &kDequantizeFamily,
                                                &kGemmFamily,
                                                &kGemmTrustedFamily,
                                                &kHadamardFamily,
                                                &kHadamardColumnsFamily,
                                                &kAmaxRowsFamily,
                                                &kScaleLayoutFamily,
                                                &kAmaxBatchFamily,
                                                &kDequantizeBatchFamily,
                                                &kScaleLayoutBatchFamily,
                                                &kQuantizeBatchFamily,
                                                &kAmaxTrustedFamily,
                                                &kAmaxRowsTrustedFamily,
                                                &kQuantizeTrustedFamily,
                                                &kDequantizeTrustedFamily,
                                                &kHadamardTrustedFamily,
                                                &kHadamardColumnsTrustedFamily,
                                                &kScaleLayoutTrustedFamily};
  return kFamilies;
}

}  // namespace nibble
