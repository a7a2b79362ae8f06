// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The GPUs that the emulator offers.
#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kKiB = 1024;
constexpr uint32_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024ull * kMiB;

constexpr DeviceModel model(Target target, std::string_view name, uint32_t multiprocessors,
                            uint32_t shared_kib, uint32_t threads, uint32_t l2_mib,
                            uint64_t memory_gib) {
  DeviceModel result;
  result.target = target;
  result.name = name;
  result.multiprocessors = multiprocessors;
  result.shared_per_block = 48 * kKiB;
  result.shared_per_block_optin = (shared_kib - 1) * kKiB;
  result.shared_per_multiprocessor = shared_kib * kKiB;
  result.max_threads_per_multiprocessor = threads;
  result.l2_bytes = l2_mib * kMiB;
  result.memory_bytes = memory_gib * kGiB;
  return result;
}

// The last of a number is what a plain "sm_100" gets.
constexpr DeviceModel kModels[] = {
    model({80, 0}, "nibble emulator (sm_80)", 108, 164, 2048, 40, 40),         // A100
    model({90, 'a'}, "nibble emulator (sm_90a)", 132, 228, 2048, 60, 141),     // H200
    model({100, 'a'}, "nibble emulator (sm_100a)", 148, 228, 2048, 126, 180),  // B200
    model({103, 'a'}, "nibble emulator (sm_103a)", 148, 228, 2048, 126, 268),  // B300
    model({120, 'a'}, "nibble emulator (sm_120a)", 170, 100, 1536, 96, 32),    // RTX 5090
};

}  // namespace

const DeviceModel* find_model(std::string_view target) {
  const Target wanted = parse_target(target);
  for (const DeviceModel& model : kModels) {
    if (model.target.number == wanted.number) return &model;
  }
  return nullptr;
}

}  // namespace nibble::emulator
