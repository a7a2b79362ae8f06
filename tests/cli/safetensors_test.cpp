// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/cli/temporary_folder.h"

namespace nibble::cli {
namespace {

std::string with_length(const std::string& header, const std::string& data) {
  uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

TEST(Safetensors, RoundTripKeepsNamesShapesBytesAndMetadata) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<TensorInfo> tensors = {{"bytes", "U8", {3}},
                                           {"scalar", "F32", {}},
                                           {"half \"quoted\" \xc3\xa9", "BF16", {2, 3}},
                                           {"empty", "F32", {0, 4}},
                                           {"long", "I64", {1}}};
  auto writer = SafetensorsWriter::create(path, tensors, {{"format", "pt"}});
  ASSERT_TRUE(writer.ok()) << writer.status().to_string();
  const std::string pieces[] = {"abc", "wxyz", "0123456789AB", "", "ABCDEFGH"};
  for (size_t i = 5; i-- > 0;) {  // in any order
    ASSERT_TRUE(writer->write(i, 0, pieces[i].data(), pieces[i].size()).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.safetensors"});

  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (const TensorInfo& read : file->tensors()) {
    const size_t i =
        static_cast<size_t>(std::find_if(tensors.begin(), tensors.end(),
                                         [&](const TensorInfo& t) { return t.name == read.name; }) -
                            tensors.begin());
    ASSERT_LT(i, tensors.size()) << read.name;
    EXPECT_EQ(read.type, tensors[i].type);
    EXPECT_EQ(read.shape, tensors[i].shape);
    std::string bytes(read.bytes, '\0');
    ASSERT_TRUE(file->file().read(file->position(read), bytes.data(), bytes.size()).ok());
    EXPECT_EQ(bytes, pieces[i]);
    if (read.bytes > 0) {
      EXPECT_EQ(file->position(read) % (*element_bits(read.type) / 8U), 0U) << read.name;
    }
  }
}

TEST(Safetensors, UnfinishedOutputLeavesNothingBehind) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  write_file(path, "old");
  {
    auto writer = SafetensorsWriter::create(path, {{"x", "U8", {2}}}, {});
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->write(0, 0, "a", 1).ok());
    EXPECT_FALSE(writer->commit().ok());             // a byte is missing
    EXPECT_FALSE(writer->write(0, 2, "a", 1).ok());  // past the end
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.safetensors"});
  EXPECT_EQ(read_file(path), "old");
}

struct Hostile {
  const char* header;
  uint64_t data_bytes;
  const char* rule;  // part of the message
};

TEST(Safetensors, RefusesHostileHeaders) {
  const std::string deep = R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const Hostile cases[] = {
      {"", 0, "start with {"},
      {" {}", 0, "start with {"},
      {"[]", 0, "start with {"},
      {"{", 0, "no JSON"},
      {"{}x", 0, "no JSON"},
      {"{\"a\xff\":1}", 0, "no JSON"},
      {"{\"a\":1e999}", 0, "1e999"},
      {R"({"a":1})", 0, "must be an object"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "must have dtype"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "unknown key"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "twice"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, "twice"},
      {R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "string"},
      {R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "no safetensors type"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "list"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "integer from 0"},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "integer from 0"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
       "integer from 0"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4, "2^64"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "whole number of bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "span 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "end before"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "two integers"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}})", 4, "two integers"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "the file has 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3, "the file has 3"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "starts at byte 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       6, "starts at byte 2"},
      {R"({"__metadata__":[]})", 0, "must be an object"},
      {R"({"__metadata__":{"a":1}})", 0, "must be a string"},
      {deep.c_str(), 0, "nested deeper"},
  };
  for (const Hostile& hostile : cases) {
    const auto header = parse_safetensors_header(hostile.header, hostile.data_bytes);
    const std::string shown = std::string(hostile.header).substr(0, 120);
    ASSERT_FALSE(header.ok()) << shown;
    EXPECT_EQ(header.status().code(), Code::kInvalidArgument) << shown;
    EXPECT_NE(header.status().message().find(hostile.rule), std::string_view::npos)
        << shown << "\n"
        << header.status().message();
  }
  EXPECT_TRUE(parse_safetensors_header("{}   ", 0).ok());
}

TEST(Safetensors, RefusesBadLengthsAndTruncatedFiles) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string whole = with_length(header, "1234");
  write_file(path, whole);
  EXPECT_TRUE(SafetensorsFile::open(path).ok());
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write_file(path, whole.substr(0, bytes));
    const auto file = SafetensorsFile::open(path);
    EXPECT_FALSE(file.ok()) << bytes;
  }
  write_file(path, whole + "5");
  EXPECT_FALSE(SafetensorsFile::open(path).ok());
  EXPECT_FALSE(SafetensorsFile::open(folder.path()).ok());
  EXPECT_FALSE(SafetensorsFile::open(folder.file("none")).ok());
  EXPECT_FALSE(parse_header_length(std::string(8, '\xff'), UINT64_MAX).ok());
  EXPECT_FALSE(parse_header_length(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8), UINT64_MAX).ok());
  EXPECT_TRUE(parse_header_length(std::string("\x00\xe1\xf5\x05\0\0\0\0", 8), UINT64_MAX).ok());
}

// Whatever is accepted must be what the format promises: tensors that tile the data exactly.
void expect_sound(const SafetensorsHeader& header, uint64_t data_bytes) {
  uint64_t end = 0;
  for (const TensorInfo& tensor : header.tensors) {
    ASSERT_EQ(tensor.offset, end);
    double elements = 1;
    for (const int64_t extent : tensor.shape) elements *= static_cast<double>(extent);
    ASSERT_EQ(elements * *element_bits(tensor.type) / 8, static_cast<double>(tensor.bytes));
    end += tensor.bytes;
  }
  ASSERT_EQ(end, data_bytes);
}

TEST(Safetensors, SurvivesMutatedHeaders) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,16],"data_offsets":[0,64]},)"
      R"("a.bias":{"dtype":"F32","shape":[2],"data_offsets":[64,72]},"c":{"dtype":"U8","shape":[],"data_offsets":[72,73]}})";
  ASSERT_TRUE(parse_safetensors_header(header, 73).ok());
  std::mt19937 random(20);
  const std::string alphabet = std::string("0123456789[]{}\",:.-eaF\\ \xff") + '\0';
  int accepted = 0;
  for (int round = 0; round < 100000; ++round) {
    std::string mutated = header;
    for (unsigned edits = 1 + random() % 3; edits-- > 0;) {
      const size_t at = random() % mutated.size();
      switch (random() % 4) {
        case 0:
          mutated[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          mutated.erase(at, 1 + random() % 4);
          break;
        case 2:
          mutated.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        default:
          mutated.insert(at, mutated.substr(random() % mutated.size(), random() % 40));
      }
      if (mutated.empty()) mutated = "{";
    }
    const auto parsed = parse_safetensors_header(mutated, 73);
    if (parsed.ok()) {
      ++accepted;
      expect_sound(*parsed, 73);
    } else {
      ASSERT_EQ(parsed.status().code(), Code::kInvalidArgument);
    }
  }
  // Names and metadata may change and stay legal; nearly everything else may not.
  EXPECT_GT(accepted, 1000);
  EXPECT_LT(accepted, 50000);
}

}  // namespace
}  // namespace nibble::cli
