// Changes as rows: what Store::Commit does inside its transaction.
#pragma once

#include <absl/status/status.h>

#include "coordinator/domain/change.h"
#include "coordinator/store/database.h"

namespace bitsweep {

/// Applies one change. REQUIRES: a transaction is open. INTERNAL: a row that it needs is missing,
/// or a constraint is broken.
absl::Status Apply(Database& database, const Change& change);

}  // namespace bitsweep
