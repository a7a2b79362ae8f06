// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The constants of the Hadamard families, and those chosen where nothing was tuned.
#include <algorithm>
#include <array>

#include "runtime/families/hadamard.h"

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr Variant kVariants[] = {{"hadamard/hadamard.cuh", 0}};
constexpr Variant kColumnsVariants[] = {{"hadamard/columns.cuh", 0}};

constexpr int kThreadChoices[] = {256, 128, 64, 32, 512, 1024};
constexpr int kColumnsThreadChoices[] = {256, 128, 64, 512};
constexpr int kTypes[] = {0, 1, 2};
constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16"};
constexpr int kVectors[] = {16, 0, 8, 32};
constexpr int kColumnsVectors[] = {4, 0, 8, 16};
constexpr int kSigns[] = {0, 1, 2};
constexpr std::string_view kSignNames[] = {"none", "mask", "device"};
constexpr int kFlags[] = {0, 1};
constexpr int kWriteFlags[] = {1, 0};
constexpr int kColumnsSizes[] = {16, 2, 4, 8, 32, 64, 128};
constexpr int kGroupThreadChoices[] = {16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024};
constexpr int kGroupChoices[] = {1, 2, 4};
constexpr int kPassChoices[] = {0, 1, 2, 3, 4, 5, 7};
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
    std::span<const int> threads, std::span<const int> sizes, std::span<const int> vectors) {
  return {{
      {"kThreads", "threads", "threads of a thread block", Origin::kTuned, threads, {}},
      {"kSize", "size", "elements of a group", Origin::kProblem, sizes, {}},
      {"kElementType", "type", "type of x and y", Origin::kProblem, kTypes, kTypeNames},
      {"kVectorBytes",
       "vector",
       "bytes of one access; 0: an element",
       Origin::kProblem,
       vectors,
       {}},
      {"kSigns", "signs", "where the sign vector is", Origin::kProblem, kSigns, kSignNames},
      {"kInverse", "inverse", "1: H transposed, then the signs", Origin::kProblem, kFlags, {}},
      {"kWrite", "write", "1: y is written", Origin::kProblem, kWriteFlags, {}},
      {"kAmax", "amax", "1: max |y| is wanted", Origin::kProblem, kFlags, {}},
  }};
}

constexpr std::array<Constant, kHadamardConstants> kRowConstants = [] {
  std::array<Constant, kHadamardConstants> all{};
  const auto shared = shared_constants(kThreadChoices, kSizeChoices, kVectors);
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
  return all;
}();

constexpr std::array<Constant, kHadamardColumnsConstants> kColumnConstants = [] {
  std::array<Constant, kHadamardColumnsConstants> all{};
  const auto shared = shared_constants(kColumnsThreadChoices, kColumnsSizes, kColumnsVectors);
  for (size_t i = 0; i < shared.size(); ++i) all[i] = shared[i];
  all[kHadamardRowsPerThread] = {"kRowsPerThread", "rows",      "rows that a thread holds",
                                 Origin::kTuned,   kRowChoices, {}};
  return all;
}();
// clang-format on

int element_bytes(const KernelSpec& spec) { return spec.values[kHadamardElementType] == 0 ? 4 : 2; }

// A thread has as many registers as are left for each of its block's.
bool registers_suffice(int elements, int threads) {
  return elements + 48 <= std::min(255, 65536 / threads);
}

int row_shared_bytes(const KernelSpec& spec) {
  const auto& v = spec.values;
  return v[kHadamardThreads] / v[kHadamardThreadsPerGroup] *
         hadamard_shared_bytes(v[kHadamardSize], v[kHadamardPasses]);
}

bool wanted(const KernelSpec& spec) {
  return spec.values[kHadamardWrite] != 0 || spec.values[kHadamardAmax] != 0;
}

HadamardLayout layout_of(const KernelSpec& spec) {
  const auto& v = spec.values;
  return hadamard_layout(v[kHadamardSize], element_bytes(spec), v[kHadamardVectorBytes],
                         v[kHadamardThreadsPerGroup], v[kHadamardPasses]);
}

bool row_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int threads = v[kHadamardThreads], groups = v[kHadamardGroupsPerThread];
  if (v[kHadamardVectorBytes] == 32 && (spec.arch->features & kWideLoad) == 0) return false;
  if (!wanted(spec) || threads % v[kHadamardThreadsPerGroup] != 0) return false;
  if (v[kHadamardSigns] == 1 && v[kHadamardSize] > 128) return false;
  if (!hadamard_legal(v[kHadamardSize], element_bytes(spec), v[kHadamardVectorBytes],
                      v[kHadamardThreadsPerGroup], v[kHadamardPasses])) {
    return false;
  }
  if (v[kHadamardPasses] != 0 && groups != 1) return false;
  const int elements = layout_of(spec).elements;
  return registers_suffice(elements * (groups == 1 ? 2 : 1 + groups) / 2, threads) &&
         registers_suffice(elements, threads) && elements * groups <= 128 &&
         row_shared_bytes(spec) <= spec.arch->shared_per_block;
}

bool column_legal(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int size = v[kHadamardSize], rows = v[kHadamardRowsPerThread];
  const int vector_bytes = v[kHadamardVectorBytes];
  const int vector = (vector_bytes == 0 ? 4 : vector_bytes) / element_bytes(spec);
  return wanted(spec) && rows <= size && size / rows <= 8 && rows * vector <= 64 &&
         registers_suffice(rows * vector, v[kHadamardThreads]);
}

// The widest access, of those of a family, that x and y are aligned to.
int aligned_bytes(const HadamardRequest& request, std::initializer_list<int> widths) {
  for (const int bytes : widths) {
    const auto aligned = [&](const Matrix& matrix) {
      const int64_t pitch = matrix.row_stride * size_of(matrix.type);
      return matrix.data % static_cast<uint64_t>(bytes) == 0 &&
             (matrix.rows == 1 || pitch % bytes == 0);
    };
    if (aligned(request.x) && (request.y.data == 0 || aligned(request.y))) return bytes;
  }
  return 0;
}

KernelSpec problem_spec(const Family& family, const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = default_spec(family, arch);
  auto& v = spec.values;
  v[kHadamardSize] = static_cast<int>(request.size);
  v[kHadamardElementType] = static_cast<int>(request.x.type);
  v[kHadamardSigns] = request.sign_vector == SignVector::kNone     ? 0
                      : request.sign_vector == SignVector::kDevice ? 2
                                                                   : 1;
  v[kHadamardInverse] = request.inverse;
  v[kHadamardWrite] = request.y.data != 0;
  v[kHadamardAmax] = request.amax != 0;
  return spec;
}

// Registers of a thread: enough bytes in flight, few shuffles, and room for several thread blocks.
int elements_of_thread(int size, int vector) {
  if (size <= 4 * vector) return vector;
  if (size < 512) return std::max(32, vector);
  return 64;
}

KernelSpec row_spec(const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = problem_spec(kHadamardFamily, request, arch);
  auto& v = spec.values;
  const int size = v[kHadamardSize];
  const bool short_vectors = hadamard_base(size) > 1;
  const bool wide = (arch.features & kWideLoad) != 0 && !short_vectors;
  v[kHadamardVectorBytes] = wide ? aligned_bytes(request, {32, 16}) : aligned_bytes(request, {16});
  if (short_vectors) {
    const int vector = hadamard_layout(size, element_bytes(spec), 16, 1, 0).vector;
    const int most = vector * element_bytes(spec);
    v[kHadamardVectorBytes] = most == 16  ? aligned_bytes(request, {16})
                              : most == 8 ? aligned_bytes(request, {8})
                                          : 0;
  }
  const HadamardLayout one =
      hadamard_layout(size, element_bytes(spec), v[kHadamardVectorBytes], 1, 0);
  const int elements = short_vectors ? one.base * one.vector : elements_of_thread(size, one.vector);
  const int per_group = std::max(1, one.unit / elements);
  v[kHadamardThreadsPerGroup] = per_group;
  v[kHadamardPasses] = per_group > 32 ? 1 : 0;
  v[kHadamardThreads] = v[kHadamardPasses] != 0 ? std::max(64, per_group) : 256;
  v[kHadamardGroupsPerThread] = !short_vectors && elements <= 16 ? 32 / elements : 1;
  for (const int passes : kPassChoices) {
    if (row_legal(spec)) break;
    if (passes > v[kHadamardPasses]) v[kHadamardPasses] = passes;
  }
  return spec;
}

KernelSpec column_spec(const HadamardRequest& request, const Arch& arch) {
  KernelSpec spec = problem_spec(kHadamardColumnsFamily, request, arch);
  auto& v = spec.values;
  const int size = v[kHadamardSize];
  const bool is_16_bit = element_bytes(spec) == 2;
  v[kHadamardRowsPerThread] = std::min(size, size > 16 ? 32 : 16);
  v[kHadamardVectorBytes] = is_16_bit && size <= 16
                                ? aligned_bytes(request, {8, 4})
                                : aligned_bytes(request, {is_16_bit ? 4 : 8, 4});
  return spec;
}

}  // namespace

const Family kHadamardFamily{"hadamard", "HadamardParams", kRowConstants,
                             kVariants,  row_shared_bytes, row_legal};
const Family kHadamardColumnsFamily{"hadamard_columns", "HadamardParams", kColumnConstants,
                                    kColumnsVariants,   nullptr,          column_legal};

int64_t hadamard_tile_units(const KernelSpec& spec) {
  const auto& v = spec.values;
  return int64_t{v[kHadamardThreads]} / v[kHadamardThreadsPerGroup] * v[kHadamardGroupsPerThread];
}

int64_t hadamard_unit(const KernelSpec& spec) { return layout_of(spec).unit; }

int64_t hadamard_tile_columns(const KernelSpec& spec) {
  const auto& v = spec.values;
  const int vector_bytes = v[kHadamardVectorBytes] == 0 ? 4 : v[kHadamardVectorBytes];
  return int64_t{v[kHadamardThreads]} * v[kHadamardRowsPerThread] / v[kHadamardSize] *
         (vector_bytes / element_bytes(spec));
}

KernelSpec hadamard_spec(const HadamardRequest& request, const Arch& arch) {
  return request.axis == Axis::kRow ? row_spec(request, arch) : column_spec(request, arch);
}

}  // namespace nibble
