#include "coordinator/outcomes/outcomes_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/outcomes/outcome_checks.h"

namespace bitsweep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

OutcomesFile Read(const std::string& text,
                  const std::vector<std::string>& maps = {},
                  const std::vector<std::string>& defaults = {}) {
  const auto options = ParseOutcomesOptions(maps, defaults);
  EXPECT_TRUE(options.ok()) << options.status();
  auto file = ReadOutcomes(text, "f.csv", *options);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *std::move(file) : OutcomesFile{};
}

std::string ErrorOf(const std::string& text, const std::vector<std::string>& maps = {}) {
  const auto options = ParseOutcomesOptions(maps, {});
  EXPECT_TRUE(options.ok()) << options.status();
  const auto file = ReadOutcomes(text, "f.csv", *options);
  EXPECT_FALSE(file.ok());
  return std::string(file.status().message());
}

constexpr const char* kHeader = "model,quantization,language,problem,pass\n";

TEST(VariantLabelTest, WhatIsCertainIsUnderstood) {
  const auto is = [](const char* label, VariantLabel wanted) {
    const auto found = ParseVariantLabel(label);
    ASSERT_TRUE(found) << label;
    EXPECT_EQ(*found, wanted) << label;
  };
  for (const char* label : {"16bit", "fp16", "FP16", "bf16", "float16", "16-bit"}) {
    is(label, {"fp16", {}, {}});
  }
  for (const char* label : {"2bit", "2-bit", "2_bits", "2 BIT"}) {
    is(label, {"2-bit", {}, {}});
  }
  is("2bit-mixed-finetuned", {"2-bit", "mixed", "finetuned"});
  is("3bit_random_ft", {"3-bit", "random", "finetuned"});
  is("4-bit+code", {"4-bit", "code", {}});
  is("2bit-fine-tuned", {"2-bit", {}, "finetuned"});
  for (const char* label : {"", "2bit-rnd", "int4", "2bit-4bit", "random", "0bit", "99bit", "32bit",
                            "2bit-mixed-code", "fp16-finetuned", "bit", "2"}) {
    EXPECT_FALSE(ParseVariantLabel(label)) << label;
  }
}

TEST(LabelMapTest, PiecesWithoutEqualsBelongToTheValueBefore) {
  LabelMaps maps;
  ASSERT_TRUE(AddLabelMap("quantization=2bit-rnd=2-bit,random,x=fp16", maps).ok());
  EXPECT_EQ(maps["quantization"]["2bit-rnd"], "2-bit,random");
  EXPECT_EQ(maps["quantization"]["x"], "fp16");
  EXPECT_EQ(*ParseMappedVariant("2-bit,random"), (VariantLabel{"2-bit", "random", {}}));
  EXPECT_EQ(*ParseMappedVariant("2bit,mixed,finetuned"),
            (VariantLabel{"2-bit", "mixed", "finetuned"}));
  EXPECT_EQ(*ParseMappedVariant("gptq-4"), (VariantLabel{"gptq-4", {}, {}}));
  EXPECT_FALSE(ParseMappedVariant("2-bit,random,mixed").ok());
  EXPECT_THAT(AddLabelMap("quantisation=a=b", maps).message(), HasSubstr("did you mean 'quantization'"));
  EXPECT_THAT(AddLabelMap("quantization=x=2-bit", maps).message(), HasSubstr("mapped twice"));
  EXPECT_THAT(AddLabelMap("quantization", maps).message(), HasSubstr("COLUMN=label=value"));
  EXPECT_FALSE(ParseOutcomesOptions({}, {"problem=x"}).ok());
}

TEST(OutcomesFileTest, RowsBecomeCells) {
  const OutcomesFile file = Read(std::string(kHeader) +
                                 "m-7b,16bit,py,p1,1\n"
                                 "m-7b,16bit,py,p1,0\n"
                                 "m-7b,2bit,py,p1,False\n"
                                 "m-7b,2bit,py,p1,TRUE\n");
  EXPECT_EQ(file.rows, 4);
  ASSERT_EQ(file.cells.size(), 2u);
  EXPECT_EQ(file.cells[0].key,
            (OutcomeCellKey{"m-7b", "fp16", "none", "none", "unspecified", "python", 0}));
  EXPECT_EQ(file.cells[1].key,
            (OutcomeCellKey{"m-7b", "2-bit", "unspecified", "none", "unspecified", "python", 0}));
  const std::vector<OutcomeSample> wanted = {{0, false, "fail"}, {1, true, "pass"}};
  EXPECT_EQ(file.cells[1].problems[0].samples, wanted);
  ASSERT_EQ(file.models.size(), 1u);
  EXPECT_EQ(file.models[0].params, "7B");
}

TEST(OutcomesFileTest, OptionalColumnsAreReadInAnyOrder) {
  const OutcomesFile file = Read(
      "sample,pass,problem,verdict,size_bytes,seed,params,family,benchmark,finetuned,calibration,"
      "language,quantization,model\n"
      "1,0,p,timeout,7,3,7B,Code Family,mceval,kl,mixed,java,2-bit,m\n"
      "0,1,p,,7,3,7B,Code Family,mceval,kl,mixed,java,2-bit,m\n");
  ASSERT_EQ(file.cells.size(), 1u);
  const OutcomeCell& cell = file.cells[0];
  EXPECT_EQ(cell.key, (OutcomeCellKey{"m", "2-bit", "mixed", "kl", "mceval", "java", 3}));
  EXPECT_EQ(cell.size_bytes, 7);
  const std::vector<OutcomeSample> wanted = {{0, true, "pass"}, {1, false, "timeout"}};
  EXPECT_EQ(cell.problems[0].samples, wanted);
  EXPECT_EQ(file.models[0].family, "Code Family");
}

TEST(OutcomesFileTest, MapsAndDefaultsHelp) {
  const OutcomesFile file = Read(std::string(kHeader) + "m,2bit-rnd,python3,p,ok\n",
                                 {"quantization=2bit-rnd=2-bit,random", "language=python3=python", "pass=ok=1"},
                                 {"benchmark=multipl-e"});
  EXPECT_EQ(file.cells[0].key,
            (OutcomeCellKey{"m", "2-bit", "random", "none", "multipl-e", "python", 0}));
}

TEST(OutcomesFileTest, WithBothColumnsAPrecisionMayHaveAnyName) {
  const OutcomesFile file =
      Read("model,quantization,language,problem,pass,calibration,finetuned\nm,tiny,java,p,1,code,\n");
  EXPECT_EQ(file.cells[0].key.precision, "tiny");
  EXPECT_THAT(file.notes.front(), HasSubstr("tiny"));
}

TEST(OutcomesFileTest, BadValuesAreNamedWithFileAndLine) {
  const std::string good = std::string(kHeader) + "m,fp16,py,p,1\n";
  EXPECT_THAT(ErrorOf(""), AllOf(HasSubstr("f.csv:1"), HasSubstr("empty")));
  EXPECT_THAT(ErrorOf(kHeader), HasSubstr("no rows"));
  EXPECT_THAT(ErrorOf("model,quantisation,language,problem,pass\n"),
              AllOf(HasSubstr("f.csv:1: unknown column 'quantisation'"), HasSubstr("did you mean 'quantization'")));
  EXPECT_THAT(ErrorOf("model,model,quantization,language,problem,pass\n"), HasSubstr("comes twice"));
  EXPECT_THAT(ErrorOf("model,language,problem,pass\n"), HasSubstr("'quantization' is missing"));
  EXPECT_THAT(ErrorOf(good + "m,fp16,py,q,maybe\n"), HasSubstr("f.csv:3: pass is 'maybe'"));
  EXPECT_THAT(ErrorOf(good + "m,fp16,py,q\n"), HasSubstr("f.csv:3: 4 fields"));
  EXPECT_THAT(ErrorOf(good + "m,2bit-rnd,py,q,1\n"),
              AllOf(HasSubstr("f.csv:3: quantization is '2bit-rnd'"), HasSubstr("--map")));
  EXPECT_THAT(ErrorOf(good + "m,fp16,py,\"q\nr\",1\n"), AllOf(HasSubstr("f.csv:3: problem"), HasSubstr("line feed")));
  EXPECT_THAT(ErrorOf(good + "m m,fp16,py,q,1\n"), HasSubstr("f.csv:3: model is 'm m'"));
  // Several at once, each on a line.
  EXPECT_THAT(ErrorOf(good + "m,fp16,py,q,x\nm,fp16,py,q,y\n"),
              AllOf(HasSubstr("f.csv:3: pass is 'x'"), HasSubstr("\nf.csv:4: pass is 'y'")));
}

TEST(OutcomesFileTest, WhatCannotBePairedIsNamed) {
  const std::string good = std::string(kHeader) + "m,fp16,py,p,1\nm,fp16,py,p,1\nm,fp16,py,q,1\nm,fp16,py,q,1\n";
  EXPECT_THAT(ErrorOf(good + "m,2bit,py,p,1\nm,2bit,py,p,1\nm,2bit,py,q,1\n"),
              AllOf(HasSubstr("f.csv:8: unequal sample counts: problem q of m 2-bit-unspecified python has 1 sample"),
                    HasSubstr("others have 2")));
  EXPECT_THAT(ErrorOf(good + "m,2bit,py,p,1\nm,2bit,py,p,1\n"),
              AllOf(HasSubstr("f.csv:6: unequal sample counts: problem q has no sample of m 2-bit-unspecified"),
                    HasSubstr("m fp16")));
  const std::string header = "model,quantization,language,problem,pass,sample,seed,size_bytes\n";
  EXPECT_THAT(ErrorOf(header + "m,fp16,py,p,1,0,,\nm,fp16,py,p,0,0,,\n"),
              AllOf(HasSubstr("f.csv:3: sample 0 of problem p comes twice")));
  EXPECT_THAT(ErrorOf(header + "m,fp16,py,p,1,0,,\nm,2bit,py,p,1,1,,\n"), HasSubstr("has sample"));
  EXPECT_THAT(ErrorOf(header + "m,fp16,py,p,1,0,0,\nm,fp16,py,p,1,0,1,\nm,2bit,py,p,1,0,1,\n"),
              HasSubstr("f.csv:4: m 2-bit-unspecified python has no rows of seed 0"));
  EXPECT_THAT(ErrorOf(header + "m,fp16,py,p,1,0,,5\nm,fp16,java,p,1,0,,6\n"), HasSubstr("f.csv:3: size_bytes is 6, and 5"));
  EXPECT_THAT(ErrorOf(header + "m,fp16,py,p,1,-1,,\n"), HasSubstr("sample is '-1'"));
  EXPECT_THAT(ErrorOf("model,quantization,language,problem,pass,calibration\nm,2bit-mixed,py,p,1,code\n"),
              HasSubstr("contradict"));
}

TEST(OutcomesFileTest, ANameMayHoldFamilyAndSize) {
  const auto is = [](const char* id, const char* family, const char* params) {
    EXPECT_EQ(FamilyAndParams(id).family, family);
    EXPECT_EQ(FamilyAndParams(id).params, params) << id;
  };
  is("CodeLlama-7b-hf", "CodeLlama", "7B");
  is("deepseek-coder-6.7b-base", "deepseek-coder", "6.7B");
  is("deepseekcoder-7b", "deepseekcoder", "7B");
  is("codegen_350m", "codegen", "350M");
  is("gpt", "gpt", "");
  is("phi-2", "phi-2", "");
}

}  // namespace
}  // namespace bitsweep
