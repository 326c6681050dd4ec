#include "coordinator/store/store.h"

#include <fstream>
#include <unistd.h>

#include <sqlite3.h>

#include "coordinator/store/schema.h"
#include "tests/store/store_scene.h"

namespace bitsweep::testing {
namespace {

/// Runs a script on a database that no Store has open.
void Script(const std::string& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  char* error = nullptr;
  ASSERT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
  sqlite3_close(handle);
}

using StoreTest = StoreScene;

TEST_F(StoreTest, WhatWasCommittedIsLoaded) {
  const SweepId sweep = Submit({{.finetune = true}, {.model = "n"}}, "request", 3);
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {.finetune = true});
  Run("inspect n 1", worker);
  ASSERT_TRUE(OnPlanFailed(core, out, sweep, Key("inspect n 1"), "n: no config.json", now).ok());
  Run("quantize m", worker);
  Run("generate m fp16", worker);
  RunGrade("grade m fp16", worker, 1);
  Fail(worker, Lease("finetune m", worker), FailureClass::kDiverged);
  const Fence running = Lease("generate m 2-bit", worker);
  Say(worker, StageStarted{running});
  Commit();
  const auto again = Reloaded();
  ExpectSameState(core, *again);
  EXPECT_EQ(again->detached.size(), 1u);
  EXPECT_EQ(again->sweep_of_request.at("request"), sweep);
  EXPECT_EQ(again->FindSweep(sweep)->cells[3].failure, "n: no config.json");
  EXPECT_EQ(again->FindSweep(sweep)->cells[0].definition.questions,
            std::vector<std::string>{"rq1"});
  EXPECT_EQ(again->history.at(StageKind::kQuantize).count, 1);
  EXPECT_EQ(again->FindSweep(sweep)->failures.front().message, "it broke");
  EXPECT_TRUE(again->FindSweep(sweep)->failures.front().final);
}

TEST_F(StoreTest, AnEmptyDatabaseIsAnEmptyCore) {
  const auto again = Reloaded();
  EXPECT_TRUE(again->sweeps.empty());
  EXPECT_EQ(again->counters, Counters{});
}

TEST_F(StoreTest, ACommitIsAllOrNothing) {
  Submit({{}});
  std::vector<Change> changes = out.changes;
  changes.push_back(change::StageUpdated{Key("nobody"), StageState::kReady, 0, 0, {}});
  const absl::Status status = store->Commit(changes);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find(Key("nobody").value()), std::string::npos) << status;
  EXPECT_TRUE(Reloaded()->sweeps.empty());
  Commit();
  EXPECT_EQ(Reloaded()->sweeps.size(), 1u);
}

TEST_F(StoreTest, TheSchemaRefusesWhatTheLifecycleDoesNotKnow) {
  Submit({{}});
  Commit();
  store.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "bitsweep.db").c_str(), &handle), SQLITE_OK);
  const auto update = [&](const std::string& set) {
    return sqlite3_exec(handle, ("UPDATE stage SET " + set).c_str(), nullptr, nullptr, nullptr);
  };
  for (const StageState state : kStageStates) {
    EXPECT_EQ(update("attempt = 1, state = '" + std::string(ToString(state)) + "'"), SQLITE_OK)
        << ToString(state);
  }
  EXPECT_EQ(update("state = 'queued'"), SQLITE_CONSTRAINT);
  EXPECT_EQ(update("attempt = 0, state = 'running'"), SQLITE_CONSTRAINT);
  EXPECT_EQ(update("state = 'ready', retry_at_us = 5"), SQLITE_CONSTRAINT);
  EXPECT_EQ(update("state = 5.5"), SQLITE_CONSTRAINT);
  for (const StageKind kind : kStageKinds) {
    EXPECT_EQ(update("kind = '" + std::string(ToString(kind)) + "'"), SQLITE_OK) << ToString(kind);
  }
  sqlite3_close(handle);
}

TEST_F(StoreTest, RetryingAndBackoffSurviveARestart) {
  const SweepId sweep = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {});
  Fail(worker, Lease("quantize m", worker), FailureClass::kOomHost);
  Commit();
  const auto again = Reloaded();
  ASSERT_EQ(again->retries.size(), 1u);
  EXPECT_EQ(again->retries.begin()->first, core.retries.begin()->first);
  EXPECT_EQ(again->FindStage(Key("quantize m"))->failures(), At("quantize m").failures());
  // A person's retry forgives, here and after a restart.
  ASSERT_TRUE(OnRetry(core, out, sweep, now).ok());
  Commit();
  EXPECT_EQ(Reloaded()->FindStage(Key("quantize m"))->failures(), FailureCounts{});
}

TEST_F(StoreTest, RunningStagesReattachAfterARestart) {
  const SweepId sweep = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {});
  const Fence kept = Lease("quantize m", worker);
  Say(worker, StageStarted{kept});
  const Fence lost = Lease("generate m fp16", worker);
  Say(worker, StageStarted{lost});
  Commit();
  const auto again = Reloaded();
  Effects effects;
  const WorkerId back = OnWorkerRegistered(*again, effects, Offer("w"), {kept}, now);
  EXPECT_TRUE(CheckInvariants(*again).ok());
  EXPECT_GT(back.value(), worker.value());
  EXPECT_EQ(again->FindStage(Key("quantize m"))->state(), StageState::kRunning);
  EXPECT_EQ(again->FindStage(Key("generate m fp16"))->state(), StageState::kReady);
  const auto& answer = std::get<Registered>(effects.sends.at(0).message);
  EXPECT_EQ(answer.keep, std::vector<Fence>{kept});
  StageSucceeded result;
  result.fence = kept;
  result.artifact = ArtifactOf("quantize m");
  ASSERT_TRUE(OnWorkerMessage(*again, effects, back, result, {}, now).ok());
  ASSERT_TRUE(store->Commit(effects.changes).ok());
  ExpectSameState(*again, *Reloaded());
}

TEST_F(StoreTest, WorkersThatDoNotComeBackAreLostAfterTheGrace) {
  const SweepId sweep = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {});
  const Fence fence = Lease("quantize m", worker);
  Say(worker, StageStarted{fence});
  Commit();
  const auto again = Reloaded();
  Effects effects;
  absl::Time then = now;
  const absl::Time grace = now + kReattachGrace;
  while (then < grace) {
    EXPECT_EQ(again->FindStage(Key("quantize m"))->state(), StageState::kRunning);
    then += kTickInterval;
    OnTick(*again, effects, then);
  }
  EXPECT_EQ(again->FindStage(Key("quantize m"))->state(), StageState::kReady);
  EXPECT_TRUE(CheckInvariants(*again).ok());
}

TEST_F(StoreTest, AModelWhosePlanGotLostInACrashIsPlannedAgain) {
  const SweepId sweep = Submit({{}});
  Run("inspect m 1", Register(Offer("w")));
  Commit();
  auto records = store->Load();
  ASSERT_TRUE(records.ok());
  auto restored = Restore(*records, now);
  ASSERT_TRUE(restored.ok());
  Effects effects;
  OnRestored(**restored, effects, now);
  ASSERT_EQ(effects.plans.size(), 1u);
  EXPECT_EQ(effects.plans[0].sweep, sweep);
}

TEST_F(StoreTest, AttemptsKeepTheirLogs) {
  const SweepId sweep = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {});
  Fail(worker, Lease("quantize m", worker), FailureClass::kBug);
  TickAlive(absl::Seconds(2), {{worker, Heartbeat{}}});
  Run("quantize m", worker);
  Commit();
  const auto newest = store->Attempt(Key("quantize m"), 0);
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->attempt, 2);
  EXPECT_EQ(newest->state, "succeeded");
  EXPECT_EQ(newest->log_tail, "log of quantize m");
  EXPECT_EQ(newest->worker, "w");
  const auto first = store->Attempt(Key("quantize m"), 1);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->failure_class, "bug");
  EXPECT_EQ(first->message, "it broke");
  EXPECT_EQ(first->log_tail, "log");
  EXPECT_EQ(store->Attempt(Key("quantize m"), 3).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->Attempt(Key("generate m fp16"), 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, BlobsInUseAreKnown) {
  const SweepId sweep = Submit({{}});
  const WorkerId worker = Register(Offer("w"));
  Run("inspect m 1", worker);
  Plan(sweep, {});
  Run("quantize m", worker);
  Commit();
  auto blobs = store->ReferencedBlobs();
  ASSERT_TRUE(blobs.ok());
  EXPECT_EQ(blobs->size(), 3u);
  ASSERT_TRUE(OnArtifactLost(core, out, Key("quantize m"), now).ok());
  Commit();
  EXPECT_EQ(store->ReferencedBlobs()->size(), 2u);
}

TEST_F(StoreTest, ASecondCoordinatorIsRefusedByName) {
  const auto second = Store::Open(folder / "bitsweep.db");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find(std::to_string(::getpid())), std::string::npos)
      << second.status();
  store.reset();
  EXPECT_TRUE(Store::Open(folder / "bitsweep.db").ok());
}

TEST_F(StoreTest, ANewerSchemaIsRefused) {
  store.reset();
  Script(folder / "bitsweep.db", "PRAGMA user_version = 999");
  const auto opened = Store::Open(folder / "bitsweep.db");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(opened.status().message().find("999"), std::string::npos) << opened.status();
}

TEST(StoreOpenTest, WhatIsNotOursIsRefused) {
  TempFolder folder;
  std::ofstream(folder / "bitsweep.db") << std::string(8192, 'x');
  const auto garbage = Store::Open(folder / "bitsweep.db");
  EXPECT_EQ(garbage.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(garbage.status().message().find("bitsweep.db"), std::string::npos) << garbage.status();
  TempFolder other;
  Script(other / "bitsweep.db", "CREATE TABLE diary (day TEXT)");
  EXPECT_EQ(Store::Open(other / "bitsweep.db").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Store::Open(other / "no/such/folder/bitsweep.db").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, ADamagedPageIsSaidSo) {
  Submit({{}});
  Commit();
  ASSERT_TRUE(store->Checkpoint().ok());
  store.reset();
  {
    // The header stays, the schema page's content does not.
    std::fstream file(folder / "bitsweep.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file << std::string(3900, '\xff');
  }
  const auto opened = Store::Open(folder / "bitsweep.db");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
}

TEST_F(StoreTest, AFullDiskIsSaidSoAndNothingIsHalfWritten) {
  // A page limit stands for the disk: SQLite reports both as SQLITE_FULL.
  Submit({{}});
  Commit();
  store.reset();
  auto database = Database::Open(folder / "bitsweep.db");
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE((*database)->Script("PRAGMA max_page_count = 1").ok());
  ASSERT_TRUE((*database)->Begin().ok());
  const absl::Status status =
      (*database)->Script("CREATE TABLE filler AS SELECT randomblob(1000000) AS bytes");
  (*database)->Rollback();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_NE(status.message().find("disk is full"), std::string::npos) << status;
}

}  // namespace
}  // namespace bitsweep::testing
