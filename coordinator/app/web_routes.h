// What the HTTP server answers: metrics, health, the page and its JSON.
#pragma once

#include "coordinator/app/coordinator.h"
#include "coordinator/web/http_server.h"

namespace bitsweep {

/// `coordinator` must outlive the handler. Routes: / and the page's files, /healthz, /metrics, /api/sweeps, /api/sweeps/NAME,
/// /api/sweeps/NAME/tables, /api/workers.
HttpHandler MakeRoutes(Coordinator& coordinator);

}  // namespace bitsweep
