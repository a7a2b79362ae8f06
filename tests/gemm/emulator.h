// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The emulator as these tests want it: its checks of order and of uninitialised memory are on, its
// device is small, so that thread blocks compute many tiles, and every launch runs in as many
// orders as NIBBLE_EMULATOR_SEEDS says (here 2).
#pragma once

#include <nibble/context.hpp>

namespace nibble::test {

// One for each device, "emulator:sm_100a" or "emulator:sm_103a".
Context& emulated_context(const char* device);

}  // namespace nibble::test
