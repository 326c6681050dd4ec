# Headers made from data: the semantics versions of the stage kinds (proto/semantics.json) and the build's identity.
# They are generated so that the engine, which includes nothing of proto/, reads the same data file as the coordinator.
set(BITSWEEP_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proto/semantics.json)
file(READ ${PROJECT_SOURCE_DIR}/proto/semantics.json SEMANTICS_JSON)
set(SEMANTICS_ROWS "")
string(JSON SEMANTICS_COUNT LENGTH "${SEMANTICS_JSON}")
math(EXPR SEMANTICS_LAST "${SEMANTICS_COUNT} - 1")
foreach(INDEX RANGE ${SEMANTICS_LAST})
  string(JSON KIND MEMBER "${SEMANTICS_JSON}" ${INDEX})
  string(JSON VERSION_NUMBER GET "${SEMANTICS_JSON}" ${KIND})
  string(APPEND SEMANTICS_ROWS "    SemanticsVersion{\"${KIND}\", ${VERSION_NUMBER}},\n")
endforeach()
file(CONFIGURE OUTPUT ${BITSWEEP_GENERATED_DIR}/bitsweep_generated/semantics.h @ONLY CONTENT [[
// Generated from proto/semantics.json. One integer per stage kind, raised by hand when results may change.
#pragma once
#include <array>
#include <string_view>
namespace bitsweep {
struct SemanticsVersion {
  std::string_view kind;
  int version;
};
inline constexpr std::array kSemanticsVersions = {
@SEMANTICS_ROWS@};
/// The version of `kind`, or 0 when there is no such stage kind.
constexpr int SemanticsOf(std::string_view kind) {
  for (const SemanticsVersion& row : kSemanticsVersions) {
    if (row.kind == kind) {
      return row.version;
    }
  }
  return 0;
}
}  // namespace bitsweep
]])

execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE BITSWEEP_BUILD_ID OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE DESCRIBE_FAILED)
if(DESCRIBE_FAILED OR NOT BITSWEEP_BUILD_ID)
  set(BITSWEEP_BUILD_ID unknown)
endif()
file(CONFIGURE OUTPUT ${BITSWEEP_GENERATED_DIR}/bitsweep_generated/build_id.h @ONLY CONTENT [[
// Generated at configure time. The build id is provenance: it is recorded beside results and never part of a key.
#pragma once
namespace bitsweep {
inline constexpr const char* kVersion = "@PROJECT_VERSION@";
inline constexpr const char* kBuildId = "@BITSWEEP_BUILD_ID@";
}  // namespace bitsweep
]])
