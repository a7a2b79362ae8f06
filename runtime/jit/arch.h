// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The targets that nibble generates for: one row each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nibble {

// What a kernel variant can ask of a target; a bit each.
enum Feature : uint32_t {
  kFp8Conversion = 1u << 0,         // cvt e4m3x2
  kE2m1Conversion = 1u << 1,        // cvt.rn e2m1x2
  kStochasticConversion = 1u << 2,  // cvt.rs e2m1x4
  kWgmma = 1u << 3,
  kTcgen05 = 1u << 4,
  kTcgen05ScaleVec = 1u << 5,  // the scale_vec::NX spellings; targets without it use blockN
  kBlockScaledMma = 1u << 6,   // mma.sync with block scales
  kTma = 1u << 7,
  kClusters = 1u << 8,  // of more than one block
  kWideLoad = 1u << 9,  // 256-bit ld.global and st.global
};

struct Arch {
  std::string_view name;      // "sm_100a"; NVRTC's --gpu-architecture for a cubin
  std::string_view ptx_name;  // "compute_100a"; the same for PTX alone
  int major, minor;           // compute capability of the first GPU that runs it
  bool family;                // sm_100f: runs on later minors of the major too
  uint32_t features;
  int shared_per_block;          // bytes, opt-in limit
  int nvrtc_major, nvrtc_minor;  // first NVRTC that knows the target
};

std::span<const Arch> all_archs();
const Arch* find_arch(std::string_view name);  // null when unknown
// The architecture-specific row for a GPU's compute capability, else a family row; null: none.
const Arch* arch_for_capability(int major, int minor);

}  // namespace nibble
