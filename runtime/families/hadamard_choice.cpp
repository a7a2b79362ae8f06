// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The constants of a Hadamard kernel where nothing was tuned: those that an H200 was fastest with.
#include <algorithm>
#include <initializer_list>

#include "runtime/families/hadamard.h"

namespace nibble {

namespace {

bool is_aligned(const Matrix& matrix, int64_t bytes) {
  const int64_t pitch = matrix.row_stride * size_of(matrix.type);
  return matrix.data % static_cast<uint64_t>(bytes) == 0 &&
         (matrix.rows == 1 || pitch % bytes == 0);
}

// The first of the widths that x and y are aligned to.
int aligned_bytes(const HadamardRequest& request, std::initializer_list<int> widths) {
  for (const int bytes : widths) {
    if (is_aligned(request.x, bytes) && (request.y.data == 0 || is_aligned(request.y, bytes))) {
      return bytes;
    }
  }
  return 0;
}

int sign_source(SignVector signs) {
  switch (signs) {
    case SignVector::kNone:
      return 0;
    case SignVector::kMask:
      return 1;
    case SignVector::kDevice:
      return 2;
    case SignVector::kDefault:
      break;
  }
  return 3;
}

KernelSpec problem_spec(const Family& family, const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = default_spec(family, arch);
  auto& v = spec.values;
  v[kHadamardSize] = static_cast<int>(request.size);
  v[kHadamardElementType] = static_cast<int>(request.x.type);
  v[kHadamardSigns] = sign_source(request.sign_vector);
  v[kHadamardInverse] = request.inverse;
  v[kHadamardWrite] = request.y.data != 0;
  v[kHadamardAmax] = request.amax != 0;
  return spec;
}

// Bytes of x that a thread holds of a group: enough in flight, few shuffles, many thread blocks.
int bytes_of_thread(int size, bool is_16_bit, bool writes) {
  if (!writes) return size <= 16 ? 32 : 64;
  if (is_16_bit) return size <= 64 ? 32 : size <= 2048 ? 64 : size <= 8192 ? 128 : 256;
  return size <= 256 ? 32 : size <= 1024 ? 64 : size <= 8192 ? 128 : size <= 16384 ? 256 : 512;
}

// Shorter vectors of y save exchanges between lanes, or bring more of the group into registers.
int narrow_bits(int size, bool is_16_bit) {
  if (is_16_bit) return size == 8192 || size == 32768 ? 1 : 0;
  return size == 32768 ? 2 : 0;
}

// Powers of two.
void choose_power(KernelSpec& spec) {
  auto& v = spec.values;
  const int size = v[kHadamardSize];
  const bool is_16_bit = v[kHadamardElementType] != 0, writes = v[kHadamardWrite] != 0;
  const int bytes = bytes_of_thread(size, is_16_bit, writes);
  v[kHadamardThreadsPerGroup] = 1;
  const HadamardLayout whole = hadamard_layout(hadamard_tiling(spec));
  const int elements = std::max(whole.vector, bytes / (is_16_bit ? 2 : 4));
  int per_group = std::max(1, whole.unit / elements);
  // Neighbours write neighbouring vectors: 32 bytes at least without a gap.
  if (writes && per_group == 1 && whole.chunks > 1) per_group = 2;
  const bool with_shared = per_group > 32;
  v[kHadamardThreadsPerGroup] = per_group;
  v[kHadamardPasses] = with_shared;
  v[kHadamardNarrow] = narrow_bits(size, is_16_bit);
  v[kHadamardThreads] = with_shared ? std::max(64, per_group) : !writes || size == 128 ? 256 : 128;
  v[kHadamardGroupsPerThread] = is_16_bit && size == 16 && writes ? 2 : 1;
  if (size > 16384 && is_16_bit && v[kHadamardVectorBytes] >= 16) v[kHadamardAhead] = 2;
}

// Sizes with a base: a thread holds one vector of each of its parts.
void choose_with_base(KernelSpec& spec) {
  auto& v = spec.values;
  v[kHadamardThreadsPerGroup] = 1;
  const HadamardLayout whole = hadamard_layout(hadamard_tiling(spec));
  const int per_group = whole.power / whole.vector;
  v[kHadamardThreadsPerGroup] = per_group;
  v[kHadamardPasses] = per_group > 32;
  v[kHadamardNarrow] = v[kHadamardPasses] != 0;
  // The one thread block that a multiprocessor holds of the largest, and base 20, want their next
  // tile early.
  const bool large = v[kHadamardSize] > 16384 || whole.base == 20;
  if (large && v[kHadamardElementType] != 0 && v[kHadamardVectorBytes] != 0 &&
      v[kHadamardAligned] >= 16 && v[kHadamardPasses] != 0) {
    v[kHadamardAhead] = 2;
  }
  const bool many = whole.base * whole.vector >= 64 && v[kHadamardSigns] == 2;
  int threads = per_group < 64 ? 128 : per_group;
  if (many && threads == 128) threads = per_group <= 64 ? 64 : 256;
  v[kHadamardThreads] = threads;
}

KernelSpec row_spec(const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = problem_spec(kHadamardFamily, request, arch);
  auto& v = spec.values;
  const bool wide = (arch.features & kWideLoad) != 0;
  const int aligned = wide ? aligned_bytes(request, {32, 16, 8}) : aligned_bytes(request, {16, 8});
  v[kHadamardAligned] = aligned;
  if (hadamard_base(v[kHadamardSize]) == 1) {
    v[kHadamardVectorBytes] = aligned >= 16 ? aligned : 0;
    choose_power(spec);
  } else {
    v[kHadamardVectorBytes] = 0;
    v[kHadamardThreadsPerGroup] = 1;
    const int bytes =
        hadamard_layout(hadamard_tiling(spec)).vector * static_cast<int>(size_of(request.x.type));
    if (bytes >= 8 && bytes <= aligned) v[kHadamardVectorBytes] = bytes;
    choose_with_base(spec);
  }
  // Where shared memory is too small for all of a group.
  for (const int passes : {2, 3, 4, 5, 7}) {
    if (is_legal(spec)) break;
    v[kHadamardPasses] = passes;
  }
  return spec;
}

KernelSpec column_spec(const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = problem_spec(kHadamardColumnsFamily, request, arch);
  auto& v = spec.values;
  const int size = v[kHadamardSize];
  const bool is_16_bit = v[kHadamardElementType] != 0, writes = v[kHadamardWrite] != 0;
  const int aligned = aligned_bytes(request, {16, 8, 4});
  v[kHadamardAligned] = aligned;
  v[kHadamardThreads] = size <= 16 && writes ? 256 : 128;
  if (is_16_bit && !writes && size <= 64) {
    v[kHadamardVectorBytes] = aligned;
    v[kHadamardRowsPerThread] = std::min(size, 8);
  } else {
    v[kHadamardVectorBytes] = std::min(aligned, is_16_bit && writes && size == 128 ? 4 : 8);
    v[kHadamardRowsPerThread] = std::min(size, 16);
  }
  if (v[kHadamardVectorBytes] <= 4 && size >= 32) v[kHadamardRowsPerThread] = 32;
  return spec;
}

}  // namespace

KernelSpec hadamard_spec(const HadamardRequest& request, const Arch& arch) {
  return request.axis == Axis::kRow ? row_spec(request, arch) : column_spec(request, arch);
}

}  // namespace nibble
