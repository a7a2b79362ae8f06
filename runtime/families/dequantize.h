// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/jit/family.h"

namespace nibble {

extern const Family kDequantizeFamily;

}  // namespace nibble
