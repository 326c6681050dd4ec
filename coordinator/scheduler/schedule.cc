#include "coordinator/scheduler/schedule.h"

#include <algorithm>
#include <queue>
#include <tuple>

#include "coordinator/scheduler/matching.h"

namespace bitsweep {
namespace {

/// The best unplaced candidate of one class, and the workers that could ever run the class.
struct Front {
  const CandidateClass* group;
  std::vector<std::size_t> fitting;  // Indexes of workers, ascending.
  std::size_t next = 0;

  const Candidate& candidate() const { return group->candidates[next]; }
};

/// As ReadyOrder, turned round for a heap whose top is the best.
struct WorseFront {
  bool operator()(const Front* a, const Front* b) const {
    const auto rank = [](const Candidate& c) {
      return std::make_tuple(-c.priority, c.oldest_sweep, -c.critical_path, c.serial);
    };
    return rank(a->candidate()) > rank(b->candidate());
  }
};

bool HasRoom(const WorkerRoom& room, const StageNeeds& needs) {
  const bool free = needs.gpus > 0 ? room.gpus_free >= needs.gpus : room.slots_free > 0;
  return free && room.host_bytes_free >= needs.host_bytes;
}

std::int64_t BytesHeld(const WorkerRoom& room, const Candidate& candidate) {
  std::int64_t bytes = 0;
  for (const Candidate::Input& input : candidate.inputs) {
    // An input of no bytes still counts: the hint is that it was made there.
    bytes += room.artifacts->contains(input.serial) ? input.bytes + 1 : 0;
  }
  return bytes;
}

/// The worker with room that holds most of the inputs, then the one with most room, then the first;
/// nullptr when none has.
WorkerRoom* Choose(std::vector<WorkerRoom>& rooms, const Front& front) {
  WorkerRoom* best = nullptr;
  std::tuple<std::int64_t, int> best_score;
  const StageNeeds& needs = front.group->needs;
  for (const std::size_t index : front.fitting) {
    WorkerRoom& room = rooms[index];
    if (!HasRoom(room, needs)) {
      continue;
    }
    const std::tuple score(BytesHeld(room, front.candidate()),
                           needs.gpus > 0 ? room.gpus_free : room.slots_free);
    if (best == nullptr || score > best_score) {
      best = &room;
      best_score = score;
    }
  }
  return best;
}

}  // namespace

Plan Schedule(const Snapshot& snapshot, absl::Time) {
  std::vector<WorkerRoom> rooms = snapshot.workers;
  std::vector<Front> fronts;
  fronts.reserve(snapshot.classes.size());
  for (const CandidateClass& group : snapshot.classes) {
    Front front{&group, {}, 0};
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      if (CanRun(group.kind, group.needs, *rooms[i].offer)) {
        front.fitting.push_back(i);
      }
    }
    if (!front.fitting.empty() && !group.candidates.empty()) {
      fronts.push_back(std::move(front));
    }
  }
  std::priority_queue<Front*, std::vector<Front*>, WorseFront> queue;
  for (Front& front : fronts) {
    queue.push(&front);
  }
  Plan plan;
  while (!queue.empty()) {
    Front* front = queue.top();
    queue.pop();
    WorkerRoom* room = Choose(rooms, *front);
    if (room == nullptr) {
      continue;  // Room only shrinks: nobody can take more of this class now.
    }
    const StageNeeds& needs = front->group->needs;
    plan.push_back({front->candidate().stage, room->id, CoresPerStage(*room->offer)});
    room->gpus_free -= needs.gpus;
    room->slots_free -= needs.gpus > 0 ? 0 : 1;
    room->host_bytes_free -= needs.host_bytes;
    if (++front->next < front->group->candidates.size()) {
      queue.push(front);
    }
  }
  return plan;
}

}  // namespace bitsweep
