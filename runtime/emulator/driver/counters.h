// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counters for programs: found with dlsym() in the emulator's library. Thread-safe, also while
// kernels run; a launch is counted once it is over. README.md has the form of the JSON.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Counts launches from here on (1) or no longer (0). Off at the start, unless the variable
// NIBBLE_EMULATOR_COUNTERS asks for it.
void nibble_emulator_counters_enable(int enabled);

// Forgets what was counted.
void nibble_emulator_counters_reset(void);

// Writes the counters of all launches so far as JSON, cut at size - 1 characters and ended by a
// zero; nothing where size is 0. Returns the characters of the whole text without that zero.
// Returns 0 where memory does not suffice.
size_t nibble_emulator_counters_json(char* buffer, size_t size);

#ifdef __cplusplus
}  // extern "C"

namespace nibble::emulator::driver {

// Whether launches are counted now.
bool counts_launches();
// What NIBBLE_EMULATOR_COUNTERS and NIBBLE_EMULATOR_TRACE ask for, when the process ends.
void report_counters();

}  // namespace nibble::emulator::driver
#endif
