// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/families/gemm_case.h"

#include <algorithm>
#include <iterator>
#include <ostream>

namespace nibble::test {

namespace {

const char* name(GemmValues values) {
  switch (values) {
    case GemmValues::kPlain:
      return "plain";
    case GemmValues::kExtreme:
      return "extreme";
    case GemmValues::kSpecial:
      return "special";
  }
  return "unknown";
}

void print_config(std::ostream& out, const GemmConfig& config) {
  const GemmConfig none;
  auto print = [&](const char* member, int value, int unset) {
    if (value != unset) out << " " << member << "=" << value;
  };
  print("cta_group", config.cta_group, none.cta_group);
  print("tile_n", config.tile_n, none.tile_n);
  print("tile_k", config.tile_k, none.tile_k);
  print("cluster_m", config.cluster_m, none.cluster_m);
  print("cluster_n", config.cluster_n, none.cluster_n);
  print("stages", config.stages, none.stages);
  print("accumulators", config.accumulators, none.accumulators);
  print("raster", config.raster, none.raster);
  print("split", config.split, none.split);
  print("epilogue_columns", config.epilogue_columns, none.epilogue_columns);
  print("scheduler", config.scheduler, none.scheduler);
  print("swapped", config.swapped, none.swapped);
}

void print_epilogue(std::ostream& out, const GemmCase& gemm) {
  if (gemm.tensor_factors) out << " tensor_factors";
  if (gemm.has_c) {
    out << " c=" << type_name(gemm.c_type) << (gemm.in_place ? " in place" : "") << "+"
        << gemm.c_row_gap;
  }
  if (gemm.bias_axis != BiasAxis::kNone) {
    out << (gemm.bias_axis == BiasAxis::kColumn ? " column" : " row")
        << "_bias=" << type_name(gemm.bias_type);
  }
  if (gemm.activation != Activation::kNone) out << " " << activation_name(gemm.activation);
  if (gemm.gated) out << " gated";
  if (gemm.residual) {
    out << " residual=" << type_name(gemm.residual_type) << "+" << gemm.residual_row_gap;
  }
  if (gemm.user != GemmUser::kNone) out << " user=" << user_name(gemm.user);
  if (gemm.amax) out << " amax";
}

template <class T>
T one_of(std::initializer_list<T> values, std::mt19937_64& random) {
  return *(values.begin() + random() % values.size());
}

bool one_in(uint64_t count, std::mt19937_64& random) { return random() % count == 0; }

void draw_shape(GemmCase& gemm, int64_t work, std::mt19937_64& random) {
  gemm.m = one_of<int64_t>({1, 2, 5, 16, 31, 64, 127, 128, 129, 200, 256, 257, 300}, random);
  gemm.n =
      one_of<int64_t>({1, 2, 8, 15, 16, 33, 64, 96, 128, 130, 192, 255, 256, 264, 300}, random);
  gemm.k = one_of<int64_t>({1,   15,  16,  17,  32,  48,  64,  65,   96,   128, 130,
                            200, 256, 257, 384, 512, 513, 777, 1024, 1500, 2048},
                           random);
  if (one_in(40, random)) gemm.k = 0;
  if (one_in(4, random)) gemm.batch = one_of<int64_t>({2, 3, 5}, random);
  int64_t* const sizes[] = {&gemm.batch, &gemm.k, &gemm.n, &gemm.m};
  for (size_t next = 0; gemm.m * gemm.n * gemm.k * gemm.batch > work; ++next) {
    int64_t& size = *sizes[next % 4];
    size = (size + 1) / 2;
  }
}

void draw_gaps(GemmCase& gemm, std::mt19937_64& random) {
  auto gap = [&](std::initializer_list<int64_t> values) {
    return one_in(2, random) ? one_of<int64_t>(values, random) : 0;
  };
  gemm.a_row_gap = gap({16, 32, 112});
  gemm.b_row_gap = gap({16, 48, 128});
  gemm.a_batch_gap = gap({16, 256});
  gemm.b_batch_gap = gap({16, 4096});
  gemm.scale_batch_gap = gap({16, 512});
  const bool fp4 = gemm.output >= OutputType::kNvfp4;
  gemm.d_row_gap = fp4 ? gap({16, 48}) : gap({1, 2, 8, 16, 64});
  gemm.d_batch_gap = fp4 ? gap({16, 256}) : gap({1, 8, 16});
  gemm.d_offset = fp4 ? gap({16, 32}) : gap({1, 3, 8, 16});
  gemm.c_row_gap = gap({1, 8, 16});
  gemm.residual_row_gap = gap({1, 8, 16});
}

void draw_epilogue(GemmCase& gemm, std::mt19937_64& random) {
  const std::initializer_list<DataType> types = {DataType::kF32, DataType::kF16, DataType::kBf16};
  const bool has_factors =
      gemm.format == OperandFormat::kNvfp4 || gemm.format == OperandFormat::kFp8;
  gemm.tensor_factors = has_factors && one_in(2, random);
  gemm.gated = one_in(4, random);
  if (gemm.gated) gemm.n += gemm.n % 2;
  gemm.has_c = one_in(3, random);
  gemm.c_type = one_of(types, random);
  if (gemm.has_c && !gemm.gated && gemm.output < OutputType::kNvfp4 && one_in(2, random)) {
    gemm.in_place = true;
    gemm.c_type = static_cast<DataType>(gemm.output);
  }
  if (one_in(3, random)) gemm.bias_axis = one_of({BiasAxis::kColumn, BiasAxis::kRow}, random);
  gemm.bias_type = one_of(types, random);
  if (gemm.gated || one_in(2, random)) gemm.activation = static_cast<Activation>(random() % 6);
  gemm.residual = one_in(3, random);
  gemm.residual_type = one_of(types, random);
  gemm.amax = one_in(3, random);
  if (one_in(5, random)) gemm.user = kGemmUsers[random() % std::size(kGemmUsers)];
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GemmCase& gemm) {
  out << format_name(gemm.format) << (gemm.a_e5m2 ? " a_e5m2" : "")
      << (gemm.b_e5m2 ? " b_e5m2" : "") << " " << name(gemm.values) << " " << gemm.m << "x"
      << gemm.n << "x" << gemm.k << " batch " << gemm.batch << " a+" << gemm.a_row_gap << "+"
      << gemm.a_batch_gap << " b+" << gemm.b_row_gap << "+" << gemm.b_batch_gap << " scales+"
      << gemm.scale_batch_gap << " d=" << output_name(gemm.output) << "+" << gemm.d_row_gap << "+"
      << gemm.d_batch_gap << "@" << gemm.d_offset;
  print_epilogue(out, gemm);
  print_config(out, gemm.config);
  return out << (gemm.tensor ? " tensor" : " trusted") << (gemm.workspace ? " workspace" : "")
             << " seed " << gemm.seed;
}

GemmCase random_case(std::mt19937_64& random, int64_t work) {
  GemmCase gemm;
  gemm.seed = random();
  gemm.format = static_cast<OperandFormat>(random() % 5);
  if (gemm.format == OperandFormat::kFp8) {
    gemm.a_e5m2 = one_in(2, random);
    gemm.b_e5m2 = one_in(2, random);
  }
  gemm.output = static_cast<OutputType>(random() % 5);
  if (one_in(4, random)) {
    gemm.values = one_of({GemmValues::kExtreme, GemmValues::kSpecial}, random);
  }
  draw_shape(gemm, work, random);
  draw_gaps(gemm, random);
  draw_epilogue(gemm, random);
  return gemm;
}

}  // namespace nibble::test
