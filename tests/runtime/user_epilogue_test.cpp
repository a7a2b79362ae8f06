// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A user's epilogue: what is refused and how it is told, what is shared, what is compiled.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "nibble/gemm.hpp"
#include "runtime/context_state.h"
#include "runtime/families/user_epilogue.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kClamp = R"(
struct Epilogue {
  float low, high;
  __device__ float operator()(float value, long long row, long long column) const {
    return fminf(fmaxf(value, low), high);
  }
};
)";

class UserEpilogueTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nibble-user-epilogue-" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Context create(const std::string& device = "none:sm_100a") {
    Options options;
    options.device = device;
    options.cache_directory = folder_.string();
    Result<Context> context = Context::create(options);
    EXPECT_TRUE(context.ok()) << context.status().to_string();
    return std::move(context).value();
  }

  // The source must be refused with all of `parts` in the message; refused_ is then the status.
  void expect_refused(std::string_view source, const std::vector<std::string_view>& parts) {
    Context context = create();
    const Status status = UserEpilogue::create(context, source).status();
    EXPECT_EQ(status.code(), Code::kCompileFailed) << status.to_string();
    for (std::string_view part : parts) {
      EXPECT_NE(status.message().find(part), std::string::npos)
          << part << " is not in: " << status.message() << "\n"
          << status.detail();
    }
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    refused_ = status;
  }
  static const UserSource* source_of(const Result<UserEpilogue>& epilogue) {
    EXPECT_TRUE(epilogue.ok()) << epilogue.status().to_string() << epilogue.status().detail();
    return epilogue.ok() ? UserEpilogueAccess::source(*epilogue) : nullptr;
  }

  fs::path folder_;
  Status refused_;
};

TEST_F(UserEpilogueTest, MistakesAreReportedInTheUsersLines) {
  expect_refused(
      "struct Epilogue {\n"
      "  __device__ float operator()(float value, long long, long long) const {\n"
      "    return value * scale;\n"
      "  }\n"
      "};\n",
      {"epilogue.cuh(3): error: ", "\"scale\""});
  for (std::string_view part : {"return value * scale;", "1 error detected"}) {
    EXPECT_NE(refused_.detail().find(part), std::string::npos) << refused_.detail();
  }

  expect_refused("struct Epilogue {\n\n  float limit\n};\n", {"epilogue.cuh(4): error: ", "\";\""});
}

TEST_F(UserEpilogueTest, WrongSignaturesSayTheRightOne) {
  constexpr std::string_view kRule =
      "__device__ float operator()(float value, long long row, long long column) const";
  expect_refused("struct Epilogue { float a; };", {kRule});
  expect_refused("struct Epilogue { __device__ float operator()(float x) const { return x; } };",
                 {kRule});
  expect_refused(
      "struct Epilogue { __device__ double operator()(float x, long long, long long) const "
      "{ return x; } };",
      {kRule});
  expect_refused(
      "struct Epilogue { __device__ float operator()(float x, long long, long long) "
      "{ return x; } };",
      {kRule});
  expect_refused(
      "struct Epilogue { float operator()(float x, long long, long long) const { return x; } };",
      {"epilogue.cuh(1): error: ", "__device__"});
}

TEST_F(UserEpilogueTest, StructsThatCannotBeArguments) {
  constexpr std::string_view kCall =
      "__device__ float operator()(float x, long long, long long) const { return x; } };";
  expect_refused("struct Epilogue { float table[33];" + std::string(kCall),
                 {"sizeof 132", "at most 128"});
  expect_refused("struct Epilogue { alignas(32) float a;" + std::string(kCall),
                 {"alignof 32", "at most 16"});
  expect_refused("struct Epilogue { __device__ Epilogue(const Epilogue&) {} " + std::string(kCall),
                 {"trivially copyable"});
  expect_refused("struct Other { " + std::string(kCall), {"must define struct Epilogue"});
  expect_refused("namespace mine { struct Epilogue { " + std::string(kCall) + "}",
                 {"must define struct Epilogue"});
  expect_refused("", {"must define struct Epilogue"});
  expect_refused(std::string_view("struct Epilogue\0{};", 19), {"a byte that is 0"});
}

TEST_F(UserEpilogueTest, IncludesAreRefusedWithTheirLine) {
  const std::string call(kClamp);
  for (const char* include :
       {"#include <cuda_fp16.h>", "  #  include \"common/types.cuh\"", "%:include <math.h>",
        "/* x */ #include <x>", "#include \"epilogue.cuh\""}) {
    expect_refused("// One\n" + std::string(include) + call,
                   {"epilogue.cuh(2): error: ", "may include nothing"});
  }
  Context context = create();
  for (const char* comment : {"// #include <a>\n", "/*\n#include <a>\n*/", "/* \" */ // '\n// \\\n",
                              "// #define A '\"'"}) {
    const auto epilogue = UserEpilogue::create(context, comment + call);
    EXPECT_TRUE(epilogue.ok()) << comment << ": " << epilogue.status().to_string();
  }
}

TEST_F(UserEpilogueTest, EqualTextsAreOneAndAreCompiledOnce) {
  Context context = create();
  const UserSource* first = source_of(UserEpilogue::create(context, kClamp));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->argument_bytes, 8);
  EXPECT_EQ(first->digest.size(), 32u);
  EXPECT_EQ(context.statistics().compiles, 1u);
  EXPECT_EQ(source_of(UserEpilogue::create(context, std::string(kClamp))), first);
  EXPECT_EQ(context.statistics().compiles, 1u);
  const UserSource* other = source_of(UserEpilogue::create(context, std::string(kClamp) + "\n"));
  EXPECT_NE(other, first);
  EXPECT_NE(other->digest, first->digest);
  EXPECT_EQ(context.statistics().compiles, 2u);

  Context later = create();
  EXPECT_EQ(source_of(UserEpilogue::create(later, kClamp))->argument_bytes, 8);
  EXPECT_EQ(later.statistics().compiles, 0u);
  EXPECT_EQ(later.statistics().disk_hits, 1u);
}

TEST_F(UserEpilogueTest, EveryTargetKnowsTheSize) {
  for (const Arch& arch : all_archs()) {
    Context context = create("none:" + std::string(arch.name));
    const UserSource* source = source_of(UserEpilogue::create(context, kClamp));
    ASSERT_NE(source, nullptr) << arch.name;
    EXPECT_EQ(source->argument_bytes, 8);
    EXPECT_TRUE(source->has_members);
  }
}

TEST_F(UserEpilogueTest, ArgumentsMustHaveTheStructsSize) {
  Context context = create();
  GemmEpilogue epilogue;
  const float arguments[2] = {0, 1};
  EXPECT_TRUE(check_user_arguments(epilogue, Pointers::kRequired).ok());
  epilogue.user_argument_bytes = 8;
  EXPECT_NE(check_user_arguments(epilogue, Pointers::kRequired).message().find("no epilogue.user"),
            std::string::npos);
  epilogue.user = UserEpilogue::create(context, kClamp).value();
  EXPECT_NE(check_user_arguments(epilogue, Pointers::kRequired).message().find("is null"),
            std::string::npos);
  EXPECT_TRUE(check_user_arguments(epilogue, Pointers::kOptional).ok());
  epilogue.user_arguments = arguments;
  EXPECT_TRUE(check_user_arguments(epilogue, Pointers::kRequired).ok());
  epilogue.user_argument_bytes = 12;
  const Status status = check_user_arguments(epilogue, Pointers::kRequired);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("= 12: must be sizeof(Epilogue) = 8"), std::string::npos)
      << status.message();

  epilogue.user = UserEpilogue::create(context,
                                       "struct Epilogue { __device__ float operator()(float x, "
                                       "long long, long long) const { return x; } };")
                      .value();
  epilogue.user_arguments = nullptr;
  epilogue.user_argument_bytes = 0;
  EXPECT_TRUE(check_user_arguments(epilogue, Pointers::kRequired).ok());
}

TEST_F(UserEpilogueTest, IsPartOfSourceLabelAndHash) {
  static constexpr int kValues[] = {32};
  static constexpr Constant kConstants[] = {
      {"kThreads", "threads", "threads", Constant::Origin::kTuned, kValues, {}}};
  static constexpr Variant kVariants[] = {{"some.cuh", 0}};
  const Family family{"some", "SomeParams", kConstants, kVariants, nullptr, nullptr, true};
  const UserSource user{"", "0123456789abcdef0123456789abcdef", 4, true};
  const UserSource same_text = user;
  KernelSpec spec = default_spec(family, *find_arch("sm_100a"));
  const KernelSpec plain = spec;
  spec.source = &user;
  EXPECT_EQ(label(spec), "some sm_100a threads=32 user=01234567");
  EXPECT_TRUE(
      render(spec).starts_with("// some sm_100a threads=32 user=01234567\n"
                               "#include \"epilogue.cuh\"\n"
                               "struct Config {\n"
                               "  enum : int {\n"
                               "    kThreads = 32,\n"
                               "    kUser = 1,\n"
                               "  };\n"
                               "  using Epilogue = ::Epilogue;\n"
                               "};\n"
                               "#include \"some.cuh\"\n"))
      << render(spec);
  EXPECT_TRUE(
      render(plain).starts_with("// some sm_100a threads=32\n"
                                "struct Config {\n"
                                "  enum : int {\n"
                                "    kThreads = 32,\n"
                                "    kUser = 0,\n"
                                "  };\n"
                                "};\n"))
      << render(plain);
  KernelSpec other = spec;
  other.source = &same_text;
  EXPECT_NE(spec, plain);
  EXPECT_NE(spec, other);
  EXPECT_NE(spec.hash(), plain.hash());
  EXPECT_NE(spec.hash(), other.hash());
}

}  // namespace
}  // namespace nibble
