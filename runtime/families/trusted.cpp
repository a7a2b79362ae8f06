// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/trusted.h"

#include "runtime/families/amax.h"
#include "runtime/families/dequantize.h"
#include "runtime/families/hadamard.h"
#include "runtime/families/quantize.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/scale_layout.h"

namespace nibble {

namespace {

constexpr Variant kAmaxVariants[] = {{"trusted/amax.cuh", 0}};
constexpr Variant kQuantizeVariants[] = {{"trusted/quantize.cuh", 0}};
constexpr Variant kDequantizeVariants[] = {{"trusted/dequantize.cuh", 0}};
constexpr Variant kHadamardVariants[] = {{"trusted/hadamard.cuh", 0}};
constexpr Variant kScaleLayoutVariants[] = {{"trusted/scale_layout.cuh", 0}};

// What only says how memory is accessed: a trusted kernel has single elements.
bool is_access(const Constant& constant) {
  return constant.origin == Constant::Origin::kTuned || constant.name == "kVectorBytes" ||
         constant.name == "kAligned";
}

// One kernel for all values of such constants: their first.
bool is_plain(const KernelSpec& spec) {
  for (size_t i = 0; i < spec.family->constants.size(); ++i) {
    const Constant& constant = spec.family->constants[i];
    if (is_access(constant) && spec.values[i] != constant.values.front()) return false;
  }
  return true;
}

bool plain_quantize(const KernelSpec& spec) {
  return is_plain(spec) && quantize_problem_legal(spec);
}
bool plain_hadamard(const KernelSpec& spec) {
  return is_plain(spec) && hadamard_problem_legal(spec);
}

const Family* trusted_family(const Family* fast) {
  constexpr struct {
    const Family *fast, *trusted;
  } kPairs[] = {{&kAmaxFamily, &kAmaxTrustedFamily},
                {&kAmaxRowsFamily, &kAmaxRowsTrustedFamily},
                {&kQuantizeFamily, &kQuantizeTrustedFamily},
                {&kDequantizeFamily, &kDequantizeTrustedFamily},
                {&kHadamardFamily, &kHadamardTrustedFamily},
                {&kHadamardColumnsFamily, &kHadamardColumnsTrustedFamily},
                {&kScaleLayoutFamily, &kScaleLayoutTrustedFamily}};
  for (const auto& pair : kPairs) {
    if (pair.fast == fast) return pair.trusted;
  }
  return nullptr;
}

}  // namespace

const Family kAmaxTrustedFamily{.name = "amax_trusted",
                                .params_type = "AmaxParams",
                                .constants = matrix_constants(ElementType::kInput),
                                .variants = kAmaxVariants,
                                .legal = is_plain};
const Family kAmaxRowsTrustedFamily{.name = "amax_rows_trusted",
                                    .params_type = "AmaxParams",
                                    .constants = matrix_constants(ElementType::kInput),
                                    .variants = kAmaxVariants,
                                    .legal = is_plain};
const Family kQuantizeTrustedFamily{.name = "quantize_trusted",
                                    .params_type = "QuantizeParams",
                                    .constants = quantize_constants(),
                                    .variants = kQuantizeVariants,
                                    .legal = plain_quantize};
const Family kDequantizeTrustedFamily{.name = "dequantize_trusted",
                                      .params_type = "DequantizeParams",
                                      .constants = dequantize_constants(),
                                      .variants = kDequantizeVariants,
                                      .legal = is_plain};
const Family kHadamardTrustedFamily{.name = "hadamard_trusted",
                                    .params_type = "HadamardParams",
                                    .constants = hadamard_constants(Axis::kRow),
                                    .variants = kHadamardVariants,
                                    .legal = plain_hadamard};
const Family kHadamardColumnsTrustedFamily{.name = "hadamard_columns_trusted",
                                           .params_type = "HadamardParams",
                                           .constants = hadamard_constants(Axis::kColumn),
                                           .variants = kHadamardVariants,
                                           .legal = plain_hadamard};
const Family kScaleLayoutTrustedFamily{.name = "scale_layout_trusted",
                                       .params_type = "ScaleLayoutParams",
                                       .constants = scale_layout_constants(),
                                       .variants = kScaleLayoutVariants,
                                       .legal = is_plain};

Status check_kernel(KernelKind kernel) {
  const int number = static_cast<int>(kernel);
  if (number == 0 || number == 1) return {};
  return invalid_value("kernel", {}, number, "fast or trusted");
}

KernelSpec trusted_spec(const KernelSpec& spec) {
  KernelSpec plain = spec;
  plain.family = trusted_family(spec.family);
  for (size_t i = 0; i < plain.family->constants.size(); ++i) {
    const Constant& constant = plain.family->constants[i];
    if (is_access(constant)) plain.values[i] = constant.values.front();
  }
  return plain;
}

KernelSpec choose_spec(const ContextState& context, const KernelSpec& spec, const Extents& extents,
                       KernelKind kernel) {
  return kernel == KernelKind::kFast ? context.tuning.choose(spec, extents) : trusted_spec(spec);
}

}  // namespace nibble
