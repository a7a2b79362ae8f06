// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Quantises one block with the installed library and checks the bytes that the format demands.
#include <cstdint>
#include <cstdio>
#include <nibble/nibble.hpp>
#include <vector>

int main() {
  auto context = nibble::Context::create();
  if (!context.ok()) return std::fprintf(stderr, "%s\n", context.status().to_string().c_str()), 1;
  const std::vector<float> x{0, .5, 1, 1.5, 2, 3, 4, 6, -0.0f, -.5, -1, -1.5, -2, -3, -4, -6};
  const std::vector<uint8_t> expected{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
  std::vector<uint8_t> codes(expected.size());

  auto x_device = context->allocate(64);
  auto y_device = context->allocate(8 + 1 + 4 + 3);
  if (!x_device.ok() || !y_device.ok()) return 1;
  nibble::QuantizeRequest request;
  request.x = {x_device->address(), nibble::DataType::kF32, 1, 16};
  request.y.codes = y_device->address();
  request.y.scales = y_device->address() + 12;
  request.y.amax = y_device->address() + 8;
  nibble::Status status = context->copy_to_device(request.x.data, x.data(), 64);
  if (status.ok()) status = nibble::quantize(*context, request);
  if (status.ok()) status = context->copy_to_host(codes.data(), request.y.codes, 8);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n%s\n", status.to_string().c_str(),
                 std::string(status.detail()).c_str());
    return 1;
  }
  std::printf("quantised on %s: %s\n", context->device().name.c_str(),
              codes == expected ? "as expected" : "WRONG");
  return codes == expected ? 0 : 1;
}
