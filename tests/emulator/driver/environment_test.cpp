// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the environment decides, each in a process of its own: finding the library as libcuda.so.1,
// and every NIBBLE_EMULATOR_* variable.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/emulator/driver/library.h"

namespace nibble::test {
namespace {

namespace fs = std::filesystem;

struct Child {
  int status = -1;
  std::string output;  // stdout and stderr
};

// This program anew, with one test of ProgramInChild and some environment.
Child run_child(const std::string& test, const std::map<std::string, std::string>& environment) {
  const fs::path output =
      fs::temp_directory_path() / ("nibble_environment_" + std::to_string(getpid()));
  std::string command = "env -u NIBBLE_EMULATOR_QUIET";
  for (const auto& [name, value] : environment) command += " " + name + "='" + value + "'";
  command += " '" + fs::read_symlink("/proc/self/exe").string() + "'";
  command += " --gtest_also_run_disabled_tests --gtest_filter='ProgramInChild.DISABLED_" + test +
             "' >'" + output.string() + "' 2>&1";
  Child child;
  const int status = std::system(command.c_str());
  child.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::stringstream text;
  text << std::ifstream(output).rdbuf();
  child.output = text.str();
  fs::remove(output);
  return child;
}

template <class... Args>
CUresult call_in(void* library, const char* name, Args... args) {
  return reinterpret_cast<CUresult (*)(Args...)>(dlsym(library, name))(args...);
}

// A program that uses the Driver API of whatever is found under a name, and tells what it got.
void run_program(const char* soname) {
  void* const library = dlopen(soname, RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const CUresult start = call_in(library, "cuInit", 0u);
  std::printf("cuInit: %d\n", start);
  if (start != CUDA_SUCCESS) return;
  int count = 0;
  call_in(library, "cuDeviceGetCount", &count);
  for (int i = 0; i < count; ++i) {
    std::array<char, 100> name{};
    call_in(library, "cuDeviceGetName", name.data(), static_cast<int>(name.size()), i);
    int multiprocessors = 0;
    call_in(library, "cuDeviceGetAttribute", &multiprocessors,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, i);
    std::printf("device: %s, %d multiprocessors\n", name.data(), multiprocessors);
  }
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction add = nullptr;
  CUdeviceptr words = 0;
  call_in(library, "cuCtxCreate_v2", &context, 0u, 0);
  ASSERT_EQ(call_in(library, "cuModuleLoadData", &module, static_cast<const void*>(kPtx)),
            CUDA_SUCCESS);
  call_in(library, "cuModuleGetFunction", &add, module, "add");
  ASSERT_EQ(call_in(library, "cuMemAlloc_v2", &words, size_t{256}), CUDA_SUCCESS);
  unsigned n = 32;
  void* parameters[] = {&words, &words, &words, &n};  // reads what nobody wrote
  ASSERT_EQ(call_in(library, "cuLaunchKernel", add, 1u, 1u, 1u, 32u, 1u, 1u, 0u, CUstream{},
                    static_cast<void**>(parameters), static_cast<void**>(nullptr)),
            CUDA_SUCCESS);
  std::printf("result: %d\n", call_in(library, "cuCtxSynchronize"));
}

TEST(ProgramInChild, DISABLED_Libcuda) { run_program("libcuda.so.1"); }
TEST(ProgramInChild, DISABLED_Emulator) { run_program(NIBBLE_EMULATOR_LIBRARY); }

bool has(const Child& child, const std::string& text) {
  return child.output.find(text) != std::string::npos;
}

TEST(Environment, IsFoundAsLibcuda) {
  const fs::path folder =
      fs::temp_directory_path() / ("nibble_libcuda_" + std::to_string(getpid()));
  fs::create_directories(folder);
  fs::create_symlink(fs::absolute(NIBBLE_EMULATOR_LIBRARY), folder / "libcuda.so.1");
  const Child child = run_child("Libcuda", {{"LD_LIBRARY_PATH", folder.string()}});
  fs::remove_all(folder);
  EXPECT_EQ(child.status, 0) << child.output;
  EXPECT_TRUE(has(child, "device: nibble emulator (sm_100a)")) << child.output;
  EXPECT_TRUE(has(child, "result: 0")) << child.output;
}

TEST(Environment, Devices) {
  const Child child = run_child("Emulator", {{"NIBBLE_EMULATOR_DEVICES", "sm_90a,sm_120a"}});
  EXPECT_TRUE(has(child,
                  "device: nibble emulator (sm_90a), 132 multiprocessors\n"
                  "device: nibble emulator (sm_120a), 170 multiprocessors\nr"))
      << child.output;
  const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_DEVICES", "sm_1"}});
  EXPECT_TRUE(has(wrong, "cuInit: 100")) << wrong.output;
  EXPECT_TRUE(has(wrong, "NIBBLE_EMULATOR_DEVICES: 'sm_1'")) << wrong.output;
}

TEST(Environment, Multiprocessors) {
  const auto prints = [](const char* counts, const char* first, const char* second) {
    const Child child = run_child("Emulator", {{"NIBBLE_EMULATOR_DEVICES", "sm_90a,sm_120a"},
                                               {"NIBBLE_EMULATOR_MULTIPROCESSORS", counts}});
    EXPECT_TRUE(has(child, "(sm_90a), " + std::string(first) + " multi")) << child.output;
    EXPECT_TRUE(has(child, "(sm_120a), " + std::string(second) + " multi")) << child.output;
  };
  prints("8", "8", "8");
  prints("0,8", "132", "8");
  prints("8,0,3", "8", "170");
  for (const char* counts : {"few", "8,few", "8,1025", "8,-1"}) {
    const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_MULTIPROCESSORS", counts}});
    EXPECT_TRUE(has(wrong, "cuInit: 100")) << wrong.output;
    EXPECT_TRUE(has(wrong, "NIBBLE_EMULATOR_MULTIPROCESSORS='")) << wrong.output;
  }
}

TEST(Environment, Threads) {
  EXPECT_TRUE(has(run_child("Emulator", {{"NIBBLE_EMULATOR_THREADS", "3"}}), "result: 0"));
  const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_THREADS", "many"}});
  EXPECT_TRUE(has(wrong, "cuInit: 100")) << wrong.output;
  EXPECT_TRUE(has(wrong, "NIBBLE_EMULATOR_THREADS='many'")) << wrong.output;
}

TEST(Environment, CheckAndQuiet) {
  const Child checked = run_child("Emulator", {{"NIBBLE_EMULATOR_CHECK", "uninitialized"}});
  EXPECT_TRUE(has(checked, "result: 719")) << checked.output;
  EXPECT_TRUE(has(checked, "that were never written")) << checked.output;
  const Child quiet = run_child(
      "Emulator", {{"NIBBLE_EMULATOR_CHECK", "uninitialized"}, {"NIBBLE_EMULATOR_QUIET", "1"}});
  EXPECT_TRUE(has(quiet, "result: 719")) << quiet.output;
  EXPECT_FALSE(has(quiet, "that were never written")) << quiet.output;
  const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_CHECK", "everything"}});
  EXPECT_TRUE(has(wrong, "'everything' is no check")) << wrong.output;
}

TEST(Environment, Counters) {
  const Child child = run_child("Emulator", {{"NIBBLE_EMULATOR_COUNTERS", "1"}});
  // `add` has 19 instructions, which one warp executes once.
  EXPECT_TRUE(has(child, "nibble emulator: 19 warp instructions")) << child.output;
  EXPECT_TRUE(has(child, "kernel add (sm_90): 1 launches, 1 blocks, 32 threads")) << child.output;
  EXPECT_FALSE(has(run_child("Emulator", {}), "warp instructions"));
  const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_COUNTERS", "file.txt"}});
  EXPECT_TRUE(has(wrong, "NIBBLE_EMULATOR_COUNTERS='file.txt'")) << wrong.output;
}

nlohmann::json take_json(const fs::path& path) {
  nlohmann::json json = nlohmann::json::parse(std::ifstream(path), nullptr, false);
  fs::remove(path);
  return json;
}

TEST(Environment, CountersAndTraceInFiles) {
  const fs::path folder = fs::temp_directory_path();
  const fs::path counters = folder / ("nibble_counters_" + std::to_string(getpid()) + ".json");
  const fs::path trace = folder / ("nibble_trace_" + std::to_string(getpid()) + ".json");
  const Child child = run_child("Emulator", {{"NIBBLE_EMULATOR_COUNTERS", counters.string()},
                                             {"NIBBLE_EMULATOR_TRACE", trace.string()}});
  EXPECT_FALSE(has(child, "kernel add")) << child.output;
  const nlohmann::json counted = take_json(counters);
  ASSERT_TRUE(counted.is_object()) << child.output;
  EXPECT_EQ(counted["kernels"][0]["name"], "add");
  EXPECT_EQ(counted["kernels"][0]["global"]["load global"]["bytes"], 256);
  const nlohmann::json traced = take_json(trace);
  ASSERT_TRUE(traced.is_object()) << child.output;
  EXPECT_EQ(traced["traceEvents"].back()["name"], "run");
  const Child wrong = run_child("Emulator", {{"NIBBLE_EMULATOR_TRACE", "1"}});
  EXPECT_TRUE(has(wrong, "NIBBLE_EMULATOR_TRACE='1'")) << wrong.output;
}

}  // namespace
}  // namespace nibble::test
