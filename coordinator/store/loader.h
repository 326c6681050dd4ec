// Rows as Records: what Store::Load does.
#pragma once

#include <absl/status/statusor.h>

#include "coordinator/domain/change.h"
#include "coordinator/store/database.h"

namespace bitsweep {

/// Everything that a Core is rebuilt from. DATA_LOSS names the row that makes no sense.
absl::StatusOr<Records> LoadRecords(Database& database);

}  // namespace bitsweep
