// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// clusterlaunchcontrol: a cluster takes over the work of one that has not begun.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-clusterlaunchcontrol-try-cancel
//
// The response, opaque to kernels: x, y and z of the first block's index, then a mark of success or
// failure. Of a failure the index is all ones: the manual leaves it undefined.
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/async_copy.h"

namespace nibble::emulator {

namespace {

struct Response {
  uint32_t first[3];
  uint32_t mark;
};
constexpr uint32_t kTaken = 0x434C4301, kFailed = 0x434C4300;
constexpr uint32_t kBytes = sizeof(Response);
static_assert(kBytes == 16);

class TryCancel : public Operation {
 public:
  TryCancel(const Origin& origin, std::vector<Destination> destinations)
      : Operation(origin), destinations_(std::move(destinations)) {}

  void perform() override {
    Cluster& cluster = origin().warp->block().cluster();
    Response response{{~0u, ~0u, ~0u}, kFailed};
    if (const std::optional<Dim3> taken = cluster.take_over()) {
      const Dim3& size = origin().warp->block().grid().launch.cluster;
      for (size_t axis = 0; axis < 3; ++axis) response.first[axis] = (*taken)[axis] * size[axis];
      response.mark = kTaken;
    }
    for (const Destination& destination : destinations_) {
      if (destination.to.block->is_done()) {
        refuse(origin(), "block " + std::to_string(destination.to.block->rank()) +
                             " of the cluster, which is to receive the response, has exited");
      }
      std::memcpy(destination.to.data(), &response, kBytes);
      mark_shared(destination.to, kBytes);
      complete_tx(*this, destination.mbarrier, kBytes);
    }
  }
  void list_extents(std::vector<Extent>& extents) const override {
    for (const Destination& destination : destinations_) {
      extents.push_back(extent_of(destination.to, kBytes, Access::kWrite));
    }
  }

 private:
  std::vector<Destination> destinations_;
};

// [response], [mbarrier]
template <bool is_multicast>
void try_cancel(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    const Destination own{
        shared_operand(warp, inst.arg[0], inst.space, origin.lane, kBytes, kBytes),
        shared_operand(warp, inst.arg[1], inst.space, origin.lane, 8, 8)};
    if (own.to.block != &warp.block() || own.mbarrier.block != &warp.block()) {
      refuse(origin, "response and mbarrier must be in the block's own shared memory");
    }
    std::vector<Destination> destinations{own};
    if (is_multicast) {
      const uint32_t all = (1u << warp.block().cluster().size()) - 1;
      destinations = multicast(origin, own, all, false);
    }
    issue(origin, std::make_unique<TryCancel>(origin, std::move(destinations)));
  });
}

Response response_in(const Origin& origin, const Arg& arg) {
  Response response;
  std::memcpy(&response, origin.warp->reg<Bits128>(arg) + origin.lane, sizeof response);
  // A response of zeros is one of failure that a kernel wrote itself, as CUTLASS does for the last.
  const bool is_zero =
      (response.first[0] | response.first[1] | response.first[2]) == 0 && response.mark == 0;
  if (response.mark != kTaken && response.mark != kFailed && !is_zero) {
    refuse(origin, "the operand is no response of clusterlaunchcontrol.try_cancel");
  }
  return response;
}

// p, response
void is_canceled(Warp& warp, const Inst& inst) {
  uint32_t mask = 0;
  for_each_origin(warp, [&](const Origin& origin) {
    if (response_in(origin, inst.arg[1]).mark == kTaken) mask |= 1u << origin.lane;
  });
  warp.set_predicate(inst.arg[0], mask);
}

void set(const Origin& origin, const Arg& arg, uint32_t value) {
  if (arg.offset != kNoArg) origin.warp->reg<uint32_t>(arg)[origin.lane] = value;
}

// {x, y, z, _}, response
void first_ctaid(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    const Response response = response_in(origin, inst.arg[4]);
    for (int axis = 0; axis < 3; ++axis) set(origin, inst.arg[axis], response.first[axis]);
    set(origin, inst.arg[3], 0);
  });
}

// d, response. Groups: query_cancel, the axis.
void first_ctaid_axis(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    set(origin, inst.arg[0], response_in(origin, inst.arg[1]).first[inst.choice[1]]);
  });
}

}  // namespace

void append_cluster_launch_rows(Rows& rows) {
  const std::string start =
      "clusterlaunchcontrol.try_cancel.async{.shared::cta,.shared}.mbarrier::complete_tx::bytes";
  const std::string query = "clusterlaunchcontrol.query_cancel.";
  rows.push_back({start + ".b128 [a], [m]", {100}, try_cancel<false>});
  rows.push_back(
      {start + ".multicast::cluster::all.b128 [a], [m]", {0, "100f 110f 120f"}, try_cancel<true>});
  rows.push_back({query + "is_canceled.pred.b128 p:pred, a", {100}, is_canceled});
  rows.push_back({query + "get_first_ctaid.v4.b32.b128 {d:b32}, a", {100}, first_ctaid});
  rows.push_back(
      {query + "{get_first_ctaid::x,get_first_ctaid::y,get_first_ctaid::z}.b32.b128 d:b32, a",
       {100},
       first_ctaid_axis});
}

}  // namespace nibble::emulator
