// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_options.h"

#include <charconv>
#include <vector>

namespace nibble::cli {
namespace {

struct Member {
  const char* name;
  int GemmConfig::*value;
};
constexpr Member kMembers[] = {{"cta_group", &GemmConfig::cta_group},
                               {"tile_n", &GemmConfig::tile_n},
                               {"tile_k", &GemmConfig::tile_k},
                               {"cluster_m", &GemmConfig::cluster_m},
                               {"cluster_n", &GemmConfig::cluster_n},
                               {"stages", &GemmConfig::stages},
                               {"accumulators", &GemmConfig::accumulators},
                               {"raster", &GemmConfig::raster},
                               {"split", &GemmConfig::split},
                               {"epilogue_columns", &GemmConfig::epilogue_columns},
                               {"scheduler", &GemmConfig::scheduler},
                               {"swapped", &GemmConfig::swapped}};

// "tile_n=128" into config. What is legal the library says.
void set_member(const std::string& text, GemmConfig* config) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string_view number = std::string_view(text).substr(std::min(equals + 1, text.size()));
  int value = 0;
  const char* end = number.data() + number.size();
  const auto [at, error] = std::from_chars(number.data(), end, value);
  if (number.empty() || error != std::errc() || at != end) {
    throw CLI::ValidationError("--config", text + ": must be MEMBER=NUMBER");
  }
  std::string names;
  for (const Member& member : kMembers) {
    if (text.compare(0, equals, member.name) == 0) {
      config->*member.value = value;
      return;
    }
    names += (names.empty() ? "" : ", ") + std::string(member.name);
  }
  throw CLI::ValidationError("--config", text + ": members are " + names);
}

}  // namespace

void add_operand_options(CLI::App& command, OperandOptions* options) {
  command
      .add_option("--format", options->format, "Of the operands: nvfp4, mxfp4, mxfp8, fp8 or bf16")
      ->transform(CLI::CheckedTransformer(by_name<OperandFormat>(format_name, 5)))
      ->default_str("nvfp4");
  const CLI::CheckedTransformer fp8(by_name<Fp8Type>(fp8_name, 2));
  command.add_option("--a-fp8", options->a_fp8, "Elements of A of --format fp8: e4m3 or e5m2")
      ->transform(fp8)
      ->default_str("e4m3");
  command.add_option("--b-fp8", options->b_fp8, "The same of B")
      ->transform(fp8)
      ->default_str("e4m3");
}

Status check(const OperandOptions& options) {
  const bool e5m2 = options.a_fp8 != Fp8Type::kE4m3 || options.b_fp8 != Fp8Type::kE4m3;
  if (!e5m2 || options.format == OperandFormat::kFp8) return {};
  return {Code::kInvalidArgument, "--a-fp8 and --b-fp8 are for --format fp8"};
}

void add_activation_options(CLI::App& command, Activation* activation, bool* gated) {
  command
      .add_option("--activation", *activation,
                  "none, relu, squared_relu, gelu_tanh, gelu_erf or silu")
      ->transform(CLI::CheckedTransformer(by_name<Activation>(activation_name, 6)))
      ->default_str("none");
  command.add_flag("--gated", *gated,
                   "D[j] = activation(value[2j]) * value[2j + 1]: half as many columns");
}

void add_config_option(CLI::App& command, GemmConfig* config) {
  command
      .add_option_function<std::vector<std::string>>(
          "--config",
          [config](const std::vector<std::string>& members) {
            for (const std::string& member : members) set_member(member, config);
          },
          "Members of GemmConfig in place of the model's choice: tile_n=128,stages=4")
      ->delimiter(',');
}

}  // namespace nibble::cli
