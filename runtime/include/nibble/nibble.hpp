// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble: NVFP4 kernels generated at run time. Includes every public header.
#pragma once

#include "nibble/amax.hpp"          // the largest magnitude of a matrix
#include "nibble/batch.hpp"         // many tensors in one kernel
#include "nibble/context.hpp"       // Context, Options, Buffer
#include "nibble/dequantize.hpp"    // NVFP4 to f32, f16, bf16
#include "nibble/gemm.hpp"          // matrix multiplication of quantised operands
#include "nibble/gemm_explain.hpp"  // what bounds its time, by a model
#include "nibble/hadamard.hpp"      // Hadamard transforms along rows and columns
#include "nibble/inspect.hpp"       // source, PTX and resources of a kernel
#include "nibble/quantize.hpp"      // f32, f16, bf16 to NVFP4
#include "nibble/scale_layout.hpp"  // block scales from one layout to the other
#include "nibble/status.hpp"        // Status, Result
#include "nibble/types.hpp"         // DataType, ScaleLayout, Matrix, Nvfp4Matrix
