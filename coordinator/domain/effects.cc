#include "coordinator/domain/effects.h"

#include <utility>

namespace bitsweep {

void Effects::Tell(WorkerId worker, CoordinatorMessage message) {
  sends.push_back({worker, std::move(message)});
}

}  // namespace bitsweep
