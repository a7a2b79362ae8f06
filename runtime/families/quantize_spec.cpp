// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/quantize_spec.h"

#include <algorithm>
#include <array>

#include "runtime/families/quantize.h"

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr int kThreadChoices[] = {64, 128, 256};
constexpr int kBlockChoices[] = {4, 2, 1};
constexpr int kFormats[] = {0, 1, 2, kFourOverSix};
constexpr std::string_view kFormatNames[] = {"nvfp4", "mxfp4", "mxfp8", "four_over_six"};
constexpr int kCopyChoices[] = {0, 1, 2};
constexpr std::string_view kCopyNames[] = {"rows", "transposed", "both"};
constexpr int kFlags[] = {0, 1};
constexpr int kFlagsFromOne[] = {1, 0};
constexpr int kTransforms[] = {0, 1, 2};
constexpr int kTransformSizes[] = {16, 32, 64, 128};
constexpr std::string_view kTransformNames[] = {"none", "default", "given"};

// clang-format off: a constant a row
std::array<Constant, kQuantizeConstants> make_constants() {
  std::array<Constant, kQuantizeConstants> all{};
  const std::span<const Constant> tile = nvfp4_constants(ElementType::kInput);
  std::copy(tile.begin(), tile.end(), all.begin());
  all[kThreads].values = kThreadChoices;
  all[kBlocksPerThread].values = kBlockChoices;
  all[kBlocksPerThread].meaning = "blocks of a thread";
  all[kHasStochasticConversion] = {"kHasStochasticConversion",
                                   "rs",
                                   "1: the target rounds stochastically in hardware",
                                   Origin::kTarget,
                                   kFlags,
                                   {},
                                   kStochasticConversion};
  all[kFormat] = format_constant();
  all[kCopies] = {"kCopies",        "copies",     "x, its transpose, or both",
                  Origin::kProblem, kCopyChoices, kCopyNames};
  all[kSquareBlocks] = {"kSquareBlocks",  "square", "1: blocks of 16 x 16",
                        Origin::kProblem, kFlags,   {}};
  all[kStochastic] = {"kStochastic",    "stochastic", "1: rounds by random bits",
                      Origin::kProblem, kFlags,       {}};
  all[kRowTransform] = {"kRowTransform",  "row_transform", "signs of the transform of rows",
                        Origin::kProblem, kTransforms,     kTransformNames};
  all[kColumnTransform] = {
      "kColumnTransform", "column_transform", "signs of the transform of columns",
      Origin::kProblem,   kTransforms,        kTransformNames};
  all[kRowTransformSize] = {
      "kRowTransformSize", "row_size",      "elements of a group of that transform",
      Origin::kProblem,    kTransformSizes, {}};
  all[kColumnTransformSize] = {
      "kColumnTransformSize", "column_size",   "elements of a group of that transform",
      Origin::kProblem,       kTransformSizes, {}};
  all[kRecordsAmax] = {"kRecordsAmax",   "records", "1: the amax is found too",
                       Origin::kProblem, kFlags,    {}};
  all[kMakesCodes] = {"kMakesCodes",    "codes",       "0: only the amax is found",
                      Origin::kProblem, kFlagsFromOne, {}};
  all[kOtherLayout] = {
      "kOtherLayout",   "other_layout", "1: the transposed copy's scales are in the other layout",
      Origin::kProblem, kFlags,         {}};
  all[kWiden] = {"kWiden",
                 "widen",
                 "1: 16-bit elements are fp32 in shared memory, half as many to a thread",
                 Origin::kTuned,
                 kFlags,
                 {}};
  return all;
}
// clang-format on

bool has_transform(const KernelSpec& spec) {
  return spec.values[kRowTransform] != kNoTransform ||
         spec.values[kColumnTransform] != kNoTransform;
}

// Groups of both lie in a tile.
bool sizes_legal(const KernelSpec& spec) {
  const int rows = spec.values[kRowTransformSize];
  const int columns = spec.values[kColumnTransformSize];
  if (spec.values[kRowTransform] == kNoTransform && rows != kTransformSizes[0]) return false;
  if (spec.values[kColumnTransform] == kNoTransform && columns != kTransformSizes[0]) return false;
  return true;
}

bool copies_legal(const KernelSpec& spec) {
  const auto copies = static_cast<Copies>(spec.values[kCopies]);
  if (copies == Copies::kRowWise && spec.values[kColumnTransform] != kNoTransform) return false;
  if (copies != Copies::kBoth && spec.values[kOtherLayout] != 0) return false;
  return copies != Copies::kTransposed || spec.values[kRowTransform] == kNoTransform;
}

// A square block has one code an element: in both copies, or in the one that is transformed.
bool square_legal(const KernelSpec& spec) {
  const auto format = format_of(spec);
  if (spec.values[kSquareBlocks] == 0) return true;
  const bool both = spec.values[kCopies] == static_cast<int>(Copies::kBoth);
  return format == QuantizedFormat::kNvfp4 && !(both && has_transform(spec));
}

// The kernel for an amax has the values that make no difference to it at one.
bool amax_only_legal(const KernelSpec& spec) {
  return spec.values[kRecordsAmax] != 0 && has_transform(spec) && spec.values[kFormat] == 0 &&
         spec.values[kSquareBlocks] == 0 && spec.values[kStochastic] == 0 &&
         spec.values[kScaleLayout] == 0 && spec.values[kOtherLayout] == 0;
}

int transform_of(const HadamardTransform& transform) {
  if (!transform.enabled) return kNoTransform;
  const std::array<uint32_t, 4> usual = HadamardTransform{}.signs;
  const bool is_default =
      transform.size == 16
          ? (transform.signs[0] & 0xFFFF) == (usual[0] & 0xFFFF)
          : std::equal(usual.begin(), usual.begin() + transform.size / 32, transform.signs.begin());
  return is_default ? kDefaultSigns : kGivenSigns;
}
int size_of(const HadamardTransform& transform) { return transform.enabled ? transform.size : 16; }

int64_t patch_tiles_across(int64_t columns) { return (columns + kPatchTile - 1) / kPatchTile; }
// To a multiple of 128 rows, as scales are padded.
int64_t patch_tiles_down(const KernelSpec& spec, int64_t rows) {
  return (rows + kPatchTile - 1) / kPatchTile * (kPatchTile / spec.values[kRowsPerTile]);
}

bool patches_legal(const KernelSpec& spec) {
  const int rows = spec.values[kRowsPerTile];
  const bool half = rows == kPatchTile / 2 && half_tile_legal(spec);
  const bool is_32_bit = spec.values[kElementType] == static_cast<int>(DataType::kF32);
  if (is_32_bit && spec.values[kWiden] != 0) return false;
  return (rows == kPatchTile || half) && spec.values[kThreads] == patch_threads(spec) &&
         spec.values[kBlocksPerThread] == kPatchBlocks && spec.values[kVectorBytes] != 32;
}

// Of a matrix' scales, padding included: that of the 128x4 layout is written too.
struct Scales {
  int64_t rows, blocks;
};
Scales scales_of(const KernelSpec& spec, int64_t rows, int64_t columns) {
  const int64_t block = block_size(format_of(spec));
  const int64_t blocks = (columns + block - 1) / block;
  if (spec.values[kScaleLayout] != static_cast<int>(ScaleLayout::k128x4)) return {rows, blocks};
  return {(rows + 127) / 128 * 128, (blocks + 3) / 4 * 4};
}

}  // namespace

Constant format_constant() {
  return {"kFormat", "format", "of codes and scales", Origin::kProblem, kFormats, kFormatNames};
}

std::span<const Constant> quantize_constants() {
  static const std::array<Constant, kQuantizeConstants> kConstants = make_constants();
  return kConstants;
}

int patch_rows(const KernelSpec& spec) { return block_size(format_of(spec)); }
int patch_columns(const KernelSpec& spec) {
  return spec.values[kElementType] == static_cast<int>(DataType::kF32) || spec.values[kWiden] != 0
             ? 4
             : 8;
}
int patch_threads(const KernelSpec& spec) {
  return spec.values[kRowsPerTile] / patch_rows(spec) * (kPatchTile / patch_columns(spec));
}

bool half_tile_legal(const KernelSpec& spec) {
  return format_of(spec) == QuantizedFormat::kNvfp4 &&
         spec.values[kColumnTransformSize] <= kPatchTile / 2;
}

bool lanes_fit(const KernelSpec& spec, int rows_per_tile) {
  return spec.values[kRowTransformSize] <= patch_rows(spec) ||
         spec.values[kThreads] / rows_per_tile % 32 == 0;
}

int block_size(QuantizedFormat format) { return format == QuantizedFormat::kNvfp4 ? 16 : 32; }
int code_bits(QuantizedFormat format) { return format == QuantizedFormat::kMxfp8 ? 8 : 4; }

bool uses_patches(const KernelSpec& spec) {
  return spec.values[kCopies] != static_cast<int>(Copies::kRowWise) ||
         spec.values[kSquareBlocks] != 0 || spec.values[kMakesCodes] == 0;
}

bool quantize_problem_legal(const KernelSpec& spec) {
  return copies_legal(spec) && sizes_legal(spec) && square_legal(spec) &&
         (spec.values[kMakesCodes] != 0 || amax_only_legal(spec));
}

bool quantize_legal(const KernelSpec& spec) {
  if (!quantize_problem_legal(spec)) return false;
  if (uses_patches(spec)) return patches_legal(spec);
  // Blocks of a thread are in registers at once.
  const int words = patch_rows(spec) * 4 / patch_columns(spec);
  return tile_legal(spec) && spec.values[kWiden] == 0 &&
         spec.values[kThreads] % spec.values[kRowsPerTile] == 0 &&
         lanes_fit(spec, spec.values[kRowsPerTile]) && words * spec.values[kBlocksPerThread] <= 64;
}

int quantize_dynamic_shared(const KernelSpec& spec) {
  if (!uses_patches(spec)) return 0;
  const auto format = format_of(spec);
  const bool both = spec.values[kCopies] == static_cast<int>(Copies::kBoth);
  const int rows = spec.values[kRowsPerTile];
  const int gaps = rows / patch_rows(spec);
  const int patches = (rows * (kPatchTile / patch_columns(spec) + 1) + gaps) * 16;
  // Half of the rows of the 128x4 layout leave gaps.
  const bool swizzled = spec.values[kScaleLayout] == static_cast<int>(ScaleLayout::k128x4);
  const int scales = 2 * (swizzled ? kPatchTile : rows) * kPatchTile / block_size(format);
  const int factors = 128 * 4 * (both && has_transform(spec) ? 2 : 1);
  constexpr int kTensors = 32;  // their scales
  return patches + scales + factors + kTensors;
}

KernelSpec quantize_spec(const Family& family, const QuantizeRequest& request, const Arch& arch,
                         int multiprocessors) {
  KernelSpec spec = default_spec(family, arch);
  spec.values[kElementType] = static_cast<int>(request.x.type);
  spec.values[kVectorBytes] = vector_bytes(request.x, arch);
  const bool transposed_only = request.copies == Copies::kTransposed;
  const Nvfp4Matrix& y = transposed_only ? request.y_transposed : request.y;
  spec.values[kScaleLayout] = static_cast<int>(y.scale_layout);
  spec.values[kOtherLayout] = request.copies == Copies::kBoth &&
                              request.y_transposed.scale_layout != request.y.scale_layout;
  spec.values[kFormat] = format_value(request.format, request.scaling);
  spec.values[kCopies] = static_cast<int>(request.copies);
  spec.values[kSquareBlocks] = request.blocks == BlockShape::kSquare;
  spec.values[kStochastic] = request.rounding == Rounding::kStochastic;
  spec.values[kRowTransform] = transform_of(request.transform);
  spec.values[kColumnTransform] = transform_of(request.transposed_transform);
  spec.values[kRowTransformSize] = size_of(request.transform);
  spec.values[kColumnTransformSize] = size_of(request.transposed_transform);
  spec.values[kRecordsAmax] = request.recorded_amax != 0 || request.transposed_recorded_amax != 0;
  choose_tile(spec, request.x, multiprocessors);
  return spec;
}

KernelSpec transformed_amax_spec(const Family& family, const QuantizeRequest& request,
                                 const Arch& arch, int multiprocessors) {
  KernelSpec spec = quantize_spec(family, request, arch, multiprocessors);
  spec.values[kMakesCodes] = 0;
  spec.values[kRecordsAmax] = 1;
  spec.values[kFormat] = 0;
  spec.values[kSquareBlocks] = 0;
  spec.values[kStochastic] = 0;
  spec.values[kScaleLayout] = 0;
  spec.values[kOtherLayout] = 0;
  choose_tile(spec, request.x, multiprocessors);
  return spec;
}

Grid quantize_grid(const KernelSpec& spec, int64_t rows, int64_t columns) {
  if (uses_patches(spec)) {
    return {static_cast<unsigned>(patch_tiles_across(columns)),
            static_cast<unsigned>(std::min<int64_t>(65535, patch_tiles_down(spec, rows)))};
  }
  const Scales scales = scales_of(spec, rows, columns);
  return tile_grid(spec, scales.rows, scales.blocks);
}

int64_t quantize_tiles(const KernelSpec& spec, int64_t rows, int64_t columns) {
  if (uses_patches(spec)) return patch_tiles_down(spec, rows) * patch_tiles_across(columns);
  const Scales scales = scales_of(spec, rows, columns);
  const int64_t tall = spec.values[kRowsPerTile];
  const int64_t wide = spec.values[kThreads] / tall * spec.values[kBlocksPerThread];
  return (scales.rows + tall - 1) / tall * ((scales.blocks + wide - 1) / wide);
}

}  // namespace nibble
