// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/space/gemm_space.h"

#include <algorithm>
#include <random>
#include <set>

namespace nibble::test {

namespace {

constexpr int64_t kSharedBytes = 232448;

enum Axis : size_t {
  kFormat,
  kOutput,
  kGated,
  kAligned,
  kCtaGroup,
  kTileN,
  kTileK,
  kClusterM,
  kClusterN,
  kStages,
  kAccumulators,
  kRaster,
  kSplit,
  kEpilogueColumns,
  kScheduler,
  kSwapped,
  kAxes
};
using Choice = std::array<int, kAxes>;  // a value of each axis

const std::vector<int> kValues[kAxes] = {
    {0, 1, 2, 3, 4},
    {0, 1, 2, 3, 4},
    {0, 1},
    {0, 1},
    {1, 2},
    {8, 16, 32, 64, 128, 192, 256},
    {128, 256},
    {1, 2, 4},
    {1, 2, 4},
    {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
    {1, 2},
    {1, 2, 4, 8, 16},
    {1, 2, 3, 4, 6, 8, 12, 16, 24, 32},
    {8, 16, 32, 64},
    {0, 1},
    {0, 1},
};

int bits(OperandFormat format) {
  constexpr int kBits[] = {4, 4, 8, 8, 16};
  return kBits[static_cast<int>(format)];
}

// Elements of k that share a scale; 0: none do.
int scale_block(OperandFormat format) {
  constexpr int kBlock[] = {16, 32, 32, 0, 0};
  return kBlock[static_cast<int>(format)];
}

int64_t ceiling(int64_t value, int64_t divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

bool is_fp4(OutputType output) {
  return output == OutputType::kNvfp4 || output == OutputType::kMxfp4;
}

// Scales of a row in a stage, four of them a word of tensor memory and 512 bytes for 128 rows.
int64_t scale_words(const SpacePoint& point) {
  const int block = scale_block(point.format);
  if (block == 0) return 0;
  const int elements = point.config.tile_k * 8 / bits(point.format);
  return elements / block / 4;
}

int64_t row_blocks(const GemmConfig& config) { return ceiling(config.tile_n, 128); }

// Shared memory, added up operand by operand.
int64_t shared_bytes(const SpacePoint& point) {
  const GemmConfig& config = point.config;
  int64_t stage = 128 * config.tile_k;                           // A
  stage += config.tile_n * config.tile_k / config.cta_group;     // B
  stage += scale_words(point) * 512 * (1 + row_blocks(config));  // their scales
  while (stage % 1024 != 0) ++stage;
  int64_t bytes = stage * config.stages + 1024;
  const bool staged = point.aligned && !is_fp4(point.output);
  const int64_t element = point.output == OutputType::kF32 ? 4 : 2;
  if (staged) bytes += int64_t{2} * 128 * config.epilogue_columns * element;
  return bytes;
}

// Whether accumulators and scales can be placed in 512 columns.
bool fits_tensor_memory(const SpacePoint& point) {
  const GemmConfig& config = point.config;
  const int64_t slot = scale_words(point) * 4 * (1 + row_blocks(config));
  const int64_t scales = slot * 2;  // at least two slots
  for (int64_t overlap = 0; overlap <= config.tile_n / 2; overlap += config.epilogue_columns) {
    if (overlap > 0 && config.accumulators == 1) break;
    if (config.accumulators * config.tile_n - overlap + scales <= 512) return true;
  }
  return false;
}

std::string illegal_shape(const SpacePoint& point) {
  const GemmConfig& config = point.config;
  const int64_t columns = config.swapped == 1 ? point.m : point.n;
  if (config.swapped == 1 && (point.gated || is_fp4(point.output))) return "swapped";
  if (config.cta_group == 2 && config.tile_n <= 32) return "pair of narrow tiles";
  if (config.tile_n <= 16 && columns > config.tile_n) return "more than one narrow tile";
  if (config.cluster_m < config.cta_group) return "pair outside the cluster";
  if (config.cluster_m * config.cluster_n > 8) return "cluster too large";
  if (config.tile_n / config.cluster_m < 8) return "slices of less than 8 rows";
  return {};
}

std::string illegal_epilogue(const SpacePoint& point) {
  const GemmConfig& config = point.config;
  const int columns = config.epilogue_columns;
  if (config.swapped == 1 && columns == 64) return "swapped rows of 64";
  if (columns > config.tile_n || config.tile_n % columns != 0) return "epilogue divides";
  if (columns < 32 && config.tile_n != 8 && config.tile_n != 16) return "epilogue too narrow";
  if (config.tile_n == 16 && columns == 8) return "epilogue too narrow";
  if (point.gated && columns == 8) return "gated columns";
  if (point.aligned && config.swapped == 0 && !is_fp4(point.output)) {
    // A row of the box that TMA stores, swizzled by at most 128 bytes.
    const int row_bits =
        (point.gated ? columns / 2 : columns) * (point.output == OutputType::kF32 ? 32 : 16);
    if (row_bits < 128 || row_bits > 1024) return "staged rows";
  }
  if (is_fp4(point.output)) {
    // Whole words of scales (NVFP4), whole blocks of D's columns (MXFP4).
    const int written = point.gated ? columns / 2 : columns;
    if (point.output == OutputType::kNvfp4 && columns != 64) return "NVFP4 words";
    if (config.tile_n < 64 || written < 32) return "FP4 blocks";
  }
  return {};
}

std::string illegal_split(const SpacePoint& point, int64_t workspace_bytes) {
  const GemmConfig& config = point.config;
  if (config.split == 1) return {};
  const int64_t steps = ceiling(ceiling(point.k * bits(point.format), 8), config.tile_k);
  if (config.split > std::max<int64_t>(steps, 1)) return "fewer steps than parts";
  if (config.scheduler == 1) return "split with launch control";
  const int64_t rows = config.swapped == 1 ? point.n : point.m;
  const int64_t columns = config.swapped == 1 ? point.m : point.n;
  const int64_t high = ceiling(ceiling(rows, 128), config.cluster_m) * config.cluster_m;
  const int64_t wide =
      ceiling(ceiling(columns, config.tile_n), config.cluster_n) * config.cluster_n;
  if (high * wide > 4096) return "more tiles than counters";
  // A counter of four bytes for each of four warps of 4,096 tiles.
  const int64_t needed = 65536 + high * wide * config.split * 128 * config.tile_n * 4;
  if (workspace_bytes >= 0 && workspace_bytes < needed) return "workspace";
  return {};
}

SpacePoint point_of(const Choice& choice) {
  SpacePoint point;
  point.format = static_cast<OperandFormat>(choice[kFormat]);
  point.output = static_cast<OutputType>(choice[kOutput]);
  point.gated = choice[kGated] == 1;
  point.aligned = choice[kAligned] == 1;
  point.config = {.cta_group = choice[kCtaGroup],
                  .tile_n = choice[kTileN],
                  .tile_k = choice[kTileK],
                  .cluster_m = choice[kClusterM],
                  .cluster_n = choice[kClusterN],
                  .stages = choice[kStages],
                  .accumulators = choice[kAccumulators],
                  .raster = choice[kRaster],
                  .split = choice[kSplit],
                  .epilogue_columns = choice[kEpilogueColumns],
                  .scheduler = choice[kScheduler],
                  .swapped = choice[kSwapped]};
  return point;
}

// A problem for the configuration: a tile or two more than a cluster has, the last ones cut
// somewhere.
void set_problem(SpacePoint& point, std::mt19937& random) {
  const auto below = [&](int64_t bound) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
  };
  const GemmConfig& config = point.config;
  const int64_t cluster_rows = int64_t{128} * config.cluster_m;
  int64_t rows = 1 + below(cluster_rows + 128);
  int64_t columns = 1 + below(config.tile_n);
  if (config.tile_n >= 32) columns += below(2) * config.tile_n;
  point.m = config.swapped == 1 ? columns : rows;
  point.n = config.swapped == 1 ? rows : columns;
  if (point.gated) point.n += point.n % 2;
  const int64_t step = int64_t{config.tile_k} * 8 / bits(point.format);
  const int64_t steps = std::max<int64_t>(config.split, 1 + below(config.stages + 2));
  point.k = (steps - 1) * step + 1 + below(step);
}

bool legal(const Choice& choice) {
  SpacePoint point = point_of(choice);
  point.m = point.n = 2;
  point.k = 1 << 16;
  return why_illegal(point, kSharedBytes).empty();
}

// Whether some configuration has both values. Every other axis takes the value that forbids least,
// or all values where there is no such value.
bool possible(size_t axis, int value, size_t other, int other_value) {
  Choice choice{};
  choice[kCtaGroup] = choice[kClusterM] = choice[kClusterN] = 1;
  choice[kStages] = 2;
  choice[kAccumulators] = choice[kRaster] = choice[kSplit] = 1;
  choice[axis] = value;
  choice[other] = other_value;
  constexpr Axis kOpen[] = {kFormat, kOutput, kCtaGroup, kTileN, kTileK, kEpilogueColumns};
  const auto search = [&](const auto& self, size_t at) -> bool {
    if (at == std::size(kOpen)) {
      if (axis != kClusterM && other != kClusterM) choice[kClusterM] = choice[kCtaGroup];
      return legal(choice);
    }
    const Axis open = kOpen[at];
    if (open == axis || open == other) return self(self, at + 1);
    return std::any_of(kValues[open].begin(), kValues[open].end(), [&](int candidate) {
      choice[open] = candidate;
      return self(self, at + 1);
    });
  };
  return search(search, 0);
}

using Pair = std::array<int, 4>;  // axis, value, axis, value

std::set<Pair> possible_pairs(int& all) {
  std::set<Pair> pairs;
  for (size_t axis = 0; axis < kAxes; ++axis) {
    for (size_t other = axis + 1; other < kAxes; ++other) {
      for (const int value : kValues[axis]) {
        for (const int other_value : kValues[other]) {
          ++all;
          if (!possible(axis, value, other, other_value)) continue;
          pairs.insert({static_cast<int>(axis), value, static_cast<int>(other), other_value});
        }
      }
    }
  }
  return pairs;
}

size_t cover(const Choice& choice, std::set<Pair>& open, bool erase) {
  size_t count = 0;
  for (size_t axis = 0; axis < kAxes; ++axis) {
    for (size_t other = axis + 1; other < kAxes; ++other) {
      const Pair pair{static_cast<int>(axis), choice[axis], static_cast<int>(other), choice[other]};
      count += erase ? open.erase(pair) : open.count(pair);
    }
  }
  return count;
}

// A legal choice with the pair's values, the others at random; stages fewer where memory wants it.
bool draw(const Pair* pair, std::mt19937& random, Choice& choice) {
  for (int attempt = 0; attempt < 4000; ++attempt) {
    for (size_t axis = 0; axis < kAxes; ++axis) {
      choice[axis] = kValues[axis][random() % kValues[axis].size()];
    }
    if (random() % 2 == 0) choice[kSplit] = 1;
    if (pair != nullptr) {
      choice[static_cast<size_t>((*pair)[0])] = (*pair)[1];
      choice[static_cast<size_t>((*pair)[2])] = (*pair)[3];
    }
    if (legal(choice)) return true;
  }
  return false;
}

}  // namespace

std::string name(const SpacePoint& point) {
  const GemmConfig& c = point.config;
  const auto member = [](const char* label, int64_t value) {
    return " " + std::string(label) + "=" + std::to_string(value);
  };
  return std::string(format_name(point.format)) + " " + std::string(output_name(point.output)) +
         (point.gated ? " gated" : "") + (point.aligned ? "" : " unaligned") +
         member("m", point.m) + member("n", point.n) + member("k", point.k) +
         member("cta_group", c.cta_group) + member("tile_n", c.tile_n) +
         member("tile_k", c.tile_k) + member("cluster_m", c.cluster_m) +
         member("cluster_n", c.cluster_n) + member("stages", c.stages) +
         member("accumulators", c.accumulators) + member("raster", c.raster) +
         member("split", c.split) + member("epilogue_columns", c.epilogue_columns) +
         member("scheduler", c.scheduler) + member("swapped", c.swapped);
}

std::string why_illegal(const SpacePoint& point, int64_t shared_limit, int64_t workspace_bytes) {
  std::string reason = illegal_shape(point);
  if (reason.empty()) reason = illegal_epilogue(point);
  if (reason.empty()) reason = illegal_split(point, workspace_bytes);
  if (!reason.empty()) return reason;
  if (!fits_tensor_memory(point)) return "tensor memory";
  if (shared_bytes(point) > shared_limit) return "shared memory";
  return {};
}

std::vector<SpacePoint> sample_space(size_t count, uint32_t seed, Coverage* coverage) {
  std::mt19937 random(seed);
  Coverage counted;
  std::set<Pair> open = possible_pairs(counted.pairs);
  counted.legal = static_cast<int>(open.size());
  std::set<Choice> chosen;
  std::vector<SpacePoint> points;
  while (points.size() < count || !open.empty()) {
    // The best of a few choices that have an uncovered pair.
    Choice best{};
    size_t most = 0;
    const Pair* wanted = open.empty() ? nullptr : &*open.begin();
    bool found = false;
    for (int attempt = 0; attempt < 20; ++attempt) {
      Choice choice{};
      if (!draw(wanted, random, choice)) continue;
      const size_t covered = cover(choice, open, false);
      if (found && covered <= most) continue;
      best = choice;
      most = covered;
      found = true;
    }
    if (!found) break;
    cover(best, open, true);
    if (!chosen.insert(best).second) continue;
    points.push_back(point_of(best));
    set_problem(points.back(), random);
  }
  counted.covered = counted.legal - static_cast<int>(open.size());
  if (coverage != nullptr) *coverage = counted;
  return points;
}

}  // namespace nibble::test
