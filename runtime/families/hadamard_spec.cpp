// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The constants of the Hadamard families and which of them can stand together.
#include <algorithm>
#include <array>

#include "runtime/families/hadamard.h"

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr Variant kVariants[] = {{"hadamard/hadamard.cuh", 0}};
constexpr Variant kColumnsVariants[] = {{"hadamard/columns.cuh", 0}};

constexpr int kThreadChoices[] = {256, 128, 64, 32, 512, 1024};
constexpr int kColumnsThreadChoices[] = {256, 128, 64};
constexpr int kTypes[] = {0, 1, 2};
constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16"};
constexpr int kVectors[] = {16, 0, 8, 32};
constexpr int kColumnsVectors[] = {4, 0, 8, 16};
constexpr int kAlignments[] = {16, 0, 8, 32};
constexpr int kColumnsAlignments[] = {16, 0, 4, 8};
constexpr int kSigns[] = {0, 1, 2, 3};
constexpr std::string_view kSignNames[] = {"none", "mask", "device", "default"};
constexpr int kFlags[] = {0, 1};
constexpr int kWriteFlags[] = {1, 0};
constexpr int kColumnsSizes[] = {16, 2, 4, 8, 32, 64, 128};
constexpr int kGroupThreadChoices[] = {16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024};
constexpr int kGroupChoices[] = {1, 2, 4};
constexpr int kNarrowChoices[] = {0, 1, 2};
constexpr int kPassChoices[] = {0, 1, 2, 3, 4, 5, 7};
constexpr int kAheadChoices[] = {0, 1, 2};
constexpr int kRowChoices[] = {16, 1, 2, 4, 8, 32};

constexpr size_t kSizes = [] {
  size_t count = 0;
  for (int size = 2; size <= 32768; ++size) count += hadamard_size(size) ? 1 : 0;
  return count;
}();
// 256 first, so that the default spec is legal.
constexpr std::array<int, kSizes> kSizeChoices = [] {
  std::array<int, kSizes> sizes{256};
  size_t at = 1;
  for (int size = 2; size <= 32768; ++size) {
    if (hadamard_size(size) && size != 256) sizes[at++] = size;
  }
  return sizes;
}();

// clang-format off: a constant a row
constexpr std::array<Constant, kHadamardThreadsPerGroup> shared_constants(
    std::span<const int> threads, std::span<const int> sizes, std::span<const int> vectors,
    std::span<const int> alignments) {
  return {{
      {"kThreads", "threads", "threads of a thread block", Origin::kTuned, threads, {}},
      {"kSize", "size", "elements of a group", Origin::kProblem, sizes, {}},
      {"kElementType", "type", "type of x and y", Origin::kProblem, kTypes, kTypeNames},
      {"kVectorBytes", "vector", "bytes of one access; 0: an element", Origin::kTuned, vectors, {}},
      {"kAligned",
       "aligned",
       "bytes that divide where rows of x and y begin; 0: fewer",
       Origin::kProblem,
       alignments,
       {}},
      {"kSigns", "signs", "where the sign vector is", Origin::kProblem, kSigns, kSignNames},
      {"kInverse", "inverse", "1: H transposed, then the signs", Origin::kProblem, kFlags, {}},
      {"kWrite", "write", "1: y is written", Origin::kProblem, kWriteFlags, {}},
      {"kAmax", "amax", "1: max |y| is wanted", Origin::kProblem, kFlags, {}},
  }};
}

constexpr std::array<Constant, kHadamardConstants> kRowConstants = [] {
  std::array<Constant, kHadamardConstants> all{};
  const auto shared = shared_constants(kThreadChoices, kSizeChoices, kVectors, kAlignments);
  for (size_t i = 0; i < shared.size(); ++i) all[i] = shared[i];
  all[kHadamardThreadsPerGroup] = {"kThreadsPerGroup", "per_group",         "threads of a group",
                                   Origin::kTuned,     kGroupThreadChoices, {}};
  all[kHadamardGroupsPerThread] = {
      "kGroupsPerThread", "groups",      "groups that a thread loads before it works on the first",
      Origin::kTuned,     kGroupChoices, {}};
  all[kHadamardPasses] = {
      "kPasses",
      "passes",
      "parts of a group that share memory one after the other; 0: shuffles only",
      Origin::kTuned,
      kPassChoices,
      {}};
  all[kHadamardNarrow] = {
      "kNarrow",      "narrow",       "bits by which vectors of y are shorter than those of x",
      Origin::kTuned, kNarrowChoices, {}};
  all[kHadamardAhead] = {"kAhead",
                         "ahead",
                         "as many thread blocks as fit, each asking for its next tile early: 1 to "
                         "the L2 cache, 2 to shared memory",
                         Origin::kTuned,
                         kAheadChoices,
                         {}};
  return all;
}();

constexpr std::array<Constant, kHadamardColumnsConstants> kColumnConstants = [] {
  std::array<Constant, kHadamardColumnsConstants> all{};
  const auto shared =
      shared_constants(kColumnsThreadChoices, kColumnsSizes, kColumnsVectors, kColumnsAlignments);
  for (size_t i = 0; i < shared.size(); ++i) all[i] = shared[i];
  all[kHadamardRowsPerThread] = {"kRowsPerThread", "rows",      "rows that a thread holds",
                                 Origin::kTuned,   kRowChoices, {}};
  return all;
}();
// clang-format on

int element_bytes(const KernelSpec& spec) { return spec.values[kHadamardElementType] == 0 ? 4 : 2; }

// Whether a thread can hold so many numbers and what it needs beside them without spilling: it has
// what its thread block leaves it; ptxas gives it less where a thread block is one warp.
bool registers_suffice(int elements, int threads) {
  return elements + 48 <= (threads == 32 ? 144 : std::min(255, 65536 / threads));
}

// Of so many passes: what the transforms of a thread block take, and its next tile.
int shared_bytes(const KernelSpec& spec, int passes) {
  const auto& v = spec.values;
  const int next = v[kHadamardAhead] == 2 ? v[kHadamardSize] * element_bytes(spec) : 0;
  return v[kHadamardThreads] / v[kHadamardThreadsPerGroup] *
         (hadamard_shared_bytes(v[kHadamardSize], passes) + next);
}

int row_shared_bytes(const KernelSpec& spec) {
  return shared_bytes(spec, spec.values[kHadamardPasses]);
}

// What a kernel has beside that: a barrier, a maximum of each warp.
constexpr int kStaticShared = 8 + 4 * 32;

bool shared_suffices(const KernelSpec& spec, int passes) {
  return shared_bytes(spec, passes) + kStaticShared <= spec.arch->shared_per_block;
}

bool ahead_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  if (v[kHadamardAhead] == 0) return true;
  // Bulk copies are of multiples of 16 bytes. Beside a base, or with 64 elements to a thread, the
  // kernel has no registers for where the prefetch begins.
  if (v[kHadamardPasses] == 0 || v[kHadamardVectorBytes] == 0 || v[kHadamardAligned] < 16) {
    return false;
  }
  return v[kHadamardAhead] == 2 ||
         (hadamard_base(v[kHadamardSize]) == 1 && v[kHadamardThreads] <= 512 &&
          hadamard_layout(hadamard_tiling(spec)).elements < 64);
}

// Single elements only where a vector of `bytes` is not to be had.
bool vector_legal(const KernelSpec& spec, int bytes) {
  const bool wide = (spec.arch->features & kWideLoad) != 0;
  const int aligned = spec.values[kHadamardAligned];
  if (!wide && aligned >= 32) return false;
  const bool possible = bytes >= 4 && bytes <= aligned;
  return spec.values[kHadamardVectorBytes] == (possible ? bytes : 0);
}

bool row_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int threads = v[kHadamardThreads], groups = v[kHadamardGroupsPerThread];
  const bool with_shared = v[kHadamardPasses] != 0;
  if (!hadamard_problem_legal(spec) || threads % v[kHadamardThreadsPerGroup] != 0) return false;
  if (!hadamard_legal(hadamard_tiling(spec))) return false;
  if (with_shared && groups != 1) return false;
  const HadamardLayout layout = hadamard_layout(hadamard_tiling(spec));
  const int elements = layout.elements;
  // Of a vector of less than 8 bytes no more than single elements are accessed.
  const int bytes = layout.vector * element_bytes(spec);
  if (!vector_legal(spec, bytes >= 8 ? bytes : 0) || !ahead_legal(spec)) return false;
  if (layout.base > 1 && v[kHadamardNarrow] > 1) return false;  // too many registers
  // ptxas spills a little for the sake of a third thread block of 128.
  if (layout.base > 1 && elements >= 64 && v[kHadamardSigns] == 2 && threads == 128) return false;
  // Several passes only where one does not fit shared memory.
  if (v[kHadamardPasses] > 1 && shared_suffices(spec, 1)) return false;
  // A base's products are summed beside its inputs.
  const int sums = layout.base > 1 ? layout.base : 0;
  const int loaded = groups > 1 ? elements * groups * element_bytes(spec) / 4 : 0;
  return registers_suffice(elements + sums + loaded, threads) &&
         elements * groups <= 64 * (groups == 1 ? 2 : 1) &&
         shared_suffices(spec, v[kHadamardPasses]);
}

bool column_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int size = v[kHadamardSize], rows = v[kHadamardRowsPerThread];
  const int vector_bytes = v[kHadamardVectorBytes];
  const int vector = (vector_bytes == 0 ? 4 : vector_bytes) / element_bytes(spec);
  return vector_legal(spec, std::max(vector_bytes, 4)) && hadamard_problem_legal(spec) &&
         rows <= size && size / rows <= 8 && rows * vector * element_bytes(spec) <= 128 &&
         registers_suffice(rows * vector, v[kHadamardThreads]);
}

}  // namespace

bool hadamard_problem_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  const bool wanted = v[kHadamardWrite] != 0 || v[kHadamardAmax] != 0;
  return wanted && (v[kHadamardSigns] % 2 == 0 || v[kHadamardSize] <= 128);
}

std::span<const Constant> hadamard_constants(Axis axis) {
  if (axis == Axis::kRow) return kRowConstants;
  return kColumnConstants;
}

const Family kHadamardFamily{
    .name = "hadamard",
    .params_type = "HadamardParams",
    .constants = kRowConstants,
    .variants = kVariants,
    .dynamic_shared = row_shared_bytes,
    .legal = row_legal,
    .launch_bounds = "Config::kThreads, nibble::HadamardBounds<Config>::kBlocks"};
const Family kHadamardColumnsFamily{"hadamard_columns", "HadamardParams", kColumnConstants,
                                    kColumnsVariants,   nullptr,          column_legal};

HadamardTiling hadamard_tiling(const KernelSpec& spec) {
  const auto& v = spec.values;
  return {v[kHadamardSize],        element_bytes(spec),
          v[kHadamardVectorBytes], v[kHadamardThreadsPerGroup],
          v[kHadamardPasses],      v[kHadamardNarrow]};
}

int64_t hadamard_tile_units(const KernelSpec& spec) {
  const auto& v = spec.values;
  return int64_t{v[kHadamardThreads]} / v[kHadamardThreadsPerGroup] * v[kHadamardGroupsPerThread];
}

int64_t hadamard_unit(const KernelSpec& spec) {
  return hadamard_layout(hadamard_tiling(spec)).unit;
}

int64_t hadamard_tile_columns(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int vector_bytes = v[kHadamardVectorBytes] == 0 ? 4 : v[kHadamardVectorBytes];
  return int64_t{v[kHadamardThreads]} * v[kHadamardRowsPerThread] / v[kHadamardSize] *
         (vector_bytes / element_bytes(spec));
}

}  // namespace nibble
