# Writes the bytes of INPUT as a function NAME() of the header OUTPUT: cmake -DINPUT= -DOUTPUT= -DNAME= -P embed_bytes.cmake
file(READ ${INPUT} HEX HEX)
string(REGEX REPLACE "(..)" "0x\\1," BYTES "${HEX}")
string(REGEX REPLACE "(([^,]*,){24})" "\\1\n    " BYTES "${BYTES}")
get_filename_component(FILE ${INPUT} NAME)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
// Generated: the bytes of @FILE@.
#pragma once
#include <string_view>
namespace bitsweep::grade::generated {
inline std::string_view @NAME@() {
  static constexpr unsigned char kBytes[] = {
    @BYTES@};
  return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)};
}
}  // namespace bitsweep::grade::generated
]])
