// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What is inside a UserEpilogue.
#pragma once

#include "nibble/gemm.hpp"
#include "runtime/families/tile.h"
#include "runtime/jit/user_source.h"

namespace nibble {

struct UserEpilogueAccess {
  static const UserSource* source(const UserEpilogue& epilogue) { return epilogue.source_; }
};

// Refuses arguments where there is no user's epilogue to take them, and others than it has.
Status check_user_arguments(const GemmEpilogue& epilogue, Pointers pointers);

}  // namespace nibble
