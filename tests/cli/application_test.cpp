// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Exit codes, JSON, help; the commands that need no device.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cache/store.h"
#include "tests/cli/command.h"
#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

TEST(Application, HelpAndVersion) {
  const Ran version = run_command({"--version"});
  EXPECT_EQ(version.exit, 0);
  EXPECT_EQ(version.out.substr(0, 7), "nibble ");
  const Ran help = run_command({"--help"});
  EXPECT_EQ(help.exit, 0);
  for (const char* text : {"info", "quantize", "inspect", "cache", "Examples:", "Exit codes:"}) {
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
  }
  for (const char* command : {"info", "quantize", "inspect", "cache", "make-checkpoint"}) {
    const Ran ran = run_command({command, "--help"});
    EXPECT_EQ(ran.exit, 0) << command;
    EXPECT_NE(ran.out.find("Example"), std::string::npos) << command;
  }
}

TEST(Application, WrongUsageIsExitCode2AndOneLine) {
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"bogus"},
      {"quantize"},
      {"quantize", "a.safetensors"},
      {"quantize", "a", "-o", "b", "--format", "gguf"},
      {"quantize", "a", "-o", "b", "--algorithm", "INT4"},
      {"inspect", "softmax"},
      {"inspect", "gemm", "--config", "tile=128"},
      {"inspect", "gemm", "--config", "tile_n=many"},
      {"inspect", "gemm", "--config", "tile_n=48"},
      {"inspect", "gemm", "--b-fp8", "e5m2"},
      {"inspect", "quantize", "--rows", "0"},
      {"inspect", "quantize", "--target", "sm_75"},
      {"cache"},
      {"cache", "clear"},
      {"cache", "stat", "--dir", "relative"},
      {"make-checkpoint"},
      {"info", "--device", "abacus:1"},
  };
  for (const auto& arguments : cases) {
    const Ran ran = run_command(arguments);
    std::string shown;
    for (const std::string& argument : arguments) shown += argument + " ";
    EXPECT_EQ(ran.exit, 2) << shown << ran.err;
    EXPECT_EQ(ran.err.substr(0, 8), "nibble: ") << shown;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << shown << ran.err;
    EXPECT_EQ(ran.out, "") << shown;
  }
  EXPECT_NE(run_command({"bogus"}).err.find("bogus"), std::string::npos);
}

TEST(Application, ErrorsAreObjectsWithJson) {
  const Ran ran = run_command({"--json", "quantize", "/nowhere/a.safetensors", "-o", "b"});
  EXPECT_EQ(ran.exit, 3);
  ASSERT_TRUE(ran.json().is_object()) << ran.out;
  EXPECT_EQ(ran.json()["error"]["exit_code"], 3);
  EXPECT_EQ(ran.json()["error"]["kind"], "bad input");
  EXPECT_NE(ran.json()["error"]["message"].get<std::string>().find("/nowhere/a.safetensors"),
            std::string::npos);
}

TEST(Application, BadInputsAreExitCode3AndLeaveNoOutput) {
  const TemporaryFolder folder;
  write_file(folder.file("text.safetensors"), "this is no safetensors file");
  write_file(folder.file("text.npy"), "this is no npy file, nor anything like it");
  std::filesystem::create_directory(folder.file("empty"));
  for (const char* name : {"text.safetensors", "text.npy", "empty", "none"}) {
    const Ran ran =
        run_command({"quantize", folder.file(name), "-o", folder.file("out.safetensors")});
    EXPECT_EQ(ran.exit, 3) << name << ran.err;
    EXPECT_NE(ran.err.find(name), std::string::npos) << ran.err;
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"empty", "text.npy", "text.safetensors"}));
}

TEST(Application, NeverWritesOverTheInput) {
  const TemporaryFolder folder;
  const std::string model = folder.file("a.safetensors");
  ASSERT_EQ(run_command({"make-checkpoint", "-o", model, "--hidden", "32", "--layers", "1"}).exit,
            0);
  std::filesystem::create_hard_link(model, folder.file("b.safetensors"));
  std::filesystem::create_symlink(model, folder.file("c.safetensors"));
  const std::string before = read_file(model);
  for (const char* name : {"a.safetensors", "b.safetensors", "c.safetensors"}) {
    EXPECT_EQ(run_command({"quantize", model, "-o", folder.file(name)}).exit, 2) << name;
  }
  EXPECT_EQ(run_command({"quantize", folder.path(), "-o", folder.path()}).exit, 2);
  EXPECT_EQ(read_file(model), before);
}

TEST(Application, MakeCheckpointIsTheSameEverywhere) {
  const TemporaryFolder folder;
  const auto make = [&](const char* name, const char* seed) {
    const Ran ran =
        run_command({"make-checkpoint", "-o", folder.file(name), "--hidden", "64", "--seed", seed});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return read_file(folder.file(name));
  };
  const std::string first = make("a", "1");
  EXPECT_EQ(first, make("b", "1"));
  EXPECT_NE(first, make("c", "2"));
  // 64-bit FNV-1a: a change of these bytes is a change for everybody who compares results.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : first) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  EXPECT_EQ(hash, 0xe6abd766b1d342dfU) << std::hex << hash;
}

class CacheCommand : public testing::Test {
 protected:
  CacheCommand() {
    std::filesystem::permissions(folder_.path(), std::filesystem::perms::owner_all);
    cache::StoreOptions options;
    options.directory = folder_.path();
    cache::Store store(options);
    for (const char* key : {"first\n// quantize sm_100a threads=256\n", "second"}) {
      EXPECT_TRUE(store.put(key, std::string(1000, 'x')));
    }
    path_ = store.entry_path("second");
  }

  Ran cache(const std::string& command, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"cache", command, "--dir", folder_.path(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(CacheCommand, StatAndList) {
  const Ran stat = cache("stat");
  EXPECT_EQ(stat.exit, 0) << stat.err;
  EXPECT_EQ(stat.json()["entries"], 2);
  EXPECT_GT(stat.json()["bytes"], 2000);
  const Ran list = cache("list");
  EXPECT_EQ(list.exit, 0);
  ASSERT_EQ(list.json()["entries"].size(), 2U) << list.out;
  EXPECT_NE(list.out.find("quantize sm_100a threads=256"), std::string::npos);
}

TEST_F(CacheCommand, VerifyFindsDamage) {
  EXPECT_EQ(cache("verify").exit, 0);
  std::string bytes = read_file(path_);
  bytes[bytes.size() / 2] ^= 1;
  write_file(path_, bytes);
  const Ran damaged = cache("verify");
  EXPECT_EQ(damaged.exit, 5);
  EXPECT_EQ(damaged.json()["entries"], 2);
  ASSERT_EQ(damaged.json()["damaged"].size(), 1U) << damaged.out;
  EXPECT_EQ(damaged.json()["damaged"][0]["path"], path_);
}

TEST_F(CacheCommand, ClearRemovesEntriesAlone) {
  write_file(folder_.file("mine.txt"), "not an entry");
  EXPECT_EQ(cache("clear").exit, 2);
  EXPECT_EQ(cache("stat").json()["entries"], 2);
  const Ran cleared = cache("clear", {"--yes"});
  EXPECT_EQ(cleared.exit, 0) << cleared.err;
  EXPECT_EQ(cleared.json()["removed"], 2);
  EXPECT_EQ(cache("stat").json()["entries"], 0);
  EXPECT_EQ(read_file(folder_.file("mine.txt")), "not an entry");
}

TEST(Cache, AMissingFolderIsEmptyAndStaysMissing) {
  const TemporaryFolder folder;
  const std::string missing = folder.file("none");
  for (const char* command : {"stat", "list", "verify"}) {
    EXPECT_EQ(run_command({"cache", command, "--dir", missing}).exit, 0) << command;
  }
  EXPECT_EQ(run_command({"cache", "clear", "--yes", "--dir", missing}).exit, 0);
  EXPECT_FALSE(std::filesystem::exists(missing));
}

TEST(Program, PassesOnArgumentsAndExitCodes) {
  const TemporaryFolder folder;
  const auto exit_code = [&](const std::string& arguments) {
    const std::string line = std::string(NIBBLE_COMMAND) + " " + arguments + " >" +
                             folder.file("out") + " 2>" + folder.file("err");
    return WEXITSTATUS(std::system(line.c_str()));
  };
  EXPECT_EQ(exit_code("--version"), 0);
  EXPECT_EQ(read_file(folder.file("out")).substr(0, 7), "nibble ");
  EXPECT_EQ(exit_code("bogus"), 2);
  EXPECT_EQ(exit_code("quantize /nowhere -o x"), 3);
  // A full disk or a closed pipe must not look like success.
  EXPECT_NE(WEXITSTATUS(std::system((std::string(NIBBLE_COMMAND) +
                                     " cache stat --dir /nowhere/x >/dev/full 2>/dev/null")
                                        .c_str())),
            0);
}

}  // namespace
}  // namespace nibble::cli
