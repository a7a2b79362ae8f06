// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The families that work on many tensors in one kernel.
#pragma once

#include "nibble/batch.hpp"
#include "runtime/jit/family.h"

namespace nibble {

extern const Family kAmaxBatchFamily;
extern const Family kDequantizeBatchFamily;
extern const Family kQuantizeBatchFamily;
extern const Family kScaleLayoutBatchFamily;

}  // namespace nibble
