// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/gemm_user.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/reference/nvfp4.h"

namespace nibble::test {

namespace {

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

// Members of many types: padding between them, arithmetic in fp64.
constexpr std::string_view kMixedSource = R"(
struct Epilogue {
  bool from_mask;
  const unsigned char* mask;
  int columns;
  double scale;
  short period;
  unsigned long long offset;
  float floor[3];
  __device__ float operator()(float value, long long row, long long column) const {
    const bool keep = from_mask ? mask[row * columns + column] != 0 : row % period == 0;
    if (!keep) return floor[column % 3];
    const unsigned long long place = (row + offset) % 4;
    return static_cast<float>(value * scale * static_cast<double>(1 << place));
  }
};
)";

// Loops as long as its data say, and leaves early: magnitudes above each limit are halved.
constexpr std::string_view kStepsSource = R"(
#define HALF 0.5f
namespace mine {
constexpr int kMost = 5;
template <class T>
__device__ T halved_beyond(T magnitude, T limit) {
  return __fadd_rn(__fmul_rn(magnitude, HALF), __fmul_rn(limit, HALF));
}
}  // namespace mine

struct Epilogue {
  float limits[mine::kMost];
  __device__ static float sign_of(float value) { return value < 0 ? -1.0f : 1.0f; }
  __device__ float operator()(float value, long long row, long long column) const {
    if (value != value) return value;
    float magnitude = fabsf(value);
    const int steps = static_cast<int>((3 * row + column) % (mine::kMost + 1));
    for (int i = 0; i < steps; ++i) {
      if (magnitude <= limits[i]) break;
      switch (i % 3) {
        case 2:
          continue;
        default:
          magnitude = mine::halved_beyond(magnitude, limits[i]);
      }
    }
    return magnitude * sign_of(value);
  }
};
)";

// Takes a matrix of 16-bit elements by its bits, as a residual of another type would be.
constexpr std::string_view kHalfTableSource = R"(
struct alignas(16) Epilogue {
  const unsigned short* table;
  unsigned stride;
  float low;
  __device__ float operator()(float value, long long row, long long column) const {
    const unsigned bits = table[row * stride + column];
    const float factor = __uint_as_float(bits << 16);
    return fmaxf(__fmul_rn(value, fabsf(factor)), low);
  }
};
)";

struct Clamp {
  float low = -0.5f, high = 0.75f;
};

struct Table {
  DevicePointer table = 0;
  int64_t columns = 0;
};

struct Mixed {
  bool from_mask = true;
  DevicePointer mask = 0;
  int columns = 0;
  double scale = 0.7;
  short period = 3;
  uint64_t offset = 0x100000003;
  float floor[3] = {-0.25f, 0, 3};
};

constexpr int kMostSteps = 5;
struct Steps {
  float limits[kMostSteps] = {0.125f, 0.25f, 0.5f, 1,
                              2};  // rising: the result rises with the value
};

struct alignas(16) HalfTable {
  DevicePointer table = 0;
  uint32_t stride = 0;
  float low = -1;
};

template <class T>
std::vector<uint8_t> bytes_of(const T& value) {
  std::vector<uint8_t> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <class T>
T element(const std::vector<uint8_t>& table, int64_t i) {
  T value{};
  std::memcpy(&value, table.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float mixed_value(uint8_t mask, float value, int64_t row, int64_t column) {
  const Mixed mixed;
  if (mask == 0) return mixed.floor[column % 3];
  const int powers[] = {8, 1, 2, 4};  // the offset is 3 modulo 4
  return static_cast<float>(value * mixed.scale * powers[row % 4]);
}

float steps_value(float value, int64_t row, int64_t column) {
  if (std::isnan(value)) return value;
  const Steps all;
  float magnitude = std::fabs(value);
  const int64_t steps = (3 * row + column) % (kMostSteps + 1);
  for (int64_t i = 0; i < steps && magnitude > all.limits[i]; ++i) {
    const float half = magnitude * 0.5f;
    if (i != 2) magnitude = half + all.limits[i] * 0.5f;
  }
  return std::signbit(value) && value != 0 ? -magnitude : magnitude;
}

}  // namespace

const char* user_name(GemmUser user) {
  switch (user) {
    case GemmUser::kNone:
      return "none";
    case GemmUser::kClamp:
      return "clamp";
    case GemmUser::kByPlace:
      return "by_place";
    case GemmUser::kTable:
      return "table";
    case GemmUser::kMixed:
      return "mixed";
    case GemmUser::kSteps:
      return "steps";
    case GemmUser::kHalfTable:
      return "half_table";
  }
  return "unknown";
}

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
    case GemmUser::kMixed:
      return kMixedSource;
    case GemmUser::kSteps:
      return kStepsSource;
    case GemmUser::kHalfTable:
      return kHalfTableSource;
  }
  return {};
}

std::vector<uint8_t> user_table(GemmUser user, int64_t rows, int64_t columns,
                                std::mt19937_64& random) {
  if (user == GemmUser::kTable) {
    return encode(random_normal(rows * columns, DataType::kF32, 1, random), DataType::kF32);
  }
  if (user == GemmUser::kHalfTable) {
    return encode(random_normal(rows * columns, DataType::kBf16, 1, random), DataType::kBf16);
  }
  if (user != GemmUser::kMixed) return {};
  std::vector<uint8_t> mask(static_cast<size_t>(rows * columns));
  for (uint8_t& keep : mask) keep = static_cast<uint8_t>(random() % 3);
  return mask;
}

float user_value(GemmUser user, const std::vector<uint8_t>& table, int64_t columns, float value,
                 int64_t row, int64_t column) {
  const int64_t place = row * columns + column;
  switch (user) {
    case GemmUser::kNone:
      break;
    case GemmUser::kClamp:
      return std::fmin(std::fmax(value, Clamp().low), Clamp().high);
    case GemmUser::kByPlace:
      return 2.0f * value + (0.25f * static_cast<float>(row % 7) - static_cast<float>(column % 5));
    case GemmUser::kTable:
      return value + element<float>(table, place);
    case GemmUser::kMixed:
      return mixed_value(element<uint8_t>(table, place), value, row, column);
    case GemmUser::kSteps:
      return steps_value(value, row, column);
    case GemmUser::kHalfTable: {
      const float factor = reference::decode_bf16(element<uint16_t>(table, place));
      return std::fmax(value * std::fabs(factor), HalfTable().low);
    }
  }
  return value;
}

std::vector<uint8_t> user_arguments(GemmUser user, DevicePointer table, int64_t columns) {
  switch (user) {
    case GemmUser::kNone:
    case GemmUser::kByPlace:
      break;
    case GemmUser::kClamp:
      return bytes_of(Clamp());
    case GemmUser::kTable:
      return bytes_of(Table{table, columns});
    case GemmUser::kMixed:
      return bytes_of(Mixed{.mask = table, .columns = static_cast<int>(columns)});
    case GemmUser::kSteps:
      return bytes_of(Steps());
    case GemmUser::kHalfTable:
      return bytes_of(HalfTable{.table = table, .stride = static_cast<uint32_t>(columns)});
  }
  return {};
}

}  // namespace nibble::test
