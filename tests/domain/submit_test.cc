#include "tests/domain/scene.h"

namespace bitsweep::testing {
namespace {

using SubmitTest = Scene;

TEST_F(SubmitTest, PlansEachModelWhenItsInspectionIsIn) {
  const SweepId sweep = Submit({{}});
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kPlanning);
  EXPECT_EQ(StateOf("inspect m 1"), StageState::kReady);
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  ASSERT_EQ(out.plans.size(), 1u);
  EXPECT_EQ(out.plans[0].sweep, sweep);
  EXPECT_EQ(out.plans[0].inspect, Key("inspect m 1"));
  Plan(sweep, {});
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
  EXPECT_EQ(StateOf("quantize m"), StageState::kReady);
  EXPECT_EQ(StateOf("generate m fp16"), StageState::kReady);
  EXPECT_EQ(StateOf("generate m 2-bit"), StageState::kWaiting);
  EXPECT_DOUBLE_EQ(At("quantize m").critical_path, 3.0);
  for (const char* name : {"quantize m", "generate m fp16", "grade m fp16", "generate m 2-bit"}) {
    Run(name, worker);
  }
  EXPECT_EQ(Cells(sweep, CellState::kSucceeded), 1);
  Run("grade m 2-bit", worker);
  EXPECT_EQ(Cells(sweep, CellState::kSucceeded), 2);
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepAt(sweep).ended, now);
}

TEST_F(SubmitTest, TheSameRequestIsTheSameSweep) {
  const SweepId first = Submit({{}}, "request-1");
  const std::size_t changes = out.changes.size();
  Submission again;
  again.request_id = "request-1";
  const auto receipt = OnSubmit(core, out, again, InspectPlan({{}}), now);
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->sweep, first);
  EXPECT_TRUE(receipt->existed);
  EXPECT_EQ(receipt->cells, 2);
  EXPECT_EQ(receipt->name, "study");
  EXPECT_EQ(out.changes.size(), changes);
  EXPECT_EQ(core.sweeps.size(), 1u);
}

TEST_F(SubmitTest, RefusedPlansChangeNothing) {
  SweepPlan plan = InspectPlan({{}});
  plan.cells[0].inspect = Key("somewhere else");
  auto refused = OnSubmit(core, out, {}, plan, now);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  plan = InspectPlan({{}});
  plan.cells.push_back(plan.cells[0]);
  refused = OnSubmit(core, out, {}, plan, now);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  plan = InspectPlan({{}});
  plan.stages[0].upstream = {Key("nothing")};
  refused = OnSubmit(core, out, {}, plan, now);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  refused = OnSubmit(core, out, {}, SweepPlan{}, now);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(core.sweeps.empty());
  EXPECT_TRUE(core.stages.empty());
  EXPECT_TRUE(out.changes.empty());
}

TEST_F(SubmitTest, EqualKeysAreOneStageAndFinishedOnesAreCached) {
  const SweepId first = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(first, {});
  Run("quantize m", worker);
  const Study again{.nonce = "2"};
  const SweepId second = Submit({again}, "", 5);
  EXPECT_EQ(SweepAt(second).cached, 0);
  Run("inspect m 2", worker);
  Plan(second, again);
  EXPECT_EQ(SweepAt(second).cached, 1);
  EXPECT_EQ(core.stages.size(), 7u);
  EXPECT_EQ(At("generate m fp16").sweeps.size(), 2u);
  EXPECT_EQ(At("generate m fp16").priority, 5);
  EXPECT_EQ(At("generate m fp16").oldest_sweep, first.value());
  for (const char* name :
       {"generate m fp16", "grade m fp16", "generate m 2-bit", "grade m 2-bit"}) {
    Run(name, worker);
  }
  EXPECT_EQ(SweepAt(first).state, SweepState::kSucceeded);
  EXPECT_EQ(SweepAt(second).state, SweepState::kSucceeded);
  // All there: the third ends as soon as its model is planned.
  const Study third_study{.nonce = "3"};
  const SweepId third = Submit({third_study});
  Run("inspect m 3", worker);
  Plan(third, third_study);
  EXPECT_EQ(SweepAt(third).cached, 5);
  EXPECT_EQ(SweepAt(third).state, SweepState::kSucceeded);
}

TEST_F(SubmitTest, AKnownInspectionIsPlannedAtOnce) {
  Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Clear();
  const SweepId second = Submit({{}});
  ASSERT_EQ(out.plans.size(), 1u);
  EXPECT_EQ(out.plans[0].sweep, second);
}

TEST_F(SubmitTest, AModelThatCannotBePlannedFailsItsCellsOnly) {
  const Study bad{.model = "n"};
  const SweepId sweep = Submit({{}, bad});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Run("inspect n 1", worker);
  ASSERT_TRUE(OnPlanFailed(core, out, sweep, Key("inspect n 1"), "n: not a Llama model", now).ok());
  Check();
  EXPECT_EQ(Cells(sweep, CellState::kFailed), 2);
  EXPECT_EQ(SweepAt(sweep).cells[2].failure, "n: not a Llama model");
  Plan(sweep, {});
  for (const char* name :
       {"quantize m", "generate m fp16", "grade m fp16", "generate m 2-bit", "grade m 2-bit"}) {
    EXPECT_EQ(SweepAt(sweep).state, SweepState::kRunning);
    Run(name, worker);
  }
  EXPECT_EQ(SweepAt(sweep).state, SweepState::kFailed);
  EXPECT_EQ(Cells(sweep, CellState::kSucceeded), 2);
}

TEST_F(SubmitTest, PlanningTwiceOrForTheWrongModelIsHarmless) {
  const SweepId sweep = Submit({{}});
  Run("inspect m 1", Register(Offer("w")));
  Plan(sweep, {});
  Clear();
  Plan(sweep, {});
  EXPECT_TRUE(out.changes.empty());
  EXPECT_EQ(OnModelPlanned(core, out, sweep, Key("other"), ModelPlan({}), now).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(OnModelPlanned(core, out, SweepId(9), Key("other"), ModelPlan({}), now).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SubmitTest, AnIncompletePlanIsRefused) {
  const SweepId sweep = Submit({{}});
  Run("inspect m 1", Register(Offer("w")));
  SweepPlan plan = ModelPlan({});
  plan.cells.pop_back();
  EXPECT_EQ(OnModelPlanned(core, out, sweep, Key("inspect m 1"), plan, now).code(),
            absl::StatusCode::kInvalidArgument);
  plan = ModelPlan({});
  plan.cells[0].grade.reset();
  EXPECT_EQ(OnModelPlanned(core, out, sweep, Key("inspect m 1"), plan, now).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(core.stages.size(), 1u);
  Check();
}

}  // namespace
}  // namespace bitsweep::testing
