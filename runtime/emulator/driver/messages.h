// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the emulator tells its user beyond an error code: on stderr, and kept as the last report.
#pragma once

#include <string_view>

namespace nibble::emulator::driver {

// Prints `text` (NIBBLE_EMULATOR_QUIET=1: does not) and keeps it. Thread-safe.
void say(std::string_view text);

}  // namespace nibble::emulator::driver

// The last report: a fault, a refused image, a call that the emulator does not support; empty when
// there was none. Thread-safe; the text lives until the same thread's next call.
extern "C" __attribute__((visibility("default"))) const char* nibbleEmulatorLastReport(void);
