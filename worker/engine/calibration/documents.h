// Calibration texts: JSON lines {"text": "..."}, one document a line.
// Thread rule: free function.
#pragma once

#include <string>
#include <vector>

namespace bitsweep::engine {

/// The documents of `path` in file order; blank lines and further members are ignored.
/// Throws kBadInput: the file cannot be read or has no document; "FILE:LINE: ..." where a line is
/// not an object of JSON with a string member "text".
std::vector<std::string> ReadDocuments(const std::string& path);

}  // namespace bitsweep::engine
