// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Epilogues of the tensor-core kernel on the emulator: users' functors in every place where the
// kernel calls them, and those with so much to do that their columns are taken in rounds
// (templates/gemm/group.cuh).
#include <gtest/gtest.h>

#include "tests/families/gemm_case.h"
#include "tests/gemm/emulator.h"

namespace nibble::test {
namespace {

struct Place {
  const char* name;
  GemmCase gemm;
};

GemmCase tensor_case(int64_t m, int64_t n, int64_t k) {
  GemmCase gemm;
  gemm.kernel = GemmKernel::kTensor;
  gemm.tensor = true;
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  return gemm;
}

// Where a functor is called: along rows and down columns, on rows that are cut, from sums of parts,
// before every kind of output.
std::vector<Place> places() {
  std::vector<Place> places;
  auto add = [&](const char* name, const GemmCase& base, auto change) {
    places.push_back({name, base});
    change(places.back().gemm);
  };
  const GemmCase ragged = tensor_case(130, 77, 200);
  add("Plain", tensor_case(128, 128, 256), [](GemmCase&) {});
  add("Ragged", ragged, [](GemmCase& gemm) { gemm.d_row_gap = 3; });
  add("OffsetF32", ragged, [](GemmCase& gemm) {
    gemm.output = OutputType::kF32;
    gemm.d_row_gap = 16;
    gemm.d_offset = 1;
  });
  add("OneRowSwapped", tensor_case(1, 300, 520), [](GemmCase& gemm) {
    gemm.config.swapped = 1;
    gemm.config.tile_n = 8;
  });
  add("FewRowsSwappedSplit", tensor_case(19, 257, 1600), [](GemmCase& gemm) {
    gemm.config.swapped = 1;
    gemm.config.tile_n = 32;
    gemm.config.tile_k = 128;
    gemm.config.split = 4;
    gemm.workspace = true;
    gemm.output = OutputType::kF16;
  });
  add("Batch", tensor_case(70, 90, 130), [](GemmCase& gemm) {
    gemm.batch = 3;
    gemm.d_batch_gap = 8;
    gemm.a_batch_gap = 256;
    gemm.format = OperandFormat::kMxfp8;
  });
  add("Split", ragged, [](GemmCase& gemm) {
    gemm.k = 1500;
    gemm.config.tile_k = 128;
    gemm.config.split = 3;
    gemm.workspace = true;
    gemm.amax = true;
  });
  add("Gated", tensor_case(140, 150, 256), [](GemmCase& gemm) {
    gemm.gated = true;
    gemm.activation = Activation::kSilu;
  });
  add("Nvfp4", tensor_case(140, 150, 256), [](GemmCase& gemm) {
    gemm.output = OutputType::kNvfp4;
    gemm.amax = true;
  });
  add("GatedNvfp4", tensor_case(140, 150, 256), [](GemmCase& gemm) {
    gemm.output = OutputType::kNvfp4;
    gemm.gated = true;
    gemm.activation = Activation::kGeluTanh;
  });
  add("Mxfp4", tensor_case(140, 150, 256), [](GemmCase& gemm) {
    gemm.output = OutputType::kMxfp4;
    gemm.format = OperandFormat::kMxfp4;
  });
  add("Pair", tensor_case(300, 260, 384), [](GemmCase& gemm) {
    gemm.config.cta_group = 2;
    gemm.config.tile_n = 128;
    gemm.config.epilogue_columns = 64;
  });
  add("Everything", tensor_case(150, 150, 300), [](GemmCase& gemm) {
    gemm.has_c = gemm.in_place = gemm.residual = gemm.amax = gemm.tensor_factors = true;
    gemm.c_type = DataType::kBf16;
    gemm.bias_axis = BiasAxis::kRow;
    gemm.activation = Activation::kGeluErf;
  });
  return places;
}

std::vector<Place> places_of_users() {
  std::vector<Place> all;
  for (const GemmUser user : kGemmUsers) {
    for (Place place : places()) {
      place.gemm.user = user;
      place.gemm.seed = all.size() + 1;
      all.push_back(place);
    }
  }
  return all;
}

class UserOnTensorCores : public testing::TestWithParam<Place> {};

TEST_P(UserOnTensorCores, IsCalledOnceForEachElement) {
  check_gemm(emulated_context("emulator:sm_100a"), GetParam().gemm);
}

INSTANTIATE_TEST_SUITE_P(Places, UserOnTensorCores, testing::ValuesIn(places_of_users()),
                         [](const auto& info) {
                           return std::string(info.param.name) + "_" +
                                  std::string(user_name(info.param.gemm.user));
                         });

// All that an epilogue can do, at once: for each output, and each way through the kernel.
std::vector<Place> heavy_places() {
  std::vector<Place> all;
  const char* const names[] = {"Rows", "Gated", "Elements", "Swapped"};
  for (int kind = 0; kind < 4; ++kind) {
    for (int output = 0; output < 5; ++output) {
      for (const int split : {1, 2}) {
        GemmCase gemm = tensor_case(150, 222, 700);
        gemm.seed = all.size() + 1;
        gemm.output = static_cast<OutputType>(output);
        const bool fp4 = gemm.output >= OutputType::kNvfp4;
        if (fp4 && kind >= 2) continue;
        gemm.has_c = gemm.residual = gemm.amax = gemm.tensor_factors = true;
        gemm.residual_type = DataType::kF32;
        gemm.bias_axis = split == 1 ? BiasAxis::kColumn : BiasAxis::kRow;
        gemm.activation = Activation::kGeluErf;
        gemm.gated = kind == 1;
        // 16 bytes and no more, or of an odd element.
        const int64_t columns = gemm.gated ? gemm.n / 2 : gemm.n;
        const int64_t gap = (columns + 7) / 8 * 8 - columns;
        gemm.residual_row_gap = gemm.d_row_gap = kind == 2 ? gap + 1 : gap;
        if (fp4) gemm.d_row_gap = 16;
        gemm.c_row_gap = 2;
        gemm.config.swapped = kind == 3 ? 1 : 0;
        gemm.config.tile_n = kind == 3 ? 32 : 192;
        gemm.config.tile_k = 128;
        gemm.config.split = split;
        gemm.config.epilogue_columns = fp4 || (kind != 3 && output != 0) ? 64 : 32;
        gemm.workspace = split > 1;
        all.push_back({names[kind], gemm});
      }
    }
  }
  return all;
}

class HeavyEpilogue : public testing::TestWithParam<Place> {};

TEST_P(HeavyEpilogue, IsRight) {
  check_gemm(emulated_context("emulator:sm_100a"), GetParam().gemm);
}

INSTANTIATE_TEST_SUITE_P(Places, HeavyEpilogue, testing::ValuesIn(heavy_places()),
                         [](const auto& info) {
                           const GemmCase& gemm = info.param.gemm;
                           return std::string(info.param.name) + "_" +
                                  std::string(output_name(gemm.output)) + "_" +
                                  std::to_string(gemm.config.split);
                         });

}  // namespace
}  // namespace nibble::test
