// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The choice of a configuration: every legal one that has what was asked for, by the model.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runtime/families/gemm_model.h"
#include "runtime/families/gemm_rules.h"

namespace nibble {

namespace {

// What wins most often comes first: the others are then dismissed by their bound.
constexpr int kTileNOrder[] = {256, 192, 128, 64, 32, 16, 8};
constexpr int kCtaGroupOrder[] = {2, 1};

class Search {
 public:
  Search(const GemmShape& shape, const GemmConfig& asked, const GemmDevice& device)
      : shape_(shape), asked_(asked), device_(device) {}

  Result<GemmConfig> run();

 private:
  using Values = std::span<const int>;

  // Calls `next` with each value of a member, or with the one that was asked for.
  template <class Next>
  void each(int GemmConfig::*member, Values values, int unset, Next next) {
    if (asked_.*member != unset) {
      config_.*member = asked_.*member;
      next();
      return;
    }
    for (const int value : values) {
      config_.*member = value;
      next();
    }
  }
  void each_tile();
  void each_cluster();
  void each_epilogue();
  void each_split();
  bool set_stages();
  bool wastes_cluster() const;
  void consider();
  void refuse(GemmRule rule);
  Status failure(GemmRule rule, const GemmConfig& config) const;
  void choose_raster();

  GemmShape shape_;
  GemmConfig asked_;
  GemmDevice device_;
  GemmConfig config_;  // being tried
  GemmTiles tiles_;    // its
  GemmConfig best_;
  double best_total_ = std::numeric_limits<double>::infinity();
  // The refused configuration that got furthest, for the error.
  GemmRule furthest_ = GemmRule::kCtaGroup;
  GemmConfig refused_;
};

void Search::refuse(GemmRule rule) {
  if (refused_.cta_group != 0 && rule <= furthest_) return;
  furthest_ = rule;
  refused_ = config_;
}

Status Search::failure(GemmRule rule, const GemmConfig& config) const {
  return {Code::kInvalidArgument, "GemmConfig: " + rule_text(rule, shape_, config, device_)};
}

// Members that were not asked for at some legal value.
GemmConfig with_values(GemmConfig config) {
  const auto fill = [&](int GemmConfig::*member, int unset, int value) {
    if (config.*member == unset) config.*member = value;
  };
  fill(&GemmConfig::cta_group, 0, 1);
  fill(&GemmConfig::tile_n, 0, 128);
  fill(&GemmConfig::tile_k, 0, 128);
  fill(&GemmConfig::cluster_m, 0, 1);
  fill(&GemmConfig::cluster_n, 0, 1);
  fill(&GemmConfig::stages, 0, 2);
  fill(&GemmConfig::accumulators, 0, 1);
  fill(&GemmConfig::raster, 0, 8);
  fill(&GemmConfig::split, 0, 1);
  fill(&GemmConfig::epilogue_columns, 0, 32);
  fill(&GemmConfig::scheduler, -1, 0);
  fill(&GemmConfig::swapped, -1, 0);
  return config;
}

// As many as fit: more of them hide more latency and cost nothing else.
bool Search::set_stages() {
  config_.stages = asked_.stages;
  if (asked_.stages == 0) {
    config_.stages = 2;
    const GemmLayout two = layout_of(shape_, config_);
    const int room = device_.shared_per_block - two.staging_bytes - two.barrier_bytes;
    config_.stages = std::clamp(room / two.stage_bytes, 2, kGemmMaxStages);
  }
  const GemmRule rule = broken_memory(layout_of(shape_, config_), device_);
  if (rule == GemmRule::kNone) return true;
  refuse(rule);
  return false;
}

void Search::consider() {
  const double total = estimate(shape_, config_, device_).total;
  if (total >= best_total_) return;
  best_total_ = total;
  best_ = config_;
}

void Search::each_split() {
  each(&GemmConfig::split, kGemmSplitValues, 0, [&] {
    const int64_t blocks = tiles_.count * config_.cta_group;
    // Parts beyond what the GPU can work on at once only cost.
    if (asked_.split == 0 && config_.split > 1 &&
        (shape_.workspace_bytes == 0 || blocks * config_.split > 2 * device_.multiprocessors)) {
      return;
    }
    config_.scheduler = asked_.scheduler;
    if (asked_.scheduler == -1) {
      config_.scheduler = config_.split == 1 && blocks > device_.multiprocessors ? 1 : 0;
    }
    if (const GemmRule rule = broken_split(shape_, config_, tiles_); rule != GemmRule::kNone) {
      return refuse(rule);
    }
    consider();
  });
}

void Search::each_epilogue() {
  each(&GemmConfig::accumulators, kGemmAccumulatorsValues, 0, [&] {
    each(&GemmConfig::epilogue_columns, kGemmEpilogueColumnsValues, 0, [&] {
      if (const GemmRule rule = broken_epilogue(shape_, config_); rule != GemmRule::kNone) {
        return refuse(rule);
      }
      if (set_stages()) each_split();
    });
  });
}

void Search::each_cluster() {
  each(&GemmConfig::cluster_m, kGemmClusterMValues, 0, [&] {
    each(&GemmConfig::cluster_n, kGemmClusterNValues, 0, [&] {
      if (const GemmRule rule = broken_cluster(config_, device_); rule != GemmRule::kNone) {
        return refuse(rule);
      }
      tiles_ = gemm_tiles(shape_, config_);
      if (!wastes_cluster()) each_epilogue();
    });
  });
}

// Whether a whole row or column of the cluster would have no tile.
bool Search::wastes_cluster() const {
  const int pairs = config_.cluster_m / config_.cta_group;
  const bool rows = (tiles_.tiles_m - pairs / 2) * tiles_.tile_rows >= tiles_.rows;
  const bool columns = (tiles_.tiles_n - config_.cluster_n / 2) * config_.tile_n >= tiles_.columns;
  return (asked_.cluster_m == 0 && pairs > 1 && rows) ||
         (asked_.cluster_n == 0 && config_.cluster_n > 1 && columns);
}

void Search::each_tile() {
  each(&GemmConfig::swapped, kGemmSwappedValues, -1, [&] {
    each(&GemmConfig::cta_group, kCtaGroupOrder, 0, [&] {
      each(&GemmConfig::tile_n, kTileNOrder, 0, [&] {
        if (const GemmRule rule = broken_tile(shape_, config_); rule != GemmRule::kNone) {
          return refuse(rule);
        }
        each(&GemmConfig::tile_k, kGemmTileKValues, 0, [&] {
          if (least_microseconds(shape_, config_, device_) < best_total_) each_cluster();
        });
      });
    });
  });
}

// The raster matters where operands do not stay in the L2 cache; elsewhere all problems have one,
// so that they share kernels.
void Search::choose_raster() {
  if (asked_.raster != 0) return;
  double least = hbm_bytes(shape_, best_, device_);
  GemmConfig tried = best_;
  for (const int raster : kGemmRasterValues) {
    tried.raster = raster;
    const double bytes = hbm_bytes(shape_, tried, device_);
    if (bytes >= least) continue;
    least = bytes;
    best_ = tried;
  }
}

Result<GemmConfig> Search::run() {
  if (const GemmRule rule = broken_value(with_values(asked_)); rule != GemmRule::kNone) {
    return failure(rule, asked_);
  }
  config_.raster = asked_.raster != 0 ? asked_.raster : kGemmRasterValues[0];
  each_tile();
  if (best_.cta_group == 0) {
    return failure(furthest_, refused_);
  }
  choose_raster();
  return best_;
}

// Answers of this thread, found by a few comparisons; a colliding question replaces an older one.
struct Answer {
  GemmShape shape;
  GemmConfig asked;
  GemmDevice device;
  GemmConfig config;  // cta_group 0: none yet
};

size_t answer_place(const GemmShape& shape, size_t count) {
  uint64_t hash = static_cast<uint64_t>(shape.m) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ static_cast<uint64_t>(shape.n)) * 0xC2B2AE3D27D4EB4Fu;
  hash = (hash ^ static_cast<uint64_t>(shape.k)) * 0x165667B19E3779F9u;
  return static_cast<size_t>((hash ^ hash >> 29) % count);
}

bool same(const GemmConfig& a, const GemmConfig& b) {
  static_assert(std::has_unique_object_representations_v<GemmConfig>);
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

Result<GemmConfig> choose_config(const GemmShape& shape, const GemmConfig& asked,
                                 const GemmDevice& device) {
  static thread_local std::array<Answer, 64> answers;
  Answer& answer = answers[answer_place(shape, answers.size())];
  if (answer.config.cta_group != 0 && answer.shape == shape && same(answer.asked, asked) &&
      answer.device == device) {
    return answer.config;
  }
  Result<GemmConfig> chosen = Search(shape, asked, device).run();
  if (chosen.ok()) answer = {shape, asked, device, *chosen};
  return chosen;
}

}  // namespace nibble
