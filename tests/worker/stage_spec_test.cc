#include "worker/runtime/stage_spec.h"

#include <gtest/gtest.h>

namespace bitsweep {
namespace {

using nlohmann::json;

Assignment SomeAssignment(const std::string& spec) {
  Assignment assignment;
  assignment.fence = {.stage = StageKey(std::string(64, 'a')), .attempt = 3, .lease = LeaseId(1)};
  assignment.stage.kind = StageKind::kQuantize;
  assignment.stage.spec = spec;
  assignment.stage.needs.semantics = 7;
  assignment.cores = 5;
  return assignment;
}

TEST(StageSpecTest, PathsAndTheMachinesFiguresArePutIn) {
  const Assignment assignment =
      SomeAssignment(R"({"seed":1,"calibration":{"parts":[{"sequences":3},{"sequences":4}]}})");
  const absl::StatusOr<json> spec =
      LocalSpec(assignment, {{"/model/dir", "/m"}, {"/calibration/parts/1/file", "/c"}}, "/out");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(*spec, json::parse(R"({
    "protocol": 1, "kind": "quantize", "attempt": 3, "semantics": 7, "threads": 5, "seed": 1,
    "stage": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "output": {"dir": "/out"}, "model": {"dir": "/m"},
    "calibration": {"parts": [{"sequences": 3}, {"sequences": 4, "file": "/c"}]}})"));
}

TEST(StageSpecTest, APointerThatDoesNotFitIsAnErrorThatNamesIt) {
  const absl::StatusOr<json> spec =
      LocalSpec(SomeAssignment(R"({"model":"text"})"), {{"/model/dir", "/m"}}, "/out");
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(spec.status().message()).find("/model/dir"), std::string::npos);
}

}  // namespace
}  // namespace bitsweep
