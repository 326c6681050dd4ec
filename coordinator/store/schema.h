// The schema as numbered migrations, each proven after it ran. The documented views are part of it
// (README.md).
#pragma once

#include <absl/status/status.h>

#include "coordinator/store/database.h"

namespace bitsweep {

/// The newest version that this program knows; PRAGMA user_version holds a database's.
int SchemaVersion();

/// Brings the database up to SchemaVersion(), one transaction a migration. FAILED_PRECONDITION: the
/// database is newer, or is somebody else's. INTERNAL: a migration's verification does not hold.
absl::Status Migrate(Database& database);

}  // namespace bitsweep
