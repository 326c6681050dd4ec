// The domain's scene with a database under it: what handlers change is committed, and can be loaded
// again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "coordinator/store/store.h"
#include "tests/domain/scene.h"
#include "tests/store/temp_folder.h"

namespace bitsweep::testing {

class StoreScene : public Scene {
 protected:
  StoreScene() { Open(); }
  void Open() {
    auto opened = Store::Open(folder / "bitsweep.db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = std::move(*opened);
  }
  void Commit() {
    const absl::Status status = store->Commit(out.changes);
    ASSERT_TRUE(status.ok()) << status;
    Clear();
  }
  /// What a coordinator started now would have in memory.
  std::unique_ptr<Core> Reloaded() {
    auto records = store->Load();
    EXPECT_TRUE(records.ok()) << records.status();
    auto restored = Restore(*records, now);
    EXPECT_TRUE(restored.ok()) << restored.status();
    Effects ignored;
    OnRestored(**restored, ignored, now);
    const absl::Status status = CheckInvariants(**restored);
    EXPECT_TRUE(status.ok()) << status;
    return std::move(*restored);
  }
  /// Two problems with two samples: pass fractions 1 and `second`/2.
  static std::vector<VerdictRow> Verdicts(int second) {
    std::vector<VerdictRow> rows;
    for (int sample = 0; sample < 2; ++sample) {
      VerdictRow row{
          "p1", sample, "pass", true, "OK", true, 0.1, 0.2, 1000, 0, {}, "bubblewrap", "strong"};
      rows.push_back(row);
      row.problem = "p2";
      row.passed = sample < second;
      row.verdict = row.passed ? "pass" : "wrong";
      row.exit_code = row.passed ? 0 : 1;
      row.witness = "weak";
      row.study_passed = true;
      rows.push_back(row);
    }
    return rows;
  }
  void RunGrade(const std::string& name, WorkerId worker, int second) {
    const Fence fence = Lease(name, worker);
    Say(worker, StageStarted{fence});
    Succeed(worker, fence, name, Verdicts(second));
  }

  TempFolder folder;
  std::unique_ptr<Store> store;
};

/// The parts of two cores that must agree after a reload.
inline void ExpectSameState(const Core& a, const Core& b) {
  EXPECT_EQ(a.counters, b.counters);
  EXPECT_EQ(a.stage_counts, b.stage_counts);
  ASSERT_EQ(a.stages.size(), b.stages.size());
  for (const auto& [key, stage] : a.stages) {
    const Stage* other = b.FindStage(key);
    ASSERT_NE(other, nullptr) << key.value();
    EXPECT_EQ(stage->state(), other->state()) << stage->definition().label;
    EXPECT_EQ(stage->attempt(), other->attempt()) << stage->definition().label;
    EXPECT_EQ(stage->forgiven(), other->forgiven()) << stage->definition().label;
    EXPECT_EQ(stage->serial(), other->serial());
    EXPECT_EQ(stage->runnable, other->runnable) << stage->definition().label;
    EXPECT_EQ(stage->critical_path, other->critical_path);
    EXPECT_EQ(stage->sweeps.size(), other->sweeps.size());
    EXPECT_EQ(stage->definition().needs, other->definition().needs);
    EXPECT_EQ(stage->definition().inputs, other->definition().inputs);
    EXPECT_EQ(stage->definition().upstream, other->definition().upstream);
    EXPECT_EQ(stage->definition().spec, other->definition().spec);
    if (stage->holding() != nullptr) {
      EXPECT_EQ(stage->fence(), other->fence());
    }
    if (stage->artifact() != nullptr) {
      EXPECT_EQ(stage->artifact()->files, other->artifact()->files);
      EXPECT_EQ(stage->artifact()->summary, other->artifact()->summary);
    }
  }
  ASSERT_EQ(a.sweeps.size(), b.sweeps.size());
  for (const auto& [id, sweep] : a.sweeps) {
    const Sweep& other = *b.FindSweep(id);
    EXPECT_EQ(sweep->state, other.state) << id.value();
    EXPECT_EQ(sweep->cached, other.cached);
    EXPECT_EQ(sweep->cell_counts, other.cell_counts);
    EXPECT_EQ(sweep->stage_counts, other.stage_counts);
    EXPECT_EQ(sweep->ended.has_value(), other.ended.has_value());
    EXPECT_EQ(sweep->submission.settings, other.submission.settings);
    EXPECT_EQ(sweep->submission.files, other.submission.files);
    EXPECT_EQ(sweep->submission.spec_text, other.submission.spec_text);
  }
}

}  // namespace bitsweep::testing
