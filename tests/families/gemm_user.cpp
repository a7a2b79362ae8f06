// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/gemm_user.h"

#include <cmath>
#include <cstring>

namespace nibble::test {

namespace {

constexpr float kLow = -0.5f, kHigh = 0.75f;

constexpr std::string_view kClampSource = R"(
struct Epilogue {
  float low, high;
  __device__ float operator()(float value, long long row, long long column) const {
    return fminf(fmaxf(value, low), high);
  }
};
)";

// The products are exact: whether they are fused with the additions makes no difference.
constexpr std::string_view kByPlaceSource = R"(
struct Epilogue {
  __device__ float operator()(float value, long long row, long long column) const {
    return 2.0f * value + (0.25f * (row % 7) - column % 5);
  }
};
)";

// Reads beyond the table if it is called for an element beyond D.
constexpr std::string_view kTableSource = R"(
struct Epilogue {
  const float* table;
  long long columns;
  __device__ float operator()(float value, long long row, long long column) const {
    return value + table[row * columns + column];
  }
};
)";

template <class T>
std::vector<uint8_t> bytes_of(const T& value) {
  std::vector<uint8_t> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

}  // namespace

std::string_view user_source(GemmUser user) {
  switch (user) {
    case GemmUser::kNone:
      break;
    case GemmUser::kClamp:
      return kClampSource;
    case GemmUser::kByPlace:
      return kByPlaceSource;
    case GemmUser::kTable:
      return kTableSource;
  }
  return {};
}

float user_value(GemmUser user, const std::vector<float>& table, int64_t columns, float value,
                 int64_t row, int64_t column) {
  switch (user) {
    case GemmUser::kNone:
      break;
    case GemmUser::kClamp:
      return std::fmin(std::fmax(value, kLow), kHigh);
    case GemmUser::kByPlace:
      return 2.0f * value + (0.25f * static_cast<float>(row % 7) - static_cast<float>(column % 5));
    case GemmUser::kTable:
      return value + table[static_cast<size_t>(row * columns + column)];
  }
  return value;
}

std::vector<uint8_t> user_arguments(GemmUser user, DevicePointer table, int64_t columns) {
  struct Clamp {
    float low, high;
  };
  struct Table {
    DevicePointer table;
    int64_t columns;
  };
  if (user == GemmUser::kClamp) return bytes_of(Clamp{kLow, kHigh});
  if (user == GemmUser::kTable) return bytes_of(Table{table, columns});
  return {};
}

}  // namespace nibble::test
