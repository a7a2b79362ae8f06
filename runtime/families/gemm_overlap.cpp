// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_overlap.h"

#include <array>
#include <string>
#include <string_view>

#include "runtime/families/gemm_problem.h"
#include "runtime/result.h"

namespace nibble {

namespace {

// Rows of bytes in memory; "a.data" is {"a", "data"}. No string is made where nothing overlaps:
// this runs on every launch.
struct Name {
  std::string_view object, member;
};

struct Region {
  Name name;
  DevicePointer begin = 0;
  int64_t rows = 0, row_bytes = 0, row_stride = 0;
  int64_t batch = 1, batch_stride = 0;

  DevicePointer end() const {
    return begin +
           static_cast<uint64_t>((batch - 1) * batch_stride + (rows - 1) * row_stride + row_bytes);
  }
};

Region plain(Name name, DevicePointer begin, int64_t bytes, int64_t batch = 1,
             int64_t batch_stride = 0) {
  return {name, begin, 1, bytes, bytes, batch, batch_stride};
}

// A few regions, without an allocation.
struct Regions {
  std::array<Region, 12> regions{};
  size_t count = 0;
  void add(const Region& region) {
    if (region.begin != 0 && region.row_bytes != 0) regions[count++] = region;
  }
  const Region* begin() const { return regions.data(); }
  const Region* end() const { return regions.data() + count; }
};

// Two slices of columns of the same larger matrix: rows interleave without touching.
bool are_columns_of_one_matrix(const Region& a, const Region& b) {
  if (a.row_stride != b.row_stride || a.row_stride == 0) return false;
  auto divisible = [&](const Region& region) {
    return region.batch == 1 || region.batch_stride % a.row_stride == 0;
  };
  if (!divisible(a) || !divisible(b)) return false;
  const auto stride = static_cast<uint64_t>(a.row_stride);
  const auto offset = static_cast<int64_t>((b.begin % stride + stride - a.begin % stride) % stride);
  return offset >= a.row_bytes && offset + b.row_bytes <= a.row_stride;
}

bool overlap(const Region& a, const Region& b) {
  return a.begin < b.end() && b.begin < a.end() && !are_columns_of_one_matrix(a, b);
}

Region region_of(Name name, const GemmMatrix& matrix, const GemmRequest& request, int64_t columns) {
  const int64_t size = size_of(matrix.type);
  return {name,
          matrix.data,
          request.m,
          columns * size,
          matrix.row_stride * size,
          request.batch,
          matrix.batch_stride * size};
}

bool is_in_place(const GemmMatrix& matrix, const GemmRequest& request) {
  const GemmOutput& d = request.d;
  return matrix.data == d.data && static_cast<int>(matrix.type) == static_cast<int>(d.type) &&
         matrix.row_stride == d.row_stride &&
         (request.batch == 1 || matrix.batch_stride == d.batch_stride);
}

void add_operand(Regions& regions, const GemmRequest& request, const GemmOperand& operand,
                 int64_t rows, std::string_view object) {
  if (request.k == 0) return;
  regions.add({{object, "data"},
               operand.data,
               rows,
               operand_row_bytes(request.format, request.k),
               operand.row_stride,
               request.batch,
               operand.batch_stride});
  regions.add(plain({object, "scales"}, operand.scales,
                    operand_scale_bytes(request.format, rows, request.k), request.batch,
                    operand.scale_batch_stride));
  regions.add(plain({object, "amax"}, operand.amax, 4));
  regions.add(plain({object, "scale"}, operand.scale, 4));
}

Regions regions_read(const GemmRequest& request) {
  const GemmEpilogue& epilogue = request.epilogue;
  Regions regions;
  add_operand(regions, request, request.a, request.m, "a");
  add_operand(regions, request, request.b, request.n, "b");
  if (epilogue.bias_axis != BiasAxis::kNone) {
    const int64_t count = epilogue.bias_axis == BiasAxis::kColumn ? request.n : request.m;
    regions.add(plain({"epilogue", "bias"}, epilogue.bias, count * size_of(epilogue.bias_type)));
  }
  regions.add(plain({"d", "tensor_amax"}, request.d.tensor_amax, 4));
  if (request.beta != 0 && (epilogue.gated || !is_in_place(request.c, request))) {
    regions.add(region_of({"c", "data"}, request.c, request, request.n));
  }
  if (epilogue.residual.data != 0 && !is_in_place(epilogue.residual, request)) {
    regions.add(region_of({"epilogue", "residual.data"}, epilogue.residual, request,
                          output_columns(request)));
  }
  return regions;
}

Regions regions_written(const GemmRequest& request) {
  const GemmOutput& d = request.d;
  const int64_t columns = output_columns(request);
  Regions regions;
  if (is_fp4(d.type)) {
    regions.add({{"d", "data"},
                 d.data,
                 request.m,
                 (columns + 15) / 16 * 8,
                 d.row_stride / 2,
                 request.batch,
                 d.batch_stride / 2});
    regions.add(plain({"d", "scales"}, d.scales, output_scale_bytes(request), request.batch,
                      d.scale_batch_stride));
  } else {
    const int64_t size = d.type == OutputType::kF32 ? 4 : 2;
    regions.add({{"d", "data"},
                 d.data,
                 request.m,
                 columns * size,
                 d.row_stride * size,
                 request.batch,
                 d.batch_stride * size});
  }
  regions.add(plain({"d", "amax"}, d.amax, 4));
  regions.add(plain({"workspace", {}}, request.workspace, request.workspace_bytes));
  return regions;
}

std::string text(const Region& region) {
  return std::string(region.name.object) + (region.name.member.empty() ? "" : ".") +
         std::string(region.name.member) + " = " + std::to_string(region.begin);
}

Status refuse(const Region& written, const Region& other) {
  return {Code::kInvalidArgument,
          text(written) + " overlaps " + text(other) +
              ": what is written must be apart from what is read, or be C or the residual " +
              "itself (same address, type and strides; C only without gating)"};
}

}  // namespace

Status check_overlap(const GemmRequest& request) {
  const Regions written = regions_written(request);
  const Regions read = regions_read(request);
  for (const Region* region = written.begin(); region != written.end(); ++region) {
    for (const Region& other : read) {
      if (overlap(*region, other)) return refuse(*region, other);
    }
    for (const Region* other = region + 1; other != written.end(); ++other) {
      if (overlap(*region, *other)) return refuse(*region, *other);
    }
  }
  return {};
}

}  // namespace nibble
