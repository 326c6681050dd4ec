// Domain values -> protobuf, for what users ask. (The workers' session is proto/wire.) Pure functions: any thread.
#pragma once

#include "bitsweep/v1/results.pb.h"
#include "bitsweep/v1/sweeps.pb.h"
#include "coordinator/rpc/backend.h"

namespace bitsweep {

v1::SweepSummary Encode(const SweepSummary& summary);
v1::SweepStatus Encode(const SweepView& view);
v1::WorkerStatus Encode(const WorkerView& view);
v1::Cell Encode(const CellStatus& cell);
v1::SweepRecord Encode(const SweepRecord& record);
v1::StageRecord Encode(const StageProvenance& stage);
/// INVALID_ARGUMENT: too large, or a digest that is none.
absl::StatusOr<SweepSource> Decode(const v1::SweepSource& message);
/// SweepStatus as JSON with the proto's member names: what the page reads.
std::string SweepStatusJson(const SweepView& view);
std::string SweepSummariesJson(const std::vector<SweepSummary>& summaries);

}  // namespace bitsweep
