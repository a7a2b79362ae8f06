// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/arch.h"

namespace nibble {

namespace {

constexpr uint32_t kHopper = kFp8Conversion | kWgmma | kTma | kClusters;
constexpr uint32_t kBlackwellFamily =
    kFp8Conversion | kE2m1Conversion | kTcgen05 | kTma | kClusters | kWideLoad;
constexpr uint32_t kBlackwell = kBlackwellFamily | kStochasticConversion | kTcgen05ScaleVec;
constexpr uint32_t kGeforce = kFp8Conversion | kE2m1Conversion | kBlockScaledMma | kTma | kWideLoad;

// Exact targets before their family: the first row that fits a GPU is the one used.
constexpr Arch kArchs[] = {
    {"sm_90a", "compute_90a", 9, 0, false, kHopper, 232448, 12, 0},
    {"sm_100a", "compute_100a", 10, 0, false, kBlackwell, 232448, 12, 8},
    {"sm_103a", "compute_103a", 10, 3, false, kBlackwell, 232448, 12, 9},
    {"sm_120a", "compute_120a", 12, 0, false, kGeforce, 101376, 12, 8},
    {"sm_103f", "compute_103f", 10, 3, true, kBlackwellFamily, 232448, 12, 9},
    {"sm_100f", "compute_100f", 10, 0, true, kBlackwellFamily, 232448, 12, 9},
    {"sm_120f", "compute_120f", 12, 0, true, kGeforce, 101376, 12, 9},
};

}  // namespace

std::span<const Arch> all_archs() { return kArchs; }

const Arch* find_arch(std::string_view name) {
  for (const Arch& arch : kArchs) {
    if (arch.name == name) return &arch;
  }
  return nullptr;
}

const Arch* arch_for_capability(int major, int minor) {
  for (const Arch& arch : kArchs) {
    const bool fits = arch.family ? minor >= arch.minor : minor == arch.minor;
    if (arch.major == major && fits) return &arch;
  }
  return nullptr;
}

}  // namespace nibble
