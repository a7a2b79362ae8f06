// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The choice of a configuration: every legal one that has what was asked for, by the model.
#include <algorithm>
#include <array>
#include <limits>

#include "runtime/families/gemm_model.h"
#include "runtime/families/gemm_rules.h"

namespace nibble {

namespace {

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
  void consider();
  void refuse(GemmRule rule);
  void choose_raster();

  GemmShape shape_;
  GemmConfig asked_;
  GemmDevice device_;
  GemmConfig config_;  // being tried
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
  if (const GemmRule rule = broken_rule(shape_, config_, device_); rule != GemmRule::kNone) {
    refuse(rule);
    return;
  }
  const double total = estimate(shape_, config_, device_).total;
  if (total >= best_total_) return;
  best_total_ = total;
  best_ = config_;
}

void Search::each_split() {
  each(&GemmConfig::split, kGemmSplitValues, 0, [&] {
    if (asked_.split == 0 && config_.split > 1) {
      if (shape_.workspace_bytes == 0) return;
      // Parts beyond what the GPU can work on at once only cost.
      const int64_t parts = gemm_tiles(shape_, config_).count * config_.split;
      if (parts * config_.cta_group > 2 * int64_t{device_.multiprocessors}) return;
    }
    config_.scheduler = asked_.scheduler;
    if (asked_.scheduler == -1) {
      const int64_t tiles = gemm_tiles(shape_, config_).count * config_.cta_group;
      config_.scheduler = config_.split == 1 && tiles > device_.multiprocessors ? 1 : 0;
    }
    consider();
  });
}

void Search::each_epilogue() {
  each(&GemmConfig::accumulators, kGemmAccumulatorsValues, 0, [&] {
    each(&GemmConfig::epilogue_columns, kGemmEpilogueColumnsValues, 0, [&] {
      if (const GemmRule rule = broken_form(shape_, config_, device_); rule != GemmRule::kNone) {
        return refuse(rule);
      }
      if (set_stages()) each_split();
    });
  });
}

void Search::each_cluster() {
  each(&GemmConfig::cluster_m, kGemmClusterMValues, 0,
       [&] { each(&GemmConfig::cluster_n, kGemmClusterNValues, 0, [&] { each_epilogue(); }); });
}

void Search::each_tile() {
  each(&GemmConfig::swapped, kGemmSwappedValues, -1, [&] {
    each(&GemmConfig::cta_group, kGemmCtaGroupValues, 0, [&] {
      each(&GemmConfig::tile_n, kGemmTileNValues, 0,
           [&] { each(&GemmConfig::tile_k, kGemmTileKValues, 0, [&] { each_cluster(); }); });
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
  config_.raster = asked_.raster != 0 ? asked_.raster : kGemmRasterValues[0];
  each_tile();
  if (best_.cta_group == 0) {
    return Status(Code::kInvalidArgument,
                  "GemmConfig: " + rule_text(furthest_, shape_, refused_, device_));
  }
  choose_raster();
  return best_;
}

}  // namespace

Result<GemmConfig> choose_config(const GemmShape& shape, const GemmConfig& asked,
                                 const GemmDevice& device) {
  return Search(shape, asked, device).run();
}

}  // namespace nibble
