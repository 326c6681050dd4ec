// What Python programs get, in the real sandbox: verdicts, and what they can neither see nor leave
// behind.
#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/grade/grade_one.h"
#include "worker/grade/runner_python.h"
#include "worker/grade/text.h"
#include "worker/grade/unique_fd.h"

namespace bitsweep::grade {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PythonProgramTest : public ProgramTest {
 protected:
  PythonProgramTest() : ProgramTest(benchmark::Language::kPython) {}
};

/// Whether any process of the machine has `marker` in its command line.
bool ProcessExists(const std::string& marker) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    if (ReadSmallFile(entry.path() / "cmdline").find(marker) != std::string::npos) {
      return true;
    }
  }
  return false;
}

TEST_F(PythonProgramTest, VerdictsNameWhatHappened) {
  ExpectAll({
      {Verdict::kPass, "assert 1 + 1 == 2\nprint('done')\n"},
      {Verdict::kWrong, "assert 1 + 1 == 3\n"},
      {Verdict::kException, "raise ValueError('no')\n"},
      {Verdict::kException, "import sys\nsys.exit(3)\n"},
      {Verdict::kException, "import os\nos.abort()\n"},
      {Verdict::kException, "def f(n): return f(n + 1)\nf(0)\n"},
      {Verdict::kSyntaxError, "def f(:\n    pass\n"},
      {Verdict::kSyntaxError, "x = '\0'\n"},
      {Verdict::kMemoryLimit, "x = bytearray(1 << 40)\n"},
      {Verdict::kOutputLimit, "while True: print('x' * 100000)\n"},
      {Verdict::kDiskLimit,
         "with open('big', 'wb') as f:\n    for i in range(200): f.write(bytes(1 << 20))\n"},
  });
}

TEST_F(PythonProgramTest, EndlessProgramsTimeOut) {
  options_.limits.wall = absl::Seconds(2);
  options_.limits.cpu = absl::Seconds(1);
  for (const Outcome& outcome : GradeAll(
           {"import time\ntime.sleep(1000)\n",
            "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n",
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.pause()\n"})) {
    EXPECT_EQ(outcome.verdict, Verdict::kTimeout);
    EXPECT_EQ(outcome.study, StudyVerdict::kTimeout);
    EXPECT_GE(outcome.wall, absl::Seconds(1));
    EXPECT_LT(outcome.cpu, absl::Milliseconds(500));
    EXPECT_FALSE(outcome.rerun) << "it slept, whatever else the machine did";
  }
}

TEST_F(PythonProgramTest, WhatWorksNowAndThenIsNotAsleep) {
  options_.limits.wall = absl::Seconds(2);
  const Outcome outcome =
      GradeOne("import time\nwhile True:\n    time.sleep(0.02)\n    sum(range(200000))\n");
  EXPECT_EQ(outcome.verdict, Verdict::kTimeout);
  EXPECT_GE(outcome.wall, absl::Seconds(2));
  EXPECT_TRUE(outcome.rerun) << "the wall clock alone is no verdict";
  EXPECT_FALSE(outcome.flaky);
}

TEST_F(PythonProgramTest, CpuTimeDecidesFirst) {
  options_.limits.wall = absl::Seconds(600);
  options_.limits.cpu = absl::Seconds(1);
  for (const Outcome& outcome : GradeAll(
           {"while True: pass\n",
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass\n"})) {
    EXPECT_EQ(outcome.verdict, Verdict::kTimeout) << VerdictName(outcome.verdict);
    EXPECT_EQ(outcome.study, StudyVerdict::kTimeout);
    EXPECT_FALSE(outcome.rerun) << "no load of the machine changes this";
  }
}

TEST_F(PythonProgramTest, AKillThatIsNotOursIsLookedAtTwice) {
  const Outcome outcome = GradeOne("import os\nos.kill(os.getpid(), 9)\n");
  EXPECT_EQ(outcome.verdict, Verdict::kException);
  EXPECT_EQ(outcome.signal, 9);
  EXPECT_TRUE(outcome.rerun);
  EXPECT_FALSE(outcome.flaky);
}

TEST_F(PythonProgramTest, NothingOfOneProgramReachesTheNext) {
  // All in one warm interpreter, one after the other.
  options_.jobs = 1;
  const std::string look =
      "import builtins, gc, math, os, random, socket, sys\n"
      "assert os.listdir('/tmp') == ['program.py'], os.listdir('/tmp')\n"
      "assert os.listdir('/dev/shm') == []\n"
      "assert sorted(p for p in os.listdir('/proc') if p.isdigit()) == ['1', str(os.getpid())]\n"
      "assert not hasattr(builtins, 'left') and not hasattr(math, 'left') and math.pi > 3\n"
      "assert not any(isinstance(o, str) and o == 'left' * 9 for o in gc.get_objects())\n"
      "assert sorted(os.listdir('/proc/self/fd'), key=int) == ['0', '1', '2', '3', '4'], "
      "os.listdir('/proc/self/fd')\n"
      "assert os.listdir('/proc/sysvipc') and len(open('/proc/sysvipc/shm').readlines()) == 1\n"
      "assert len(open('/proc/net/tcp').readlines()) == 1, open('/proc/net/tcp').read()\n"
      "assert len(open('/proc/net/unix').readlines()) == 1, open('/proc/net/unix').read()\n"
      "assert os.environ.get('left') is None\n";
  const std::string leave =
      "import builtins, ctypes, math, os, socket, subprocess, sys\n"
      "builtins.left = math.left = 'left' * 9\n"
      "math.pi = 1\n"
      "os.environ['left'] = '1'\n"
      "for place in ('/tmp', '/dev/shm'): open(place + '/left', 'w').write('left')\n"
      "ctypes.CDLL(None).shmget(77, 4096, 0o1666)\n"
      "a = socket.socket(); a.bind(('127.0.0.1', 7777)); a.listen()\n"
      "b = socket.create_connection(('127.0.0.1', 7777)); c = a.accept()[0]; c.close(); b.close()\n"
      "d = socket.socket(socket.AF_UNIX); d.bind('\\0left'); d.listen()\n"
      "if os.fork() == 0:\n"
      "    os.setsid()\n"
      "    if os.fork() == 0:\n"
      "        import time\n"
      "        time.sleep(1000)\n"
      "    os._exit(0)\n"
      "os.wait()\n";
  const std::vector<Outcome> outcomes = GradeAll({look, leave, look + "\n", leave + "\n", look + "\n\n"});
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.verdict, Verdict::kPass) << outcome.error;
  }
}

TEST_F(PythonProgramTest, TerminalsAreTheProgramsOwn) {
  options_.jobs = 1;
  const std::string look =
      "import os, pty, stat\n"
      "about = os.stat('/dev/pts/ptmx')\n"
      "assert stat.S_IMODE(about.st_mode) == 0o666, oct(about.st_mode)\n"
      "assert about.st_mtime_ns == about.st_atime_ns == about.st_ctime_ns, about\n"
      "assert os.listdir('/dev/pts') == ['ptmx'], os.listdir('/dev/pts')\n"
      "master, slave = pty.openpty()\n"
      "assert os.ttyname(slave) == '/dev/pts/0' and os.isatty(master)\n"
      "os.write(slave, b'seen')\n"
      "assert os.read(master, 4) == b'seen'\n";
  const std::vector<std::string> leave = {
      "import os\nos.chmod('/dev/pts/ptmx', 0)\n",
      "import os\nos.utime('/dev/pts/ptmx', (1, 1))\n",
      "import os\nos.chmod('/dev/pts/ptmx', 0)\nos.chmod('/dev/pts/ptmx', 0o666)\n",
      // A socket that waits in itself, and with it the terminal, until the kernel comes to look for such.
      "import os, pty, socket\n"
      "a, b = socket.socketpair()\n"
      "socket.send_fds(a, [b'x'], [b.fileno(), *pty.openpty()])\n"
      "a.close()\n",
  };
  std::vector<std::string> programs = {look};
  for (const std::string& program : leave) {
    programs.push_back(program);
    programs.push_back(Cat(look, std::string(programs.size(), '\n')));
  }
  const std::vector<Outcome> outcomes = GradeAll(programs);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    EXPECT_EQ(outcomes[i].verdict, Verdict::kPass) << programs[i] << outcomes[i].error;
  }
}

TEST_F(PythonProgramTest, NoSocketOutlivesItsProgramInSight) {
  options_.jobs = 1;
  const std::string look =
      "import socket\n"
      "assert len(open('/proc/net/unix').readlines()) == 1, open('/proc/net/unix').read()\n"
      "socket.socket(socket.AF_UNIX).bind('\\0left')\n";
  // A socket that waits in itself, and with it one that listens. Nothing but the end of some other socket makes
  // the kernel look for such, and the last one here is no end to it.
  const std::string leave =
      "import os, socket, time\n"
      "listener = socket.socket(socket.AF_UNIX)\n"
      "listener.bind('\\0left')\n"
      "listener.listen()\n"
      "a, b = socket.socketpair()\n"
      "socket.send_fds(a, [b'x'], [b.fileno(), listener.fileno()])\n"
      "a.close()\n"
      "time.sleep(0.02)\n";
  std::vector<std::string> programs;
  for (std::size_t i = 0; i < 20; ++i) {
    programs.push_back(Cat(i % 2 == 0 ? look : leave, std::string(i, '\n')));
  }
  const std::vector<Outcome> outcomes = GradeAll(programs);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    EXPECT_EQ(outcomes[i].verdict, Verdict::kPass) << programs[i] << outcomes[i].error;
  }
}

/// The processes below this one, each with its parent's number, parents first.
std::vector<std::pair<pid_t, pid_t>> Below(pid_t parent) {
  std::vector<std::pair<pid_t, pid_t>> found;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(Cat("/proc/", parent, "/task"), gone)) {
    std::istringstream children(ReadSmallFile(task.path() / "children"));
    for (pid_t child = 0; children >> child;) {
      found.emplace_back(child, parent);
      const auto more = Below(child);
      found.insert(found.end(), more.begin(), more.end());
    }
  }
  return found;
}

/// Kills the process that makes sockets: a warm interpreter's first child. Where `busy`, once that has another,
/// which is a program. False: there is none.
bool KillBroker(bool busy) {
  for (const absl::Time end = absl::Now() + absl::Seconds(60); absl::Now() < end;) {
    const auto processes = Below(getpid());
    for (const auto& [process, parent] : processes) {
      const auto later = std::count_if(processes.begin(), processes.end(), [&](const auto& other) {
        return other.second == parent && other.first > process;
      });
      const auto own = std::count_if(processes.begin(), processes.end(), [&](const auto& other) {
        return other.second == process;
      });
      const std::string line = ReadSmallFile(Cat("/proc/", process, "/cmdline"));
      const bool forked = line == ReadSmallFile(Cat("/proc/", parent, "/cmdline"));
      if (forked && own == 0 && later == (busy ? 1 : 0) && line.find("class Broker") != std::string::npos) {
        return kill(process, SIGKILL) == 0;
      }
    }
  }
  return false;
}

TEST_F(PythonProgramTest, TheEndOfWhatMakesSocketsIsTheMachinesFailure) {
  options_.jobs = 1;
  bool killed = false;
  std::thread killer([&killed] { killed = KillBroker(true); });
  const Outcome outcome = GradeOne(
      "import socket\n"
      "for _ in range(20000):\n"
      "    socket.socket().close()\n");
  killer.join();
  EXPECT_TRUE(killed);
  EXPECT_EQ(outcome.verdict, Verdict::kPass) << outcome.error;
  EXPECT_EQ(outcome.output, "");
}

TEST_F(PythonProgramTest, WithoutWhatMakesSocketsAnInterpreterStartsNoProgram) {
  const auto sandbox = *Sandbox::Open(options_.isolation, options_.search_path);
  const auto runner = *PythonRunner::Open(*sandbox, "", options_.search_path);
  const auto zygote = runner->StartZygote(options_.limits, nullptr);
  if (!zygote.ok()) {
    GTEST_SKIP() << "skipped: " << zygote.status();
  }
  const Cancellation never;
  const std::string program = "import socket\nsocket.socket()\n";
  const auto before = runner->Run(program, zygote->get(), options_.limits, nullptr, never);
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->verdict, Verdict::kPass) << before->error;
  ASSERT_TRUE(KillBroker(false));
  const auto after = runner->Run(program, zygote->get(), options_.limits, nullptr, never);
  EXPECT_TRUE(absl::IsUnavailable(after.status())) << after.status();
}

TEST_F(PythonProgramTest, DescriptorsOnTheirWayAreNoOtherProgramsFailure) {
  // The kernel counts them for each user, and both programs are of the same.
  const std::string many =
      "import socket, time\n"
      "for _ in range(3):\n"
      "    a, b = socket.socketpair()\n"
      "    globals()[f'kept{_}'] = a, b\n"
      "    a.setblocking(False)\n"
      "    try:\n"
      "        while True:\n"
      "            socket.send_fds(a, [b'x'], [0] * 200)\n"
      "    except OSError as error:\n"
      "        assert error.errno in (11, 109), error\n"
      "end = time.process_time() + 0.5\n"
      "while time.process_time() < end: pass\n";
  const auto sandbox = *Sandbox::Open(options_.isolation, options_.search_path);
  const auto runner = *PythonRunner::Open(*sandbox, "", options_.search_path);
  const auto one = runner->StartZygote(options_.limits, nullptr);
  const auto other = runner->StartZygote(options_.limits, nullptr);
  if (!one.ok() || !other.ok()) {
    GTEST_SKIP() << "skipped: " << one.status() << other.status();
  }
  const Cancellation never;
  std::atomic<bool> done = false;
  std::thread beside([&] {
    const auto outcome = runner->Run(many, one->get(), options_.limits, nullptr, never);
    EXPECT_TRUE(outcome.ok() && outcome->verdict == Verdict::kPass) << outcome.status();
    done = true;
  });
  while (!done) {
    const auto outcome = runner->Run("pass\n", other->get(), options_.limits, nullptr, never);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (!outcome.ok()) {
      break;
    }
    EXPECT_EQ(outcome->verdict, Verdict::kPass) << outcome->error;
  }
  beside.join();
}

TEST_F(PythonProgramTest, AWarmInterpreterStartsProgramsAsAFreshOneDoes) {
  // What programs may notice of their process.
  Expect(Verdict::kPass,
         "import os, random, resource, signal, sys, threading\n"
         "assert sys.argv == ['program.py'] and __name__ == '__main__' and __file__ == 'program.py'\n"
         "assert sys.stdin.read() == ''\n"
         "assert os.getpid() > 1 and os.getsid(0) == os.getpid()\n"
         "assert os.getcwd() == '/tmp' and os.getuid() == 65534\n"
         "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
         "assert threading.active_count() == 1\n"
         "assert resource.getrlimit(resource.RLIMIT_CORE)[1] <= 1\n"
         "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
         "for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):\n"
         "    assert int(status[name], 16) == 0, (name, status[name])\n"
         "assert int(status['NoNewPrivs']) == 1 and int(status['Seccomp']) == 2\n");
  EXPECT_NE(GradeOne("import random\nprint(random.random())\n").output,
            GradeOne("import random\nprint(random.random())\n").output);
  const Outcome traced = GradeOne("def f():\n    raise KeyError(7)\nf()\n");
  EXPECT_EQ(traced.error,
            "Traceback (most recent call last):\n  File \"program.py\", line 3, in <module>\n    f()\n"
            "  File \"program.py\", line 2, in f\n    raise KeyError(7)\nKeyError: 7\n");
  EXPECT_EQ(GradeOne("import atexit, threading, time\natexit.register(print, 'last')\n"
                     "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\n"
                     "print('first')\n")
                .output,
            "first\nlate\nlast\n");
}

TEST_F(PythonProgramTest, EndingEarlyWithCodeZeroIsNotAPass) {
  const std::vector<std::string> programs = {"import sys\nsys.exit(0)\nassert False\n",
                                    "import os\nos._exit(0)\n",
                                    "raise SystemExit\n",
                                    "exit()\n",
                                    "import os\nos.execv('/usr/bin/true', ['true'])\n",
                                    "import os\nos.write(3, b'P \\nP 0\\n')\nos._exit(0)\n",
                                    "import threading, os\nthreading.Thread(target=lambda: "
                                    "os._exit(0)).start()\nwhile True: pass\n"};
  const std::vector<Outcome> outcomes = GradeAll(programs);
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const Outcome& outcome = outcomes[i];
    EXPECT_EQ(outcome.verdict, Verdict::kForbidden) << programs[i] << VerdictName(outcome.verdict);
    EXPECT_EQ(outcome.study, StudyVerdict::kOk) << "the study would have counted it";
  }
}

TEST_F(PythonProgramTest, ItLooksLikeAPlainRun) {
  Expect(Verdict::kPass,
         "import sys, os\n"
         "assert __name__ == '__main__' and __file__ == 'program.py'\n"
         "assert sys.argv == ['program.py'] and sys.modules['__main__'].__dict__ is globals()\n"
         "assert sys.stdin.read() == ''\n"
         "open('scratch', 'w').write('x')\n"
         "import multiprocessing, tempfile, subprocess, locale\n"
         "assert subprocess.run(['true']).returncode == 0\n"
         "tempfile.NamedTemporaryFile().write(b'x')\n"
         "class C: pass\n"
         "import pickle\n"
         "assert type(pickle.loads(pickle.dumps(C()))) is C\n");
  const Outcome outcome = GradeOne("def f():\n    return 1 / 0\n\nf()\n");
  EXPECT_THAT(outcome.error, HasSubstr("File \"program.py\", line 2, in f"));
  EXPECT_THAT(outcome.error, Not(HasSubstr("_run"))) << "the driver is not part of the story";
}

TEST_F(PythonProgramTest, ForkedChildrenDoNotAnswerForTheirParent) {
  Expect(Verdict::kWrong,
         "import os\nif os.fork() == 0:\n    pass\nelse:\n    os.wait()\n    assert False\n");
  Expect(Verdict::kPass,
         "from multiprocessing import Pool\n"
         "if __name__ == '__main__':\n"
         "    with Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]\n");
}

TEST_F(PythonProgramTest, TheHostsFilesAreNeitherSeenNorWritten) {
  const std::filesystem::path secret =
      std::filesystem::temp_directory_path() / Cat("bitsweep-secret-", getpid());
  std::ofstream(secret) << "secret";
  Expect(Verdict::kPass,
         Cat("import os\n"
             "assert not os.path.exists('",
             secret.string(),
             "')\n"
             "assert not os.path.exists('/root') and not os.path.exists('/home') and not "
             "os.path.exists('/etc/shadow')\n"
             "for path in ['/usr/x', '/x', '/dev/x', '/etc/x', '/usr/bin/python3', "
             "'/proc/sys/kernel/hostname']:\n"
             "    try:\n"
             "        open(path, 'r+' if os.path.exists(path) else 'w')\n"
             "    except OSError:\n"
             "        continue\n"
             "    assert False, path\n"
             "open('",
             secret.string(),
             "', 'w').write('gone')\n"));
  EXPECT_EQ(ReadSmallFile(secret), "secret");
  std::filesystem::remove(secret);
}

TEST_F(PythonProgramTest, TheNetworkIsRefused) {
  const UniqueFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(server.get(), 1), 0);
  ASSERT_EQ(getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  Expect(Verdict::kPass,
         Cat("import socket\n"
             "for host in ['127.0.0.1', '169.254.169.254', '8.8.8.8']:\n"
             "    try:\n"
             "        socket.create_connection((host, ",
             ntohs(address.sin_port),
             "), 1)\n"
             "    except OSError:\n"
             "        continue\n"
             "    assert False, host\n"
             "for family in [40, 38, 17]:  # vsock, kernel crypto, packets\n"
             "    try:\n"
             "        socket.socket(family, socket.SOCK_STREAM)\n"
             "    except OSError:\n"
             "        continue\n"
             "    assert False, family\n"));
}

TEST_F(PythonProgramTest, InternetSocketsAreInANamespaceOfTheProgramsOwn) {
  options_.jobs = 1;
  const std::string program =
      "import ctypes, os, socket, threading\n"
      "server = socket.create_server(('127.0.0.1', 7777))\n"
      "client = socket.create_connection(('127.0.0.1', 7777))\n"
      "peer = server.accept()[0]\n"
      "threading.Thread(target=peer.sendall, args=(b'hello',)).start()\n"
      "assert client.recv(5) == b'hello'\n"
      "peer.close()  # The port is in use for a minute now: the next program must not see that.\n"
      "six = socket.create_server(('::1', 7777), family=socket.AF_INET6)\n"
      "quiet = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)\n"
      "assert not quiet.getblocking() and not os.get_inheritable(quiet.fileno())\n"
      "for family, kind, protocol in [(2, 3, 1), (10, 3, 58), (2, 10, 0), (2, 1, 254)]:\n"
      "    try:\n"
      "        socket.socket(family, kind, protocol)\n"
      "    except OSError:\n"
      "        continue\n"
      "    assert False, (family, kind)\n"
      "held = []\n"
      "try:\n"
      "    while True: held.append(socket.socket())\n"
      "except OSError as error:\n"
      "    assert error.errno == 24 and len(held) > 100, error\n"
      "held.clear()\n"
      "libc = ctypes.CDLL(None)\n"
      "assert libc.semget(77, 1, 0o1666) == -1 and libc.shmget(77, 4096, 0o1666) == -1\n";
  for (const Outcome& outcome : GradeAll({program, program + "\n", program + "\n\n"})) {
    EXPECT_EQ(outcome.verdict, Verdict::kPass) << outcome.error;
  }
}

TEST_F(PythonProgramTest, TheGradersEnvironmentDescriptorsAndProcessesAreNotThere) {
  setenv("BITSWEEP_TEST_SECRET", "secret", 1);
  const UniqueFd inherited(dup(STDERR_FILENO));  // Open on exec, as a careless parent leaves them.
  Expect(Verdict::kPass,
         "import os\n"
         "assert 'BITSWEEP_TEST_SECRET' not in os.environ\n"
         "fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))\n"
         "assert fds == [0, 1, 2, 3, 4], fds  # the fifth is the listing's own\n"
         "pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n"
         "assert len(pids) <= 3 and os.getpid() < 10, pids\n"
         "assert os.getuid() == 65534 and os.getgid() == 65534\n"
         "status = open('/proc/self/status').read()\n"
         "assert 'CapEff:\\t0000000000000000' in status and 'CapBnd:\\t0000000000000000' in "
         "status, status\n"
         "assert 'NoNewPrivs:\\t1' in status and 'Seccomp:\\t2' in status\n");
  unsetenv("BITSWEEP_TEST_SECRET");
}

TEST_F(PythonProgramTest, DangerousSystemCallsAreRefused) {
  Expect(Verdict::kPass,
         "import ctypes, errno\n"
         "libc = ctypes.CDLL(None, use_errno=True)\n"
         "calls = {'mount': 165, 'unshare': 272, 'ptrace': 101, 'bpf': 321, 'perf_event_open': "
         "298, 'keyctl': 250,\n"
         "         'add_key': 248, 'io_uring_setup': 425, 'setns': 308, 'userfaultfd': 323, "
         "'chroot': 161}\n"
         "for name, number in calls.items():\n"
         "    ctypes.set_errno(0)\n"
         "    assert libc.syscall(number, 0, 0, 0, 0, 0) == -1, name\n"
         "    assert ctypes.get_errno() == errno.EPERM, (name, ctypes.get_errno())\n"
         "ctypes.set_errno(0)\n"
         "assert libc.syscall(133, b'/tmp/null', 0x2000, 0x103) == -1  # mknod of a device\n"
         "assert ctypes.get_errno() == errno.EPERM\n"
         "assert libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) == -1  # clone(CLONE_NEWUSER)\n"
         "assert ctypes.get_errno() == errno.EPERM\n");
}

TEST_F(PythonProgramTest, BombsAreContained) {
  options_.limits.wall = absl::Seconds(3);
  options_.limits.cpu = absl::Seconds(4);
  const std::string marker = Cat("bitsweep-bomb-", getpid());
  const Outcome forks =
      GradeOne(Cat("import os, time\n"
                   "try:\n"
                   "    while True:\n"
                   "        if os.fork() == 0: os.execv('/usr/bin/sleep', ['",
                   marker,
                   "', '1000'])\n"
                   "except BlockingIOError:\n"
                   "    pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
                   "    print(len(pids))\n"
                   "    raise\n"));
  EXPECT_EQ(forks.verdict, Verdict::kProcessLimit) << VerdictName(forks.verdict) << forks.error;
  EXPECT_LE(std::atoi(forks.output.c_str()), options_.limits.processes);
  EXPECT_FALSE(ProcessExists(marker));
  Expect(Verdict::kProcessLimit,
         "import threading, time\nwhile True: threading.Thread(target=time.sleep, "
         "args=(1000,)).start()\n");
}

TEST_F(PythonProgramTest, NothingSurvivesItsProgram) {
  const std::string marker = Cat("bitsweep-daemon-", getpid());
  const std::string daemon = Cat(
      "import os\n"
      "if os.fork() == 0:\n"
      "    os.setsid()\n"
      "    if os.fork() == 0: os.execv('/usr/bin/sleep', ['",
      marker,
      "', '1000'])\n"
      "    os._exit(0)\n"
      "os.wait()\n"
      "for i in range(1000000):\n"
      "    if any('",
      marker,
      "' in open(f'/proc/{p}/cmdline').read()\n"
      "           for p in os.listdir('/proc') if p.isdigit() and int(p) > os.getpid()): break\n"
      "else:\n"
      "    assert False, 'the daemon did not start'\n");
  Expect(Verdict::kPass, daemon);
  EXPECT_FALSE(ProcessExists(marker));
}

TEST_F(PythonProgramTest, StreamsAreCutAndMadePrintable) {
  const Outcome outcome =
      GradeOne("import sys\nsys.stdout.buffer.write(b'\\x1b[31m\\xff' + b'a' * 5000)\n");
  EXPECT_EQ(outcome.verdict, Verdict::kPass);
  EXPECT_EQ(outcome.output.substr(0, 12), "\\x1b[31m\\xff");
  EXPECT_LE(outcome.output.size(), 2048U + 6U);
}

TEST_F(PythonProgramTest, IdenticalProgramsRunOnceAndCountEach) {
  const std::string program = "import os\nprint(os.urandom(8).hex())\n";
  const std::vector<Outcome> outcomes = GradeAll({program, program, program});
  EXPECT_EQ(outcomes[0].output, outcomes[2].output);
}

TEST_F(PythonProgramTest, MeasuresAreOfTheProgram) {
  const Outcome outcome = GradeOne("x = bytearray(200 << 20)\nfor i in range(3000000): pass\n");
  EXPECT_EQ(outcome.verdict, Verdict::kPass);
  EXPECT_GT(outcome.memory_bytes, 200 << 20);
  EXPECT_LT(outcome.memory_bytes, 400 << 20);
  EXPECT_GT(outcome.cpu, absl::Milliseconds(30));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(GradeOne("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n").signal, SIGSEGV);
}

TEST_F(PythonProgramTest, WithoutIsolationVerdictsAreTheSameAndNothingIsLeft) {
  options_.isolation = Isolation::kNone;
  const std::string marker = Cat("bitsweep-bare-", getpid());
  Expect(Verdict::kPass, "assert True\n");
  Expect(Verdict::kWrong, "assert False\n");
  Expect(Verdict::kForbidden, "import os\nos._exit(0)\n");
  Expect(Verdict::kPass,
         Cat("import os\nif os.fork() == 0:\n    os.setsid()\n    os.execv('/usr/bin/sleep', ['",
             marker,
             "', '1000'])\n"));
  EXPECT_FALSE(ProcessExists(marker));
}

}  // namespace
}  // namespace bitsweep::grade
