// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble gemm: quantise two matrices, multiply them, say how far the result is off.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/cli/application.h"
#include "runtime/cli/file.h"
#include "runtime/cli/gemm_options.h"
#include "runtime/cli/gemm_report.h"
#include "runtime/cli/gemm_run.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/safetensors.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

// Products of elements that the reference on the host may take: some seconds.
constexpr int64_t kReferenceBudget = int64_t{1} << 32;
constexpr uint64_t kLargestSource = 1 << 20;

struct GemmOptions {
  std::string a, b, c, bias, row_bias, residual, output, epilogue;
  int64_t m = 0, n = 0, k = 0;  // with --explain, in place of files
  GemmJob job;
};

Outcome usage(const std::string& message) {
  return {Exit::kUsage, Status(Code::kInvalidArgument, message)};
}

Status bad(const std::string& message) { return {Code::kInvalidArgument, message}; }

std::string extents(const HostMatrix& matrix) {
  return std::to_string(matrix.rows) + " x " + std::to_string(matrix.columns);
}

Status check_shape(const std::string& name, const HostMatrix& matrix, int64_t rows,
                   int64_t columns) {
  if (matrix.rows == rows && matrix.columns == columns) return {};
  return bad(name + " is " + extents(matrix) + ": must be " + std::to_string(rows) + " x " +
             std::to_string(columns));
}

Status read_bias(const std::string& name, BiasAxis axis, GemmJob* job) {
  if (name.empty()) return {};
  NIBBLE_TRY_ASSIGN(HostMatrix bias, read_matrix(name));
  const bool of_columns = axis == BiasAxis::kColumn;
  const int64_t length = of_columns ? job->b.rows : job->a.rows;
  const auto count = static_cast<int64_t>(bias.values.size());
  if (count != length) {
    return bad(name + ": has " + std::to_string(count) + " elements: must have " +
               std::to_string(length) + ", one for each " + (of_columns ? "row of B" : "row of A"));
  }
  job->bias_axis = axis;
  job->bias = std::move(bias.values);
  return {};
}

// Everything that comes from files.
Status read_inputs(const GemmOptions& options, GemmJob* job) {
  NIBBLE_TRY_ASSIGN(job->a, read_matrix(options.a));
  NIBBLE_TRY_ASSIGN(job->b, read_matrix(options.b));
  if (job->a.columns != job->b.columns) {
    return bad(options.a + " is " + extents(job->a) + " and " + options.b + " is " +
               extents(job->b) + ": both must have as many columns, k");
  }
  if (job->gated && job->b.rows % 2 != 0) {
    return bad(options.b + " has " + std::to_string(job->b.rows) +
               " rows: --gated needs an even number of them");
  }
  if (job->beta != 0) {
    NIBBLE_TRY_ASSIGN(job->c, read_matrix(options.c));
    NIBBLE_TRY(check_shape(options.c, job->c, job->a.rows, job->b.rows));
  }
  NIBBLE_TRY(read_bias(options.bias, BiasAxis::kColumn, job));
  NIBBLE_TRY(read_bias(options.row_bias, BiasAxis::kRow, job));
  if (!options.residual.empty()) {
    NIBBLE_TRY_ASSIGN(job->residual, read_matrix(options.residual));
    NIBBLE_TRY(check_shape(options.residual, job->residual, job->a.rows, job->columns()));
  }
  if (options.epilogue.empty()) return {};
  NIBBLE_TRY_ASSIGN(job->user_source, read_text(options.epilogue, kLargestSource));
  if (!job->user_source.empty()) return {};
  return bad(options.epilogue + ": is empty");
}

Status write_output(const std::string& path, const GemmJob& job, const std::vector<uint8_t>& d) {
  const std::vector<int64_t> shape{job.a.rows, job.columns()};
  if (path.ends_with(".npy")) {
    const char* type = job.output == OutputType::kF32 ? "<f4" : "<f2";
    NIBBLE_TRY_ASSIGN(NpyWriter writer, NpyWriter::create(path, type, shape));
    NIBBLE_TRY(writer.write(0, d.data(), d.size()));
    return writer.commit();
  }
  TensorInfo tensor;
  tensor.name = "D";
  tensor.type = job.output == OutputType::kF32   ? "F32"
                : job.output == OutputType::kF16 ? "F16"
                                                 : "BF16";
  tensor.shape = shape;
  NIBBLE_TRY_ASSIGN(
      SafetensorsWriter writer,
      SafetensorsWriter::create(path, {tensor}, {{"multiplied_by", "nibble " NIBBLE_VERSION}}));
  NIBBLE_TRY(writer.write(0, 0, d.data(), d.size()));
  return writer.commit();
}

ProductError compare(const GemmJob& job, const std::vector<uint8_t>& d) {
  HostProblem problem;
  problem.a = &job.a;
  problem.b = &job.b;
  problem.c = job.beta == 0 ? nullptr : &job.c;
  problem.bias = job.bias.data();
  problem.bias_axis = job.bias_axis;
  problem.alpha = double{job.alpha};
  problem.beta = double{job.beta};
  problem.activation = job.activation;
  problem.gated = job.gated;
  problem.residual = job.residual.values.empty() ? nullptr : &job.residual;
  return compare_product(problem, widened(d, job.output), kReferenceBudget);
}

// What is wrong with the options themselves.
Outcome check_options(const GemmOptions& options) {
  if (options.b.empty()) return usage("two matrices are required: A and B");
  if (options.output.empty()) return usage("-o is required: where D goes");
  const bool array = options.output.ends_with(".npy");
  if (!array && !options.output.ends_with(".safetensors")) {
    return usage(options.output + ": must end in .npy or .safetensors");
  }
  if (array && options.job.output == OutputType::kBf16) {
    return usage(options.output + ": NumPy has no bf16; give a .safetensors file");
  }
  std::error_code error;
  for (const std::string& input :
       {options.a, options.b, options.c, options.bias, options.row_bias, options.residual}) {
    const std::string path =
        input.substr(0, input.rfind(".safetensors:") == std::string::npos ? std::string::npos
                                                                          : input.rfind(':'));
    if (!input.empty() && std::filesystem::equivalent(path, options.output, error)) {
      return usage(options.output + ": is an input; give another output");
    }
  }
  if ((options.job.beta != 0) != !options.c.empty()) {
    return usage("--beta and --c go together: give both or neither");
  }
  if (!options.bias.empty() && !options.row_bias.empty()) {
    return usage("--bias and --row-bias: one of them");
  }
  if (Status status = check(options.job.operands); !status.ok()) return {Exit::kUsage, status};
  if (!options.job.user_arguments.empty() && options.epilogue.empty()) {
    return usage("--epilogue-arguments needs --epilogue");
  }
  return {};
}

Outcome multiply_files(const GemmOptions& options, Session& session) {
  if (Outcome checked = check_options(options); !checked.status.ok()) return checked;
  GemmJob job = options.job;
  if (Status status = read_inputs(options, &job); !status.ok()) {
    return {Exit::kBadInput, status};
  }
  Result<Context> context = Context::create(session.library_options());
  if (!context.ok()) return failure(context.status());
  const Result<GemmAnswer> answer = multiply(*context, job);
  if (!answer.ok()) return failure(answer.status());
  if (Status status = write_output(options.output, job, answer->d); !status.ok()) {
    return failure(status);
  }
  GemmReport report;
  report.a = options.a;
  report.b = options.b;
  report.output = options.output;
  report.m = job.a.rows;
  report.n = job.b.rows;
  report.k = job.a.columns;
  report.device = context->device();
  report.job = &job;
  report.answer = &*answer;
  if (job.user_source.empty()) report.error = compare(job, answer->d);
  if (answer->explanation) report.explanation = &*answer->explanation;
  print_report(report, session);
  return {};
}

// Without files and without a GPU.
Outcome explain_sizes(const GemmOptions& options, Session& session) {
  Options library = session.library_options();
  if (library.device.empty()) library.device = "none:sm_100a";
  Result<Context> context = Context::create(library);
  if (!context.ok()) return failure(context.status());
  GemmRequest request;
  request.format = options.job.operands.format;
  request.a.fp8 = options.job.operands.a_fp8;
  request.b.fp8 = options.job.operands.b_fp8;
  request.config = options.job.config;
  request.m = options.m;
  request.n = options.n;
  request.k = options.k;
  request.alpha = options.job.alpha;
  request.d.type = options.job.output;
  request.epilogue.activation = options.job.activation;
  request.epilogue.gated = options.job.gated;
  request.kernel = options.job.kernel;
  const Result<GemmExplanation> explanation = explain(*context, request);
  if (!explanation.ok()) return failure(explanation.status());
  GemmReport report;
  report.m = options.m;
  report.n = options.n;
  report.k = options.k;
  report.device = context->device();
  report.job = &options.job;
  report.explanation = &*explanation;
  print_report(report, session);
  return {};
}

Outcome gemm_command(const GemmOptions& options, Session& session) {
  const bool sizes = options.m > 0 || options.n > 0 || options.k > 0;
  if (!sizes) return multiply_files(options, session);
  if (!options.a.empty() || !options.job.explain) {
    return usage("--m, --n and --k are for --explain without files");
  }
  if (options.m < 1 || options.n < 1 || options.k < 1) {
    return usage("--explain without files needs --m, --n and --k");
  }
  return explain_sizes(options, session);
}

void add_epilogue_options(CLI::App& command, GemmOptions* options) {
  GemmJob& job = options->job;
  command.add_option("--alpha", job.alpha)->capture_default_str();
  command.add_option("--beta", job.beta, "Of C")->capture_default_str();
  command.add_option("--c", options->c, "C, [m, n]");
  command.add_option("--bias", options->bias, "[n], added to each row of the product");
  command.add_option("--row-bias", options->row_bias, "[m], added to each column");
  command.add_option("--residual", options->residual, "Of D's shape, added after the activation");
  add_activation_options(command, &job.activation, &job.gated);
  command.add_option("--epilogue", options->epilogue,
                     "CUDA source of a struct Epilogue with __device__ float operator()(float "
                     "value, long long row, long long column) const");
  command
      .add_option("--epilogue-arguments", job.user_arguments,
                  "The members of struct Epilogue, all float")
      ->delimiter(',');
}

}  // namespace

void add_gemm(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand(
      "gemm", "D = A x B^T of two matrices that are quantised first, and how far D is off");
  command->footer(
      "A is [m, k] and B is [n, k]: a .npy file (f32, f16) or FILE.safetensors:TENSOR (F32, F16,\n"
      "BF16). D is a .npy or a .safetensors file (tensor D); it is replaced where it exists.\n"
      "\n"
      "Examples:\n"
      "  nibble gemm x.npy model.safetensors:layer.0.weight -o y.npy\n"
      "  nibble gemm a.npy b.npy -o d.npy --format mxfp8 --bias bias.npy --activation silu\n"
      "  nibble gemm --explain --m 4096 --n 4096 --k 4096 --output bf16");
  const auto options = std::make_shared<GemmOptions>();
  GemmJob& job = options->job;
  command->add_option("a", options->a, "A, [m, k]");
  command->add_option("b", options->b, "B, [n, k]");
  command->add_option("-o,--d", options->output, "D");
  add_operand_options(*command, &job.operands);
  command->add_option("--output", job.output, "Type of D: f32, f16 or bf16")
      ->transform(CLI::CheckedTransformer(by_name<OutputType>(output_name, 3)))
      ->default_str("f32");
  command->add_option("--kernel", job.kernel, "auto, tensor (tensor cores) or trusted (plain)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, GemmKernel>{{"auto", GemmKernel::kAuto},
                                            {"tensor", GemmKernel::kTensor},
                                            {"trusted", GemmKernel::kTrusted}}))
      ->default_str("auto");
  add_config_option(*command, &job.config);
  add_epilogue_options(*command, options.get());
  command->add_flag("--explain", job.explain,
                    "Print the configuration and what bounds its time by a model; without files, "
                    "for --m, --n and --k");
  command->add_option("--m", options->m)->check(CLI::PositiveNumber);
  command->add_option("--n", options->n)->check(CLI::PositiveNumber);
  command->add_option("--k", options->k)->check(CLI::PositiveNumber);
  command->callback([action, options] {
    *action = [options](Session& session) { return gemm_command(*options, session); };
  });
}

}  // namespace nibble::cli
