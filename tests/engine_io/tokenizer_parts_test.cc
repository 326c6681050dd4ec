// The parts of tokenizer.json that the demo models do not use, and what is refused.
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine_io/test_folder.h"
#include "worker/engine/tokenizer/byte_level.h"
#include "worker/engine/tokenizer/pattern.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> SplitText(const std::string& text, SplitBehavior behavior, bool invert) {
  std::vector<std::string> pieces;
  for (const Span& span : Split(text, Pattern::Literal("-"), behavior, invert)) {
    pieces.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return pieces;
}

// The example of the tokenizers library's documentation.
TEST(SplitTest, EveryBehaviour) {
  const std::string text = "the-final--countdown";
  EXPECT_THAT(SplitText(text, SplitBehavior::kRemoved, false),
              ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(SplitText(text, SplitBehavior::kIsolated, false),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(SplitText(text, SplitBehavior::kMergedWithPrevious, false),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(SplitText(text, SplitBehavior::kMergedWithNext, false),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(SplitText(text, SplitBehavior::kContiguous, false),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(SplitText(text, SplitBehavior::kRemoved, true), ElementsAre("-", "-", "-"));
}

TEST(Utf8Test, EachIllFormedSubpartBecomesOneReplacementCharacter) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(LossyUtf8("a\xE2\x82"
                      "b"),
            "a" + bad + "b");
  EXPECT_EQ(LossyUtf8("\xF0\x80\x80\x41"), bad + bad + bad + "A");
  EXPECT_EQ(LossyUtf8("\xED\xA0\x80"), bad + bad + bad);  // A surrogate.
  EXPECT_EQ(LossyUtf8("\xF0\x9F\x99\x82"), "\xF0\x9F\x99\x82");
  EXPECT_FALSE(IsValidUtf8("\xC0\x80"));
}

TEST(ByteLevelTest, EveryByteHasItsCharacterAndBack) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = BytesToAlphabet(std::string(1, static_cast<char>(byte)));
    std::size_t at = 0;
    EXPECT_EQ(AlphabetToByte(NextCodePoint(character, &at)), static_cast<unsigned char>(byte));
    EXPECT_EQ(at, character.size());
  }
  EXPECT_EQ(BytesToAlphabet(" \n"), "\xC4\xA0\xC4\x8A");  // Ġ and Ċ
  EXPECT_FALSE(AlphabetToByte(0x20).has_value());
}

// A tokenizer of single characters with one merge, to be changed part by part.
nlohmann::json SmallTokenizer() {
  nlohmann::json vocabulary = {
      {"<unk>", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {" ", 4}, {"_", 5}, {"_a", 6}};
  return {{"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", false},
            {"vocab", vocabulary},
            {"merges", {"a b", "_ a"}}}},
          {"added_tokens", nlohmann::json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"decoder", nullptr}};
}

std::shared_ptr<const Tokenizer> Make(const nlohmann::json& root,
                                      const nlohmann::json& config = nlohmann::json::object()) {
  const TestFolder folder;
  folder.Write("tokenizer.json", root.dump());
  folder.Write("tokenizer_config.json", config.dump());
  return Tokenizer::Load(folder.path());
}

nlohmann::json AddedToken(int id, const std::string& content) {
  return {{"id", id},
          {"content", content},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", true}};
}

TEST(TokenizerPartsTest, MergesAsStringsUnknownsAndTheJoinWithoutADecoder) {
  nlohmann::json root = SmallTokenizer();
  EXPECT_THAT(Make(root)->Encode("abba"), ElementsAre(3, 2, 1));
  EXPECT_THAT(Make(root)->Encode("axya"), ElementsAre(1, 0, 0, 1));
  EXPECT_EQ(Make(root)->Decode({3, 2}), "ab b");
  root["model"]["fuse_unk"] = true;
  EXPECT_THAT(Make(root)->Encode("axya"), ElementsAre(1, 0, 1));
  root["model"]["unk_token"] = nullptr;
  EXPECT_THAT(Make(root)->Encode("axya"), ElementsAre(1, 1));
}

TEST(TokenizerPartsTest, IgnoreMergesTakesAWholePieceFromTheVocabulary) {
  nlohmann::json root = SmallTokenizer();
  root["model"]["vocab"]["aba"] = 7;
  EXPECT_THAT(Make(root)->Encode("aba"), ElementsAre(3, 1));
  root["model"]["ignore_merges"] = true;
  EXPECT_THAT(Make(root)->Encode("aba"), ElementsAre(7));
}

TEST(TokenizerPartsTest, AddedTokensStripAndRespectWords) {
  nlohmann::json root = SmallTokenizer();
  root["added_tokens"] = {AddedToken(7, "<x>"), AddedToken(8, "<x><y>"), AddedToken(9, "bb")};
  root["added_tokens"][0]["lstrip"] = true;
  root["added_tokens"][0]["rstrip"] = true;
  root["added_tokens"][2]["single_word"] = true;
  const auto tokenizer = Make(root);
  EXPECT_THAT(tokenizer->Encode("a  <x> \n b"), ElementsAre(1, 7, 2));
  EXPECT_THAT(tokenizer->Encode("a<x><y>b"), ElementsAre(1, 8, 2));  // The longest wins.
  EXPECT_THAT(tokenizer->Encode("bb abb"), ElementsAre(9, 4, 3, 2));
  EXPECT_THAT(tokenizer->Encode("<x>  <x>"), ElementsAre(7, 7));
}

TEST(TokenizerPartsTest, MetaspaceMarksWordsAndDecodesThem) {
  nlohmann::json root = SmallTokenizer();
  root["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}};
  root["decoder"] = root["pre_tokenizer"];
  root["added_tokens"] = {AddedToken(7, "<x>")};
  const auto tokenizer = Make(root);
  EXPECT_THAT(tokenizer->Encode("a a<x>a"), ElementsAre(6, 6, 7, 1));
  EXPECT_EQ(tokenizer->Decode({6, 6}), "a a");
  root["pre_tokenizer"]["prepend_scheme"] = "always";
  EXPECT_THAT(Make(root)->Encode("a<x>a"), ElementsAre(6, 7, 6));
  root["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_THAT(Make(root)->Encode("a a"), ElementsAre(1, 6));
}

TEST(TokenizerPartsTest, TheTemplateGivesTheBeginOfTextWhereTheConfigIsSilent) {
  nlohmann::json root = SmallTokenizer();
  root["added_tokens"] = {AddedToken(7, "<s>")};
  root["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}};
  EXPECT_EQ(Make(root)->bos_id(), 7);
  EXPECT_EQ(Make(root, {{"add_bos_token", false}, {"bos_token", "<s>"}})->bos_id(), -1);
  EXPECT_EQ(Make(root, {{"add_bos_token", true}, {"bos_token", {{"content", "<s>"}}}})->bos_id(),
            7);
  root["post_processor"] = nullptr;
  EXPECT_EQ(Make(root)->bos_id(), -1);
  EXPECT_THAT(BadInputOf([&] {
                Make(root, {{"add_bos_token", true}, {"bos_token", "<t>"}});
              }),
              AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("/bos_token"), HasSubstr("<t>")));
}

std::string Refused(const char* pointer, const nlohmann::json& value) {
  nlohmann::json root = SmallTokenizer();
  root[nlohmann::json::json_pointer(pointer)] = value;
  return BadInputOf([&] { Make(root); });
}

TEST(TokenizerPartsTest, WhatIsNotSupportedIsRefusedAtItsPlace) {
  EXPECT_THAT(Refused("/model/type", "Unigram"),
              AllOf(HasSubstr("tokenizer.json: /model"), HasSubstr("Unigram"), HasSubstr("BPE")));
  EXPECT_THAT(Refused("/model/dropout", 0.1), HasSubstr("/model/dropout"));
  EXPECT_THAT(Refused("/model/end_of_word_suffix", "</w>"), HasSubstr("/model/end_of_word_suffix"));
  EXPECT_THAT(Refused("/model/merges/1", "a c"),
              AllOf(HasSubstr("/model/merges/1"), HasSubstr("'c'")));
  EXPECT_THAT(Refused("/model/merges/0", "a"), HasSubstr("/model/merges/0"));
  EXPECT_THAT(Refused("/model/vocab/a", -1), HasSubstr("/model/vocab"));
  EXPECT_THAT(Refused("/normalizer", {{"type", "NFC"}}),
              AllOf(HasSubstr("/normalizer/type"), HasSubstr("NFC"), HasSubstr("Prepend")));
  EXPECT_THAT(
      Refused("/pre_tokenizer",
              {{"type", "Sequence"}, {"pretokenizers", {{{"type", "BertPreTokenizer"}}}}}),
      AllOf(HasSubstr("/pre_tokenizer/pretokenizers/0/type"), HasSubstr("BertPreTokenizer")));
  const nlohmann::json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  nlohmann::json bad_regex = split;
  bad_regex["pattern"]["Regex"] = "(";
  EXPECT_THAT(Refused("/pre_tokenizer", bad_regex), HasSubstr("/pre_tokenizer/pattern/Regex"));
  nlohmann::json bad_class = split;
  bad_class["pattern"]["Regex"] = "\\w+";
  EXPECT_THAT(Refused("/pre_tokenizer", bad_class), HasSubstr("\\w is not supported"));
  nlohmann::json bad_behavior = split;
  bad_behavior["pattern"]["String"] = "-";
  bad_behavior["behavior"] = "Shuffled";
  EXPECT_THAT(Refused("/pre_tokenizer", bad_behavior), HasSubstr("/pre_tokenizer/behavior"));
  EXPECT_THAT(Refused("/decoder", {{"type", "WordPiece"}}), HasSubstr("/decoder/type"));
}

TEST(TokenizerPartsTest, AMissingFileSaysWhetherSentencePieceIsThere) {
  const TestFolder folder;
  EXPECT_THAT(BadInputOf([&] { Tokenizer::Load(folder.path()); }), HasSubstr("is missing"));
  folder.Write("tokenizer.model", "");
  EXPECT_THAT(BadInputOf([&] { Tokenizer::Load(folder.path()); }), HasSubstr("SentencePiece"));
}

}  // namespace
}  // namespace bitsweep::engine
