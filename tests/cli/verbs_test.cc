#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "cli/address.h"
#include "tests/cli/cli_fixture.h"
#include "tests/cli/fake_coordinator.h"

namespace bitsweep::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class VerbsTest : public CliTest {
 protected:
  Outcome Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", fake_.address()});
    return Run(arguments);
  }
  FakeCoordinator fake_;
};

/// A loopback socket that listens (or only has a port), and answers every connection with `answer`.
class Listener {
 public:
  explicit Listener(std::string answer) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (answer.empty()) {
      return;
    }
    listen(fd_, 8);
    thread_ = std::thread([this, answer = std::move(answer)] {
      while (true) {
        const int peer = accept(fd_, nullptr, nullptr);
        if (peer < 0) {
          return;
        }
        char request[512];
        (void)recv(peer, request, sizeof request, 0);
        (void)send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
        close(peer);
      }
    });
  }
  ~Listener() {
    shutdown(fd_, SHUT_RDWR);
    close(fd_);
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(VerbsTest, NothingThereNamesTheAddressAndWhatToDo) {
  const Listener closed("");
  const Outcome outcome = Run({"status", "--server", closed.address()});
  EXPECT_EQ(outcome.code, ExitCode::kUnreachable);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr(closed.address()),
                    HasSubstr("nothing listens there"),
                    HasSubstr("--server"),
                    HasSubstr("BITSWEEP_SERVER"),
                    HasSubstr("bitsweepd")));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(VerbsTest, AnHttpServerIsToldApart) {
  const Listener http("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  const Outcome outcome = Run({"status", "--server", http.address()});
  EXPECT_EQ(outcome.code, ExitCode::kUnreachable);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("an HTTP server answers there"), HasSubstr(http.address())));
}

TEST_F(VerbsTest, TheEnvironmentNamesTheServerAndTheOptionWins) {
  variables_["BITSWEEP_SERVER"] = fake_.address();
  EXPECT_EQ(Run({"version"}).code, ExitCode::kOk);
  const Listener closed("");
  EXPECT_EQ(Run({"version", "--server", closed.address()}).code, ExitCode::kUnreachable);
}

TEST_F(VerbsTest, AMalformedAddressIsAUsageErrorWithAnExample) {
  for (const char* address : {"localhost",
                              "http://localhost:7471",
                              "localhost:0",
                              "localhost:70000",
                              ":7471",
                              "::1:7471"}) {
    const Outcome outcome = Run({"status", "--server", address});
    EXPECT_EQ(outcome.code, ExitCode::kUsage) << address;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(address), HasSubstr("127.0.0.1:7471")));
  }
  EXPECT_EQ(ParseAddress("[::1]:7471")->text(), "[::1]:7471");
}

TEST_F(VerbsTest, UnknownVerbsAndOptionsNameTheNearest) {
  EXPECT_THAT(Run({"statsu"}).err, HasSubstr("there is no verb 'statsu'; did you mean 'status'?"));
  EXPECT_THAT(Run({"cells", "--stat", "failed"}).err, HasSubstr("did you mean '--state'?"));
  EXPECT_EQ(Run({"statsu"}).code, ExitCode::kUsage);
  EXPECT_EQ(Run({}).code, ExitCode::kUsage);
  EXPECT_EQ(Run({"cancel"}).code, ExitCode::kUsage);
  EXPECT_EQ(Run({"status", "--output", "xml"}).code, ExitCode::kUsage);
  EXPECT_THAT(fake_.calls, ::testing::IsEmpty());
}

TEST_F(VerbsTest, HelpNeedsNoServerAndIsNoFailure) {
  const Outcome outcome = Run({"--help"});
  EXPECT_EQ(outcome.code, ExitCode::kOk);
  for (const char* verb : {"plan",
                           "submit",
                           "status",
                           "watch",
                           "tables",
                           "cells",
                           "stats",
                           "compare",
                           "export",
                           "import-outcomes",
                           "workers",
                           "explain",
                           "logs",
                           "cancel",
                           "pause",
                           "resume",
                           "retry",
                           "version",
                           "completion"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("\n  ") + verb + " "));
    const Outcome help = Run({verb, "--help"});
    EXPECT_EQ(help.code, ExitCode::kOk) << verb;
    EXPECT_THAT(help.out, HasSubstr(verb));
  }
  EXPECT_THAT(outcome.out, Not(HasSubstr("__complete")));
}

TEST_F(VerbsTest, RefusalsKeepTheCoordinatorsWordsAndTheirExitCode) {
  const std::vector<std::pair<grpc::StatusCode, ExitCode>> codes = {
      {grpc::StatusCode::NOT_FOUND, ExitCode::kNotFound},
      {grpc::StatusCode::FAILED_PRECONDITION, ExitCode::kRefused},
      {grpc::StatusCode::INVALID_ARGUMENT, ExitCode::kUsage},
      {grpc::StatusCode::INTERNAL, ExitCode::kFailed},
  };
  for (const auto& [code, exit] : codes) {
    fake_.refuse = {code, "no sweep is called 'x'"};
    const Outcome outcome = Ask({"status", "x"});
    EXPECT_EQ(outcome.code, exit) << code;
    EXPECT_EQ(outcome.err, "error: no sweep is called 'x'\n");
  }
}

TEST_F(VerbsTest, AServerThatIsNoCoordinatorIsNamed) {
  fake_.refuse = {grpc::StatusCode::UNIMPLEMENTED, ""};
  const Outcome outcome = Ask({"status"});
  EXPECT_EQ(outcome.code, ExitCode::kRefused);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(fake_.address()), HasSubstr("no bitsweep coordinator")));
}

TEST_F(VerbsTest, StatusWithoutASweepListsThem) {
  EXPECT_THAT(Ask({"status"}).out, AllOf(HasSubstr("No sweeps yet"), HasSubstr("bitsweep submit")));
  auto* sweep = fake_.sweeps.add_sweeps();
  sweep->set_sweep(3);
  sweep->set_name("demo");
  sweep->set_state("succeeded");
  sweep->set_cells(24);
  sweep->set_cells_done(24);
  sweep->set_created_us(1'000'000);
  sweep->set_ended_us(61'000'000);
  EXPECT_THAT(Ask({"status"}).out,
              AllOf(HasSubstr("3  demo  succeeded  24/24"), HasSubstr("1m 00s")));
  const auto json = nlohmann::json::parse(Ask({"status", "--output", "json"}).out);
  EXPECT_EQ(json["sweeps"][0]["created_us"], 1'000'000);
}

TEST_F(VerbsTest, ActionsNameTheirSweepAndPassTheReason) {
  EXPECT_EQ(Ask({"cancel", "demo", "--reason", "wrong seed"}).out,
            "cancelled demo (sweep 3): 5 stages changed\n");
  EXPECT_EQ(Ask({"pause", "3"}).code, ExitCode::kOk);
  EXPECT_EQ(Ask({"resume", "3"}).code, ExitCode::kOk);
  EXPECT_EQ(Ask({"retry", "latest"}).code, ExitCode::kOk);
  EXPECT_THAT(fake_.calls,
              ::testing::ElementsAre(
                  "Cancel demo because wrong seed", "Pause 3", "Resume 3", "Retry latest"));
}

TEST_F(VerbsTest, TablesArePrintedOrWrittenOneFileEach) {
  for (const auto& [question, benchmark] :
       {std::pair{"rq1", "demo"}, std::pair{"rq2", "../odd name"}}) {
    auto* table = fake_.tables.add_tables();
    table->set_question(question);
    table->set_benchmark(benchmark);
    table->set_text("| a |\n|---|\n| 1 |\n");
  }
  const Outcome printed = Ask({"tables", "demo", "--question", "rq1", "--benchmark", "b"});
  EXPECT_THAT(fake_.calls, Contains("Table demo/rq1/b/markdown"));
  EXPECT_THAT(printed.out, AllOf(HasSubstr("# rq1 on demo"), HasSubstr("| 1 |")));
  const std::filesystem::path folder = folder_ / "new" / "tables";
  const Outcome written = Ask({"tables", "--format", "csv", "--output-dir", folder.string()});
  EXPECT_EQ(written.code, ExitCode::kOk) << written.err;
  EXPECT_THAT(fake_.calls, Contains("Table latest///csv"));
  EXPECT_TRUE(std::filesystem::exists(folder / "rq1-demo.csv"));
  EXPECT_TRUE(std::filesystem::exists(folder / "rq2-..-odd-name.csv"));
  EXPECT_EQ(Ask({"tables", "--format", "pdf"}).code, ExitCode::kUsage);
}

TEST_F(VerbsTest, CellsShowFiguresOnlyWhereThereAreResults) {
  auto* done = fake_.cells.add_cells();
  done->set_model("sparrow-1m");
  done->set_precision("2-bit");
  done->set_calibration("code");
  done->set_finetuned("none");
  done->set_benchmark("demo");
  done->set_language("python");
  done->set_has_result(true);
  done->set_pass_at_1(0.983333);
  done->set_size_bytes(1'230'000);
  done->set_effective_bits(4.39);
  done->set_state("succeeded");
  auto* pending = fake_.cells.add_cells();
  *pending = *done;
  pending->set_has_result(false);
  pending->set_pass_at_1(0);
  pending->set_state("pending");
  const std::string out = Ask({"cells", "demo"}).out;
  EXPECT_THAT(
      out,
      HasSubstr("sparrow-1m  2-bit-code  demo       python     98.3%  1.23 MB  4.39  succeeded"));
  EXPECT_THAT(out, HasSubstr("  -  1.23 MB  4.39  pending"));
  EXPECT_THAT(Ask({"cells", "--state", "failed"}).out,
              HasSubstr("No cell of this sweep is failed"));
  EXPECT_EQ(
      nlohmann::json::parse(Ask({"cells", "--state", "pending", "--output", "json"}).out)["cells"]
          .size(),
      1u);
}

TEST_F(VerbsTest, WithoutWorkersItSaysHowToStartOne) {
  EXPECT_THAT(Ask({"workers"}).out, HasSubstr("bitsweep-worker --server " + fake_.address()));
  auto* worker = fake_.workers.add_workers();
  worker->set_name("w1");
  worker->set_state("connected");
  worker->add_stages("quantize");
  worker->set_cores(2);
  worker->set_slots(2);
  worker->add_running("aa");
  worker->set_isolation("bubblewrap");
  EXPECT_THAT(Ask({"workers"}).out, HasSubstr("w1      connected   1/2"));
}

TEST_F(VerbsTest, LogsKeepTheHeadApartFromTheText) {
  fake_.logs.set_stage("0123456789abcdef");
  fake_.logs.set_attempt(2);
  fake_.logs.set_worker("w1");
  fake_.logs.set_state("failed");
  fake_.logs.set_text("line one\nline two\n");
  const Outcome outcome = Ask({"logs", "0123", "--attempt", "2"});
  EXPECT_EQ(outcome.out, "line one\nline two\n");
  EXPECT_EQ(outcome.err, "stage 0123456789ab, attempt 2 on w1: failed\n");
  EXPECT_THAT(fake_.calls, Contains("Logs 0123 2"));
}

TEST_F(VerbsTest, ExplainPrintsTheTextOrTheDetail) {
  fake_.explanation.set_stage("ab");
  fake_.explanation.set_text("waits for quantize");
  fake_.explanation.set_detail_json(R"({"reasons": ["x"]})");
  EXPECT_EQ(Ask({"explain", "abcd"}).out, "waits for quantize\n");
  EXPECT_EQ(nlohmann::json::parse(
                Ask({"explain", "abcd", "--output", "json"}).out)["detail"]["reasons"][0],
            "x");
}

TEST_F(VerbsTest, VersionPrintsItsOwnEvenWhereNoCoordinatorIs) {
  EXPECT_THAT(Ask({"version"}).out,
              AllOf(StartsWith("bitsweep "), HasSubstr("bitsweepd 9.9.9 (fake) at ")));
  const Listener closed("");
  const Outcome away = Run({"version", "--server", closed.address()});
  EXPECT_EQ(away.code, ExitCode::kUnreachable);
  EXPECT_THAT(away.out, StartsWith("bitsweep "));
  const Outcome alone = Run({"version", "--client", "--server", closed.address()});
  EXPECT_EQ(alone.code, ExitCode::kOk);
}

TEST_F(VerbsTest, CompletionScriptsKnowEveryVerbAndParse) {
  const std::string bash = Run({"completion", "bash"}).out;
  for (const char* verb : {"plan", "submit", "watch", "tables", "retry"}) {
    EXPECT_THAT(bash, HasSubstr(std::string("    ") + verb + ") words="));
    EXPECT_THAT(Run({"completion", "fish"}).out, HasSubstr(std::string("-a ") + verb + " -d"));
    EXPECT_THAT(Run({"completion", "zsh"}).out, HasSubstr(std::string("'") + verb + ":"));
  }
  const std::string script = Write("completion.bash", bash);
  EXPECT_EQ(std::system(("bash -n " + script).c_str()), 0);
  // What the shell would offer after `bitsweep subm`.
  const std::string ask =
      "source " + script +
      "; COMP_WORDS=(bitsweep subm); COMP_CWORD=1; _bitsweep; test \"${COMPREPLY[*]}\" = submit";
  EXPECT_EQ(std::system(("bash -c '" + ask + "'").c_str()), 0);
  EXPECT_EQ(Run({"completion", "tcsh"}).code, ExitCode::kUsage);
}

TEST_F(VerbsTest, CompletingNamesNeverFails) {
  fake_.sweeps.add_sweeps()->set_name("demo");
  EXPECT_THAT(Ask({"__complete", "sweeps"}).out, AllOf(HasSubstr("latest\n"), HasSubstr("demo\n")));
  const Listener closed("");
  const Outcome away = Run({"__complete", "sweeps", "--server", closed.address()});
  EXPECT_EQ(away.code, ExitCode::kOk);
  EXPECT_EQ(away.err, "");
}

}  // namespace
}  // namespace bitsweep::cli
