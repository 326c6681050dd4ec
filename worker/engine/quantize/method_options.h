// The `method` object of a quantize stage, read strictly and written back into the report.
// Thread rule: free functions.
#pragma once

#include <nlohmann/json.hpp>

#include "worker/engine/quantize/linear_quantizer.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {

/// {"name": "aqlm", "codebooks", "codebook_bits", "group_size" (default 8), and optionally every
/// other member of LinearQuantizeOptions under its own name, "codebook_update" as "least_squares" |
/// "adam", "beam_size" 1}. Throws kBadInput naming member, value and what is allowed.
LinearQuantizeOptions ReadMethod(StrictObject method);

/// Every option with its value, as ReadMethod reads it.
nlohmann::json MethodJson(const LinearQuantizeOptions& options);

}  // namespace bitsweep::engine
