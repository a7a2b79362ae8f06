// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The trusted kernels: plain and slow, of the same bits as the fast ones. A family of them has the
// constants and the parameters of the fast family, and its kernels take any grid; they have nothing
// to tune. That of gemm is apart (gemm_trusted.h): its sums are not those of tensor cores.
#pragma once

#include "nibble/types.hpp"
#include "runtime/context_state.h"
#include "runtime/jit/family.h"
#include "runtime/jit/tuning.h"

namespace nibble {

extern const Family kAmaxTrustedFamily;
extern const Family kAmaxRowsTrustedFamily;
extern const Family kQuantizeTrustedFamily;
extern const Family kDequantizeTrustedFamily;
extern const Family kHadamardTrustedFamily;
extern const Family kHadamardColumnsTrustedFamily;
extern const Family kScaleLayoutTrustedFamily;

Status check_kernel(KernelKind kernel);

// That of the same problem for the trusted kernel. `spec` is of a family above without `Trusted`.
KernelSpec trusted_spec(const KernelSpec& spec);

// The spec that serves a request whose family chose `spec`: the trusted one, or what the tuning
// table has for the problem, else `spec`.
KernelSpec choose_spec(const ContextState& context, const KernelSpec& spec, const Extents& extents,
                       KernelKind kernel);

}  // namespace nibble
