// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize with each combination of its options, bit for bit against the reference, on many
// elements: a million of each combination on an emulated GPU, 10^9 in all on a GPU. Zeros of both
// signs, subnormals, infinities, NaN and scales that underflow are planted; amaxes are extreme.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>

#include "tests/families/quantize_case.h"

namespace nibble::test {
namespace {

constexpr int64_t kOfEach = 1'000'000;        // emulated
constexpr int64_t kOnTheGpu = 1'000'000'000;  // of all
constexpr int64_t kColumns = 1000;            // neither blocks of 32 nor tiles of 128 divide it
constexpr int64_t kWideColumns = 896;         // whole groups of transforms
constexpr float kAmaxes[] = {0.0f,   1.0f,   5.3125f,        65504.0f, 3e38f,
                             1e-30f, 3e-36f, 1.1754944e-38f, 1e-41f,   INFINITY};

// How the elements of an input are made, and where its amax is from.
enum class Input { kNormal, kManyScales, kNotFinite, kAnyBits };
constexpr Input kInputs[] = {Input::kNormal, Input::kManyScales, Input::kNotFinite,
                             Input::kAnyBits};

float planted(Input input, uint64_t bits) {
  switch (bits % (input == Input::kNotFinite ? 8 : 5)) {
    case 0:
      return 0.0f;
    case 1:
      return -0.0f;
    case 2:
      return std::ldexp(static_cast<float>(bits >> 32 & 1023), -149 + static_cast<int>(bits % 97));
    case 3:
      return -std::ldexp(1.0f, -24);  // the least that f16 has
    case 4:
      return std::ldexp(1.0f, -133);  // bf16
    case 5:
      return INFINITY;
    case 6:
      return -INFINITY;
    default:
      return std::nanf("");
  }
}

std::vector<float> values_of(Input input, int64_t rows, int64_t columns, DataType type,
                             std::mt19937_64& random) {
  if (input == Input::kAnyBits) return random_bits(rows * columns, type, random);
  std::vector<float> x = random_normal(rows * columns, type, 1.0f, random);
  // Of f16, whose exponents are few, scales underflow where a row is small.
  const int widest = type == DataType::kF16 ? 13 : 30;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t draw = random();
    const int exponent = static_cast<int>(draw % static_cast<uint64_t>(widest));
    const auto begin = x.begin() + row * columns;
    if (input == Input::kManyScales) {
      std::for_each(begin, begin + columns, [&](float& v) { v = std::ldexp(v, -exponent); });
    }
    // A few places of each row, and in some rows whole blocks of zeros.
    for (int i = 0; i < 4; ++i)
      begin[static_cast<int64_t>(random() % static_cast<uint64_t>(columns))] =
          planted(input, random());
    if (draw >> 32 & 1) {
      const auto first =
          begin + static_cast<int64_t>(random() % static_cast<uint64_t>(columns / 32)) * 32;
      std::fill(first, first + 16, 0.0f);
      std::fill(first + 16, first + 32, draw >> 33 & 1 ? -0.0f : 0.0f);
    }
  }
  return decode(encode(x, type), type);
}

class QuantizeVolume : public QuantizeCheck {
 protected:
  struct Task {
    Case options;
    DataType type;
    ScaleLayout layout;
    Input input;
    int64_t rows, columns;
    uint64_t seed;
  };

  // On the emulator each combination in one type and layout, in turn; on a GPU in all types.
  std::vector<Task> tasks(QuantizedFormat format, Rounding rounding) const {
    std::vector<Case> cases = all_cases();
    const std::vector<Case> wide = wide_transform_cases();
    cases.insert(cases.end(), wide.begin(), wide.end());
    const auto inputs = static_cast<int64_t>(std::size(kInputs));
    const auto types = static_cast<int64_t>(std::size(kTypes));
    const int64_t of_each =
        on_gpu() ? kOnTheGpu / (static_cast<int64_t>(cases.size()) * types) + 1 : kOfEach;
    std::vector<Task> all;
    for (size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].format != format || cases[i].rounding != rounding) continue;
      const bool is_wide = cases[i].size > 16 || cases[i].transposed_size > 16;
      const int64_t columns = is_wide ? kWideColumns : kColumns;
      int64_t rows = (of_each + inputs * columns - 1) / (inputs * columns);
      if (is_wide) rows = (rows + 127) / 128 * 128;
      for (size_t t = 0; t < std::size(kTypes); ++t) {
        if (!on_gpu() && t != i % std::size(kTypes)) continue;
        for (size_t k = 0; k < std::size(kInputs); ++k) {
          all.push_back({cases[i], kTypes[t], kLayouts[(i + t) % 2], kInputs[k], rows, columns,
                         (i * std::size(kTypes) + t) * std::size(kInputs) + k});
        }
      }
    }
    return all;
  }

  void run(const Task& task) {
    std::mt19937_64 random(task.seed);
    const std::vector<float> x = values_of(task.input, task.rows, task.columns, task.type, random);
    const float amax = kAmaxes[task.seed / std::size(kInputs) % std::size(kAmaxes)];
    const bool given = task.input == Input::kAnyBits ||
                       (task.input == Input::kNotFinite && task.seed / 4 % 3 != 0);
    check(x, task.type, task.rows, task.columns, task.layout, task.options,
          given ? &amax : nullptr);
  }

  void run_all(QuantizedFormat format, Rounding rounding) {
    const std::vector<Task> all = tasks(format, rounding);
    std::atomic<size_t> next{0};
    std::vector<std::thread> workers(std::max(1u, std::thread::hardware_concurrency()));
    for (std::thread& worker : workers) {
      worker = std::thread([&] {
        for (size_t at = next++; at < all.size() && !HasFailure(); at = next++) run(all[at]);
      });
    }
    for (std::thread& worker : workers) worker.join();
    int64_t elements = 0;
    for (const Task& task : all) elements += task.rows * task.columns;
    std::printf("%lld elements in %zu matrices\n", static_cast<long long>(elements), all.size());
  }
};

TEST_P(QuantizeVolume, Nvfp4) { run_all(QuantizedFormat::kNvfp4, Rounding::kNearestEven); }
TEST_P(QuantizeVolume, Nvfp4Stochastic) { run_all(QuantizedFormat::kNvfp4, Rounding::kStochastic); }
TEST_P(QuantizeVolume, Mxfp4) { run_all(QuantizedFormat::kMxfp4, Rounding::kNearestEven); }
TEST_P(QuantizeVolume, Mxfp4Stochastic) { run_all(QuantizedFormat::kMxfp4, Rounding::kStochastic); }
TEST_P(QuantizeVolume, Mxfp8) { run_all(QuantizedFormat::kMxfp8, Rounding::kNearestEven); }
TEST_P(QuantizeVolume, Mxfp8Stochastic) { run_all(QuantizedFormat::kMxfp8, Rounding::kStochastic); }

INSTANTIATE_TEST_SUITE_P(Devices, QuantizeVolume, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
