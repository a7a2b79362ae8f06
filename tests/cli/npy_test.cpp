// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/npy.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

// A file as NumPy writes it, put together here by the format's description.
std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string header = dictionary + "\n";
  std::string bytes = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

TEST(Npy, ReadsWhatNumpyWrites) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.npy");
  for (const int version : {1, 2, 3}) {
    write_file(path, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                         std::string(24, 'x'), version));
    const auto file = NpyFile::open(path);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->rows(), 2);
    EXPECT_EQ(file->columns(), 3);
    EXPECT_EQ(file->type(), DataType::kF32);
    EXPECT_EQ(file->file().size() - file->data_start(), 24U);
  }
  write_file(path, npy(R"({"shape": (5,), "fortran_order": False, "descr": "<f2"})",
                       std::string(10, 'x')));
  const auto vector = NpyFile::open(path);
  ASSERT_TRUE(vector.ok()) << vector.status().to_string();
  EXPECT_EQ(vector->rows(), 1);
  EXPECT_EQ(vector->columns(), 5);
  write_file(path, npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3, 4), }",
                       std::string(48, 'x')));
  const auto cube = NpyFile::open(path);
  ASSERT_TRUE(cube.ok());
  EXPECT_EQ(cube->rows(), 6);
  EXPECT_EQ(cube->columns(), 4);
}

TEST(Npy, RefusesOthersAndSaysWhy) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.npy");
  const auto message = [&](const std::string& bytes) {
    write_file(path, bytes);
    const auto file = NpyFile::open(path);
    EXPECT_FALSE(file.ok());
    return file.ok() ? std::string() : std::string(file.status().message());
  };
  const auto of = [&](const std::string& type, const std::string& order, const std::string& shape,
                      size_t bytes) {
    return message(
        npy("{'descr': " + type + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }",
            std::string(bytes, 'x')));
  };
  EXPECT_NE(of("'<f4'", "True", "(2, 3)", 24).find("Fortran"), std::string::npos);
  EXPECT_NE(of("'<V2'", "False", "(2, 3)", 12).find("bfloat16"), std::string::npos);
  EXPECT_NE(of("'<f8'", "False", "(2, 3)", 48).find("<f4"), std::string::npos);
  EXPECT_NE(of("'>f4'", "False", "(2, 3)", 24).find("<f4"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "()", 4).find("scalar"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "(0, 3)", 0).find("elements"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "(2, 3)", 23).find("24 bytes"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "(2, 3)", 25).find("24 bytes"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "(4611686018427387904, 4)", 16).find("2^63"), std::string::npos);
  EXPECT_NE(of("'<f4'", "False", "(-2, 3)", 24).find("dictionary"), std::string::npos);
  EXPECT_NE(of("[('a', '<f4')]", "False", "(2,)", 8).find("dictionary"), std::string::npos);
  EXPECT_NE(message("short").find("short"), std::string::npos);
  EXPECT_NE(message(std::string(100, 'x')).find("magic"), std::string::npos);
  EXPECT_NE(message(npy("{}", "", 9)).find("version 9"), std::string::npos);
  EXPECT_NE(message(npy("{}", "", 200)).find("version 200"), std::string::npos);
}

TEST(Npy, WritesWhatItReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.npy");
  auto writer = NpyWriter::create(path, "<f4", {2, 1});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->write(4, "efgh", 4).ok());
  ASSERT_TRUE(writer->write(0, "abcd", 4).ok());
  ASSERT_TRUE(writer->commit().ok());
  const std::string bytes = read_file(path);
  EXPECT_EQ(bytes.substr(bytes.size() - 8), "abcdefgh");
  EXPECT_EQ((bytes.size() - 8) % 64, 0U);
  EXPECT_EQ(bytes[bytes.size() - 9], '\n');
  const auto file = NpyFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->shape(), (std::vector<int64_t>{2, 1}));
}

TEST(Npy, SurvivesMutatedHeaders) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 345), }\n";
  ASSERT_TRUE(parse_npy_header(header).ok());
  std::mt19937 random(21);
  const std::string alphabet = "0123456789(){}'\",:- \\TFx\n";
  for (int round = 0; round < 100000; ++round) {
    std::string mutated = header;
    for (unsigned edits = 1 + random() % 3; edits-- > 0 && !mutated.empty();) {
      const size_t at = random() % mutated.size();
      if (random() % 2 == 0) {
        mutated[at] = alphabet[random() % alphabet.size()];
      } else {
        mutated.erase(at, 1 + random() % 20);
      }
    }
    const auto parsed = parse_npy_header(mutated);
    if (!parsed.ok()) {
      ASSERT_EQ(parsed.status().code(), Code::kInvalidArgument);
      continue;
    }
    for (const int64_t extent : parsed->shape) ASSERT_GE(extent, 0);
  }
}

}  // namespace
}  // namespace nibble::cli
