// What the coordinator itself costs: no network, no worker, the real database on the temporary
// folder's disk.
//   submit: a grid of `cells` cells, planned and durably committed.
//   stages: no-op stages from ready to succeeded, four changes of state each, one commit for each
//   round of the scheduler.
#include <benchmark/benchmark.h>

#include "coordinator/scheduler/schedule.h"
#include "coordinator/store/store.h"
#include "tests/domain/scene.h"
#include "tests/store/temp_folder.h"

#include "proto/base/status_macros.h"

namespace bitsweep::testing {
namespace {

/// One model with `cells` cells that share nothing: a generate and a grade stage each.
std::pair<SweepPlan, SweepPlan> Grid(int cells) {
  const Study study;
  SweepPlan inspect = InspectPlan({study});
  inspect.cells.clear();
  SweepPlan model;
  for (int i = 0; i < cells; ++i) {
    const std::string name = std::to_string(i);
    CellDefinition cell = CellOf(study, "fp16");
    cell.id = Sha256Hex(name).substr(0, 16);
    cell.seed = i;
    inspect.cells.push_back(cell);
    cell.generate = Key("generate " + name);
    cell.grade = Key("grade " + name);
    model.stages.push_back(Define(StageKind::kGenerate, "generate " + name));
    model.stages.push_back(Define(StageKind::kGrade, "grade " + name, {*cell.generate}));
    model.cells.push_back(cell);
  }
  return {inspect, model};
}

struct Coordinator {
  TempFolder folder;
  std::unique_ptr<Store> store;
  Core core;
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::vector<WorkerId> workers;

  Coordinator() {
    store = std::move(*Store::Open(folder / "bitsweep.db"));
    Effects out;
    for (int i = 0; i < 8; ++i) {
      workers.push_back(OnWorkerRegistered(core, out, Offer(std::to_string(i) + "w", 64), {}, now));
    }
    Commit(out);
  }
  void Commit(const Effects& out) {
    const absl::Status status = store->Commit(out.changes);
    BITSWEEP_CHECK(status.ok()) << status.ToString();
  }
  SweepId Submit(const SweepPlan& plan) {
    Effects out;
    const SweepId sweep = OnSubmit(core, out, {}, plan, now)->sweep;
    Commit(out);
    return sweep;
  }
  void PlanModel(SweepId sweep, const SweepPlan& plan) {
    Effects out;
    BITSWEEP_CHECK(OnModelPlanned(core, out, sweep, Key(InspectName({})), plan, now).ok());
    Commit(out);
  }
  /// Leases all that fits, and finishes it at once. Returns how many stages that were.
  int Round() {
    Effects leases;
    OnAssign(core, leases, Schedule(TakeSnapshot(core), now), now);
    Commit(leases);
    Effects results;
    int done = 0;
    for (const Effects::Send& send : leases.sends) {
      if (const auto* assignment = std::get_if<Assignment>(&send.message)) {
        StageSucceeded success;
        success.fence = assignment->fence;
        BITSWEEP_CHECK(
            OnWorkerMessage(core, results, send.worker, StageStarted{success.fence}, {}, now).ok());
        BITSWEEP_CHECK(OnWorkerMessage(core, results, send.worker, success, {}, now).ok());
        ++done;
      }
    }
    Commit(results);
    return done;
  }
};

void BM_SubmitGrid(benchmark::State& state) {
  const auto [inspect, model] = Grid(static_cast<int>(state.range(0)));
  for (auto step : state) {
    state.PauseTiming();
    auto coordinator = std::make_unique<Coordinator>();
    state.ResumeTiming();
    const SweepId sweep = coordinator->Submit(inspect);
    coordinator->PlanModel(sweep, model);
    state.PauseTiming();
    coordinator.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SubmitGrid)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(1);

void BM_NoOpStages(benchmark::State& state) {
  const auto [inspect, model] = Grid(static_cast<int>(state.range(0)));
  int stages = 0;
  for (auto step : state) {
    state.PauseTiming();
    auto coordinator = std::make_unique<Coordinator>();
    const SweepId sweep = coordinator->Submit(inspect);
    coordinator->PlanModel(sweep, model);
    state.ResumeTiming();
    while (const int done = coordinator->Round()) {
      stages += done;
    }
    state.PauseTiming();
    coordinator.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(stages);
}
BENCHMARK(BM_NoOpStages)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(1);

void BM_Restart(benchmark::State& state) {
  const auto [inspect, model] = Grid(static_cast<int>(state.range(0)));
  Coordinator coordinator;
  coordinator.PlanModel(coordinator.Submit(inspect), model);
  for (auto step : state) {
    auto records = coordinator.store->Load();
    benchmark::DoNotOptimize(Restore(*records, coordinator.now));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * 2);
}
BENCHMARK(BM_Restart)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace bitsweep::testing

BENCHMARK_MAIN();
