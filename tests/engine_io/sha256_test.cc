#include "worker/engine/checkpoint/sha256.h"

#include <gtest/gtest.h>

namespace bitsweep::engine {
namespace {

std::string Hash(std::string_view text, bool use_instructions, std::size_t piece_bytes) {
  Sha256 hash(use_instructions);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    hash.Update(text.substr(at, piece_bytes));
  }
  return hash.HexDigest();
}

struct Vector {
  std::string text;
  const char* digest;
};

// FIPS 180-4 examples and the one-million-a vector of the NIST test suite.
TEST(Sha256Test, AgreesWithTheStandardsVectors) {
  const Vector vectors[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmn"
       "opq"
       "rsmnopqrstnopqrstu",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {std::string(1'000'000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const Vector& vector : vectors) {
    for (const bool use_instructions : {true, false}) {
      for (const std::size_t piece_bytes :
           {std::size_t{1'000'000}, std::size_t{63}, std::size_t{65}}) {
        EXPECT_EQ(Hash(vector.text, use_instructions, piece_bytes), vector.digest)
            << vector.text.size() << " bytes, " << piece_bytes << " at once, instructions "
            << use_instructions;
      }
    }
  }
}

TEST(Sha256Test, BothVersionsAgreeAtEveryLengthAroundABlock) {
  std::string text;
  for (int length = 0; length < 200; ++length) {
    EXPECT_EQ(Hash(text, true, 1000), Hash(text, false, 1000)) << length;
    text.push_back(static_cast<char>(length * 7));
  }
}

}  // namespace
}  // namespace bitsweep::engine
