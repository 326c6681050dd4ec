#include "worker/engine/calibration/documents.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

std::string TextOf(const std::string& line, const std::string& place) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(line);
  } catch (const nlohmann::json::parse_error& error) {
    ThrowBadInput(place + ": not JSON (byte " + std::to_string(error.byte) +
                  " of the line); every line must be an object {\"text\": \"...\"}");
  }
  if (!document.is_object()) {
    ThrowBadInput(place + ": found " + document.type_name() +
                  ", want an object {\"text\": \"...\"}");
  }
  const auto text = document.find("text");
  if (text == document.end() || !text->is_string()) {
    ThrowBadInput(place + ": member \"text\" is " +
                  (text == document.end() ? "absent" : text->type_name()) + ", want a string");
  }
  return text->get<std::string>();
}

}  // namespace

std::vector<std::string> ReadDocuments(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    ThrowBadInput(path + ": cannot be opened (" + std::strerror(errno) + ")");
  }
  std::vector<std::string> documents;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    documents.push_back(TextOf(line, path + ":" + std::to_string(number)));
  }
  if (file.bad()) {
    ThrowBadInput(path + ": cannot be read (" + std::strerror(errno) + ")");
  }
  if (documents.empty()) {
    ThrowBadInput(path + ": has no documents; want lines {\"text\": \"...\"}");
  }
  return documents;
}

}  // namespace bitsweep::engine
