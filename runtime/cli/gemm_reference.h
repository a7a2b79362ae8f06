// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a multiplication of unquantised matrices gives in double, and how far another result is from
// it.
#pragma once

#include <cstdint>
#include <vector>

#include "nibble/gemm.hpp"
#include "runtime/cli/gemm_input.h"

namespace nibble::cli {

// D = activation(alpha * A x B^T + beta * C + bias) + residual, in the order of GemmEpilogue.
struct HostProblem {
  const HostMatrix* a = nullptr;         // [m, k]
  const HostMatrix* b = nullptr;         // [n, k]
  const HostMatrix* c = nullptr;         // [m, n]; null: none
  const HostMatrix* residual = nullptr;  // of D's shape; null: none
  const float* bias = nullptr;
  BiasAxis bias_axis = BiasAxis::kNone;
  double alpha = 1, beta = 0;
  Activation activation = Activation::kNone;
  bool gated = false;

  int64_t columns() const { return gated ? b->rows / 2 : b->rows; }  // of D
};

// One row of D.
std::vector<double> reference_row(const HostProblem& problem, int64_t row);

struct ProductError {
  int64_t rows = 0;                       // of D that were compared
  double signal = 0, noise = 0;           // sums of squares of the reference and of the difference
  double largest = 0, largest_error = 0;  // magnitudes

  double frobenius() const;         // |D - R| / |R|
  double relative_largest() const;  // largest |d - r| / largest |r|
  double decibels() const;          // infinite where the difference is 0
};

// `d`: the result, dense. All rows, or as many, evenly spaced, as take `budget` products of
// elements.
ProductError compare_product(const HostProblem& problem, const std::vector<double>& d,
                             int64_t budget);

}  // namespace nibble::cli
