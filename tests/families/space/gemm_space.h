// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The space of gemm configurations as tests see it: what is legal, said a second time and in other
// words than runtime/families, and a sample in which every legal pair of values of two axes occurs.
#pragma once

#include <array>
#include <cstdint>
#include <nibble/gemm.hpp>
#include <string>
#include <vector>

namespace nibble::test {

// A configuration and a problem that it is legal for. The problem is ragged in m, n and k, has more
// than one tile where the tile allows, and as many steps of k as `split` needs.
struct SpacePoint {
  OperandFormat format = OperandFormat::kNvfp4;
  OutputType output = OutputType::kF32;
  bool gated = false;
  bool aligned = true;  // D's rows are multiples of 16 bytes
  int64_t m = 0, n = 0, k = 0;
  GemmConfig config;
};
std::string name(const SpacePoint& point);  // "nvfp4 bf16 m=... cta_group=2 ..."

// Empty, or what is wrong. `workspace_bytes`: what the problem is given; < 0: enough.
std::string why_illegal(const SpacePoint& point, int64_t shared_bytes,
                        int64_t workspace_bytes = -1);

// How many pairs of values of two axes there are, can be legal, and occur in a sample.
struct Coverage {
  int pairs = 0, legal = 0, covered = 0;
};

// At least `count` different points, all legal in 232,448 bytes of shared memory, that cover every
// legal pair.
std::vector<SpacePoint> sample_space(size_t count, uint32_t seed, Coverage* coverage = nullptr);

}  // namespace nibble::test
