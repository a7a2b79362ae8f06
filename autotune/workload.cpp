// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/workload.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "runtime/result.h"

namespace nibble::autotune {

namespace {

constexpr int64_t kGuard = 256;               // bytes; keeps the operands aligned for every access
constexpr int64_t kPiece = int64_t{8} << 20;  // of what is copied at a time
constexpr int64_t kMostSets = 4096;
constexpr float kAmax = 2;  // no element below is as large

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// Two or one random elements in a word: any sign and mantissa, magnitudes from 2^-7 to below 2.
uint32_t random_elements(uint32_t word, DataType type) {
  const auto narrow = [&](uint32_t keep, uint32_t exponent, int shift) {
    const uint32_t each = keep | keep << 16;
    return (word & each) | (exponent << shift) * 0x10001u | (word & (7u << shift) * 0x10001u);
  };
  switch (type) {
    case DataType::kF32:
      return (word & 0x807fffffu) | 120u << 23 | (word & 7u << 23);
    case DataType::kF16:
      return narrow(0x83ff, 8, 10);
    case DataType::kBf16:
      return narrow(0x807f, 120, 7);
  }
  return word;
}

// E4M3 from 2^-3 on to below 2^5, of either parity.
uint32_t random_scales(uint32_t word) { return (word & 0x3f3f3f3fu) + 0x20202020u; }

// E4M3: 1/2, 1, 2, 4.
uint32_t random_powers(uint32_t word) { return (word & 0x18181818u) + 0x30303030u; }

}  // namespace

int64_t Workload::Operand::pitch() const { return round_up(bytes, kGuard) + 2 * kGuard; }

DevicePointer Workload::Operand::at(int64_t set) const {
  return memory.address() + static_cast<DevicePointer>(set * pitch() + kGuard);
}

Workload::Workload(const Context& context, DataType type, const RequestPlan& plan)
    : context_(context), type_(type), launch_(plan.launch) {
  for (const auto& [content, bytes] : plan.operands) operands_.push_back({content, bytes, {}});
}

Status Workload::launch(int64_t set, KernelKind kernel) {
  Addresses addresses{};
  for (size_t i = 0; i < operands_.size(); ++i) addresses[i] = operands_[i].at(set % sets_);
  return launch_(context_, addresses, kernel);
}

Status Workload::allocate(int64_t free_bytes) {
  int64_t pitch = 0;
  for (const Operand& operand : operands_) {
    bytes_ += operand.bytes;
    pitch += operand.pitch();
  }
  const DeviceInfo& device = context_.device();
  if (!device.emulated) {
    // What lies between two uses of a set, thrice the cache.
    const int64_t wanted = 3 * device.l2_bytes / bytes_ + 2;
    const int64_t most = std::min(kMostSets, free_bytes / 2 / pitch);
    sets_ = std::max<int64_t>(2, std::min(wanted, most));
  }
  for (Operand& operand : operands_) {
    NIBBLE_TRY_ASSIGN(operand.memory, context_.allocate(operand.pitch() * sets_));
    if (operand.content != Content::kOutput) NIBBLE_TRY(fill(operand));
  }
  return {};
}

// Random values, the same in each set.
Status Workload::fill(const Operand& operand) {
  std::mt19937_64 random(static_cast<uint64_t>(operand.bytes));
  std::vector<uint32_t> pattern(
      static_cast<size_t>(std::min(kPiece, round_up(operand.bytes, 4)) / 4));
  for (uint32_t& word : pattern) {
    word = static_cast<uint32_t>(random());
    if (operand.content == Content::kElements) word = random_elements(word, type_);
    if (operand.content == Content::kScales) word = random_scales(word);
    if (operand.content == Content::kPowers) word = random_powers(word);
    if (operand.content == Content::kAmax) std::memcpy(&word, &kAmax, sizeof word);
  }
  for (int64_t set = 0; set < sets_; ++set) {
    for (int64_t done = 0; done < operand.bytes; done += kPiece) {
      NIBBLE_TRY(context_.copy_to_device(operand.at(set) + static_cast<DevicePointer>(done),
                                         pattern.data(), std::min(kPiece, operand.bytes - done)));
    }
  }
  return {};
}

Result<Workload> Workload::create(const Context& context, const Problem& problem,
                                  int64_t free_bytes) {
  NIBBLE_TRY_ASSIGN(const RequestPlan plan, plan_request(problem));
  Workload workload(context, problem.type, plan);
  NIBBLE_TRY(workload.allocate(free_bytes));
  return workload;
}

Status Workload::poison(uint8_t value) {
  for (Operand& operand : operands_) {
    if (operand.content != Content::kOutput) continue;
    NIBBLE_TRY(context_.fill(operand.at(0) - kGuard, value, operand.bytes + 2 * kGuard));
  }
  return {};
}

// By pieces: fresh memory for all of a large output costs more than to copy it.
Result<Outputs> Workload::outputs(uint8_t poison_value, KernelKind kernel) {
  NIBBLE_TRY(poison(poison_value));
  NIBBLE_TRY(launch(0, kernel));
  Outputs outputs;
  std::string digests;
  std::string piece;
  const auto read = [&](DevicePointer from, int64_t bytes) {
    piece.resize(static_cast<size_t>(bytes));
    return context_.copy_to_host(piece.data(), from, bytes);
  };
  const std::string guard(kGuard, static_cast<char>(poison_value));
  for (const Operand& operand : operands_) {
    if (operand.content != Content::kOutput) continue;
    const DevicePointer start = operand.at(0);
    for (int64_t done = 0; done < operand.bytes; done += kPiece) {
      NIBBLE_TRY(
          read(start + static_cast<DevicePointer>(done), std::min(kPiece, operand.bytes - done)));
      digests += cache::hex(cache::digest(piece));
    }
    for (const DevicePointer at :
         {start - kGuard, start + static_cast<DevicePointer>(operand.bytes)}) {
      NIBBLE_TRY(read(at, kGuard));
      outputs.intact = outputs.intact && piece == guard;
    }
  }
  outputs.digest = cache::digest(digests);
  return outputs;
}

}  // namespace nibble::autotune
