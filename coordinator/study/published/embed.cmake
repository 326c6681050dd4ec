# bitsweep_embed_published(arxiv_2503_07103): the CSV files of published/<NAME> below the calling folder as
# string views `k_<file>` in bitsweep_generated/<NAME>.h, so that a binary needs no data beside it.
function(bitsweep_embed_published NAME)
  file(GLOB TABLES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/published/${NAME}/*.csv)
  set(CONSTANTS "")
  foreach(TABLE ${TABLES})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${TABLE})
    get_filename_component(STEM ${TABLE} NAME_WE)
    file(READ ${TABLE} TEXT)
    string(APPEND CONSTANTS "inline constexpr std::string_view k_${STEM} = R\"csv(${TEXT})csv\";\n")
  endforeach()
  file(CONFIGURE OUTPUT ${BITSWEEP_GENERATED_DIR}/bitsweep_generated/${NAME}.h @ONLY CONTENT [[
// Generated from coordinator/study/published/@NAME@.
#pragma once
#include <string_view>
namespace bitsweep::@NAME@ {
@CONSTANTS@}  // namespace bitsweep::@NAME@
]])
endfunction()
