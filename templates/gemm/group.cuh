// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How many columns of a chunk a thread finishes at a time. What happens to them is written out for
// each, so a heavy epilogue takes them in rounds of a loop, as many at a time as keep the binary
// within 64 KiB.
#pragma once

#include "gemm/epilogue.cuh"

namespace nibble {

// The estimates below are in instructions of 16 bytes, as NVRTC 13.0 writes them for sm_100a. 64
// KiB are 16 to 24 KiB that are no instructions, and about so many of them:
enum : int { kMostInstructions = 2620 };

// Of finish() and of reading the sums, for a column of the product.
template <class Config>
__host__ __device__ constexpr int instructions_to_finish() {
  constexpr int kOfActivation[] = {0, 2, 3, 18, 25, 15};
  constexpr int kPair = Config::kGated ? 2 : 1;
  constexpr int kOperand = Config::kSwapped ? 10 : 5;
  int count = 3 + kOfActivation[Config::kActivation] / kPair;
  if (Config::kC != 0) count += kOperand;
  if (Config::kBias != 0) count += Config::kSwapped ? 7 : 5;
  if (Config::kResidual != 0) count += kOperand / kPair;
  if (Config::kSplit > 1) count += 5;
  if (Config::kOutput > kBf16) count += Config::kAmax ? 3 : 2;
  if (kHasUser<Config>) count += 30;
  return count;
}

// From there on, for a column of D.
template <class Config>
__host__ __device__ constexpr int instructions_to_store() {
  if (Config::kOutput == kOutputNvfp4) return 10;
  if (Config::kOutput == kOutputMxfp4) return 6;
  int count = Config::kAmax ? 5 : 2;
  if (Config::kDirectStore && Config::kVectorBytes == 0) count += 4;
  return count + (Config::kSwapped ? 4 : 1);
}

// Of all else: loads, products and scheduling in a large cluster, and what each operand of the
// epilogue needs once.
template <class Config>
__host__ __device__ constexpr int instructions_once() {
  const int operands =
      (Config::kC != 0) + (Config::kBias != 0) + (Config::kResidual != 0) + (Config::kSplit > 1);
  return 1150 + 60 * operands;
}

template <class Config>
__host__ __device__ constexpr int group_columns() {
  constexpr int kColumns = Config::kEpilogueColumns;
  const int fixed =
      instructions_once<Config>() + kFinished<Config, kColumns> * instructions_to_store<Config>();
  const int left = (kMostInstructions - fixed) / instructions_to_finish<Config>();
  int group = kColumns;
  while (group > 8 && group > left) group /= 2;
  return group;
}
template <class Config>
constexpr int kGroupColumns = group_columns<Config>();

}  // namespace nibble
