// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A kernel that does nothing but call a user's epilogue: compiled alone when the user hands it in,
// so that its mistakes are told apart from those of a matrix multiplication. Includes nothing: what
// the user's text includes is then found nowhere.
#pragma once

namespace nibble {

struct EpilogueProbeParams {
  float* value;
  alignas(16) unsigned long long user[16];
};

template <class A, class B>
constexpr bool kSameType = false;
template <class A>
constexpr bool kSameType<A, A> = true;

template <class User>
concept EpilogueFunctor = requires(const User& user, float value, long long row, long long column) {
  requires kSameType<decltype(user(value, row, column)), float>;
};

template <class Config>
__device__ void epilogue_probe(const EpilogueProbeParams& params) {
  using User = typename Config::Epilogue;
  static_assert(__is_trivially_copyable(User), "Epilogue must be trivially copyable");
  static_assert(EpilogueFunctor<User>,
                "Epilogue must have: __device__ float operator()(float value, long long row, "
                "long long column) const");
  const User& user = *reinterpret_cast<const User*>(params.user);
  *params.value = user(*params.value, threadIdx.x, blockIdx.x);
}

}  // namespace nibble

// Read off the PTX by the host, which knows what there is room for. PTX leaves out what is 0.
extern "C" {
__device__ int nibble_epilogue_bytes = sizeof(::Epilogue);
__device__ int nibble_epilogue_alignment = alignof(::Epilogue);
__device__ int nibble_epilogue_is_empty = __is_empty(::Epilogue);
}
