// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <numbers>
#include <thread>

namespace nibble::cli {
namespace {

double dot(const float* a, const float* b, int64_t count) {
  constexpr int64_t kLanes = 8;  // independent sums, for vector instructions
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += double{a[i + lane]} * double{b[i + lane]};
    }
  }
  double sum = 0;
  for (; i < count; ++i) sum += double{a[i]} * double{b[i]};
  for (const double lane : sums) sum += lane;
  return sum;
}

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSquaredRelu:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

void compare_row(const std::vector<double>& expected, const double* d, ProductError* error) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = d[i] - expected[i];
    error->signal += expected[i] * expected[i];
    error->noise += difference * difference;
    error->largest = std::max(error->largest, std::abs(expected[i]));
    error->largest_error = std::max(error->largest_error, std::abs(difference));
  }
  ++error->rows;
}

void add(const ProductError& part, ProductError* total) {
  total->rows += part.rows;
  total->signal += part.signal;
  total->noise += part.noise;
  total->largest = std::max(total->largest, part.largest);
  total->largest_error = std::max(total->largest_error, part.largest_error);
}

double ratio(double error, double size) {
  if (error == 0) return 0;
  return size == 0 ? std::numeric_limits<double>::infinity() : error / size;
}

}  // namespace

std::vector<double> reference_row(const HostProblem& problem, int64_t row) {
  const int64_t n = problem.b->rows;
  std::vector<double> values(static_cast<size_t>(n));
  for (int64_t column = 0; column < n; ++column) {
    double value =
        problem.alpha * dot(problem.a->row(row), problem.b->row(column), problem.a->columns);
    if (problem.c != nullptr) value += problem.beta * double{problem.c->row(row)[column]};
    if (problem.bias_axis != BiasAxis::kNone) {
      value += double{problem.bias[problem.bias_axis == BiasAxis::kRow ? row : column]};
    }
    values[static_cast<size_t>(column)] = value;
  }
  if (problem.gated) {
    for (size_t i = 0; i < values.size() / 2; ++i) {
      values[i] = activate(problem.activation, values[2 * i]) * values[2 * i + 1];
    }
    values.resize(values.size() / 2);
  } else {
    for (double& value : values) value = activate(problem.activation, value);
  }
  if (problem.residual != nullptr) {
    const float* residual = problem.residual->row(row);
    for (size_t i = 0; i < values.size(); ++i) values[i] += double{residual[i]};
  }
  return values;
}

double ProductError::frobenius() const { return std::sqrt(ratio(noise, signal)); }
double ProductError::relative_largest() const { return ratio(largest_error, largest); }
double ProductError::decibels() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

ProductError compare_product(const HostProblem& problem, const std::vector<double>& d,
                             int64_t budget) {
  const int64_t m = problem.a->rows;
  const double a_row =
      static_cast<double>(problem.b->rows) * static_cast<double>(problem.a->columns);
  const auto count = static_cast<int64_t>(
      std::clamp(static_cast<double>(budget) / a_row, 1.0, static_cast<double>(m)));
  ProductError total;
  std::mutex mutex;
  const auto work = [&](int64_t first, int64_t step) {
    ProductError part;
    for (int64_t i = first; i < count; i += step) {
      const int64_t row = i * m / count;
      compare_row(reference_row(problem, row), d.data() + row * problem.columns(), &part);
    }
    const std::lock_guard lock(mutex);
    add(part, &total);
  };
  const int64_t threads =
      std::clamp<int64_t>(static_cast<int64_t>(std::thread::hardware_concurrency()), 1, count);
  std::vector<std::thread> others;
  for (int64_t i = 1; i < threads; ++i) others.emplace_back(work, i, threads);
  work(0, threads);
  for (std::thread& other : others) other.join();
  return total;
}

}  // namespace nibble::cli
