# A warmed interpreter that forks a process for each program: the start of an interpreter and the
# building of a sandbox cost more than most programs do. Nothing of a program's is ever run or even read
# in this process, so nothing of one program can reach the next.
#
#   this file (in the namespaces that bubblewrap made, with the capabilities of that user namespace)
#     -> broker: makes Internet sockets for programs that ask for one, in a network namespace that is the
#                program's own; most never ask, and a namespace for each would cost more than they do.
#                Its end is this process's end
#     -> init: process 1 of a fresh process namespace; a fresh mount namespace with a /tmp, /dev/shm and
#              /proc of its own; waits for the program, then ends, and with it the kernel ends all that
#              is left in there
#          -> the program: no capabilities, no way to get any, system call filter, limits
#
# Descriptor 6: the grader. First a frame (4-byte big-endian length, JSON): codes, filter, limits. Then
# for each program one letter, the code's, with descriptors: standard input, output, error, report, the
# program's text and, perhaps, its socket. Answers: "R" when ready; "P" with a descriptor of the init
# process; when that has ended its status, user and system time in microseconds and its largest
# resident size in KiB, four 8-byte numbers.
import atexit
import ctypes
import fcntl
import errno
import gc
import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys

# What programs usually import, so that it is there already.
import bisect, collections, copy, datetime, decimal, fractions, functools, heapq, itertools  # noqa
import marshal, math, operator, random, re, statistics, string, threading, types, typing  # noqa

NEW_MOUNTS, NEW_IPC, NEW_NETWORK, NEW_PROCESSES = 0x00020000, 0x08000000, 0x40000000, 0x20000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 22, 24, 38, 47
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
ABOVE = 64  # Descriptors are moved out of each other's way first.

libc = ctypes.CDLL(None, use_errno=True)


def require(code, what):
    if code < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return code


def prctl(option, first, second=0, third=0):
    return libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(third), 0)


def mount(kind, place, flags, options=None):
    require(libc.mount(kind, place, kind, ctypes.c_ulong(flags), options), f"mount {place.decode()}")


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def read_frame(control):
    def read(size):
        data = b""
        while len(data) < size:
            piece = control.recv(size - len(data))
            if not piece:
                raise SystemExit(0)
            data += piece
        return data

    return json.loads(read(int.from_bytes(read(4), "big")))


def bring_loopback_up():
    with socket.socket() as any_socket:  # As in bubblewrap's network.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


class Broker:
    """Makes the Internet sockets of programs, which have a network namespace without any.

    The kernel stops a program in socket(AF_INET...) and tells this process (seccomp_unotify(2)), which
    makes the socket in a namespace that is used by no other program, and puts it into the program's
    descriptors. Only the numbers of the call are read, nothing of the program's memory.
    """

    RECEIVE, SEND, ADD = 0xC0502100, 0xC0182101, 0x40182103  # ioctls of a listener.
    ADD_AND_ANSWER = 2
    # The architecture's number; seccomp and socket; semget, shmget, msgget, mq_open.
    CALLS = {
        "x86_64": (0xC000003E, 317, 41, (64, 29, 68, 240)),
        "aarch64": (0xC00000B7, 277, 198, (190, 194, 186, 180)),
    }

    def __init__(self):
        self.calls = self.CALLS[os.uname().machine]
        # The number of the program that runs: counted here, looked at in the other process.
        self.program = 0
        self.shown = mmap.mmap(-1, 8)
        trial = os.fork()
        if trial == 0:
            # Linux 5.9 knows how to add a descriptor, and no program with this number.
            try:
                listener = self.listen()
                fcntl.ioctl(listener, self.ADD, struct.pack("QIIII", 0, 0, listener, 0, 0))
            except OSError as error:
                os._exit(0 if error.errno == errno.ENOENT else 1)
            os._exit(1)
        if os.waitpid(trial, 0)[1]:
            raise OSError("this kernel hands no descriptors to a program that asks for a socket")
        ours, theirs = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            try:
                ours.close()
                os.close(6)
                self.serve(theirs)
            finally:
                os._exit(1)
        theirs.close()
        # Programs have no such page.
        self.shown.madvise(mmap.MADV_DONTFORK)
        # Kept: while it is open a program that asks waits, whatever happens to the broker.
        self.listener = self.listen()
        socket.send_fds(ours, [b"L"], [self.listener])
        ours.close()

    def next_program(self):
        if os.waitpid(self.process, os.WNOHANG)[0]:
            os._exit(1)
        self.program += 1
        self.shown[:] = self.program.to_bytes(8, "little")

    def listen(self):
        """Puts a filter on this process and its children; the descriptor that tells of their calls."""
        allow, refuse, tell = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x7FC00000
        load, equal, give = 0x20, 0x15, 0x06
        architecture, seccomp, socket_call, refused = self.calls

        def step(code, yes, no, value):
            return struct.pack("HBBI", code, yes, no, value)

        code = [step(load, 0, 0, 4), step(equal, 1, 0, architecture), step(give, 0, 0, allow),
                step(load, 0, 0, 0)]
        # Objects of System V and queues would outlive a program in the namespace that all share.
        for i, number in enumerate(refused):
            code.append(step(equal, len(refused) - i + 4, 0, number))
        code += [step(equal, 0, 3, socket_call), step(load, 0, 0, 16),  # The call's first argument.
                 step(equal, 3, 0, socket.AF_INET), step(equal, 2, 0, socket.AF_INET6),
                 step(give, 0, 0, allow), step(give, 0, 0, refuse), step(give, 0, 0, tell)]
        text = ctypes.create_string_buffer(b"".join(code), 8 * len(code))
        program = Filter(len(code), ctypes.addressof(text))
        return require(libc.syscall(seccomp, 1, 8, ctypes.byref(program)), "listener")

    def serve(self, channel):
        _, (listener,), _, _ = socket.recv_fds(channel, 1, 1)
        channel.close()
        gc.freeze()
        of_program = None
        look = select.poll()
        look.register(listener, select.POLLIN)
        while True:
            if look.poll()[0][1] & select.POLLHUP:
                return
            note = bytearray(80)
            try:
                fcntl.ioctl(listener, self.RECEIVE, note)
            except OSError:
                continue  # It has gone meanwhile.
            number, _, _, _, _, _, family, kind, protocol = struct.unpack_from("QIIiIQQQQ", note)
            now = self.shown[:]
            if of_program != now:
                # The last program's namespace ends here. Where there is no other, this process does.
                require(libc.unshare(NEW_NETWORK), "network")
                bring_loopback_up()
                of_program = now
            self.answer(listener, number, family & 0xFFFFFFFF, kind & 0xFFFFFFFF, protocol & 0xFFFFFFFF)

    def answer(self, listener, number, family, kind, protocol):
        made, error = -1, errno.EPERM
        # What this process may and the program may not: sockets that see the network's packets.
        if kind & 0xF in (socket.SOCK_STREAM, socket.SOCK_DGRAM, 5):
            made = libc.socket(family, ctypes.c_int(kind | socket.SOCK_CLOEXEC), ctypes.c_int(protocol))
            error = ctypes.get_errno()
        try:
            if made < 0:
                fcntl.ioctl(listener, self.SEND, struct.pack("QqiI", number, 0, -error, 0))
                return
            on_exec = kind & socket.SOCK_CLOEXEC
            try:
                fcntl.ioctl(listener, self.ADD,
                            struct.pack("QIIII", number, self.ADD_AND_ANSWER, made, 0, on_exec))
            except OSError as problem:
                if problem.errno == errno.EINVAL:  # Before Linux 5.14: two steps.
                    given = fcntl.ioctl(
                        listener, self.ADD, bytearray(struct.pack("QIIII", number, 0, made, 0, on_exec)))
                    fcntl.ioctl(listener, self.SEND, struct.pack("QqiI", number, given, 0, 0))
                else:
                    fcntl.ioctl(listener, self.SEND, struct.pack("QqiI", number, 0, -problem.errno, 0))
        except OSError:
            pass  # It has gone meanwhile.
        finally:
            if made >= 0:
                os.close(made)


class Zygote:
    def __init__(self, control):
        self.control = control
        setup = read_frame(control)
        self.codes = {
            letter: compile(text, "<string>", "exec") for letter, text in setup["codes"].items()
        }
        self.limits = setup["limits"]
        self.disk = b"size=%d,mode=0755" % setup["disk_bytes"]
        code = bytes.fromhex(setup["filter"])
        self.filter_code = ctypes.create_string_buffer(code, len(code))
        self.filter = Filter(len(code) // 8, ctypes.addressof(self.filter_code))
        self.no_capabilities = (
            (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(0, 0, 0, 0, 0, 0))
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # Neither an exec nor anything else gives a child more than it has.
        require(prctl(PR_SET_NO_NEW_PRIVS, 1), "no new privileges")
        require(prctl(PR_CAP_AMBIENT, 4), "ambient capabilities")
        capability = 0
        while prctl(PR_CAPBSET_DROP, capability) == 0:
            capability += 1
        # The init process must not be interrupted by its program.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.path_importer_cache.clear()
        # Copies of private mounts are private.
        require(libc.unshare(NEW_MOUNTS), "mounts")
        require(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "mounts")
        self.close_devices()
        self.mount_terminals()
        self.namespaces = NEW_MOUNTS
        self.broker = None
        try:
            # One of each for all programs: the filter keeps the first empty, and what is left in the other is
            # seen (renew).
            require(libc.unshare(NEW_IPC), "namespaces")
            self.enter_network()
            self.broker = Broker()
        except (OSError, KeyError):
            # An older kernel, or one whose listener is somebody else's.
            self.namespaces |= NEW_IPC | NEW_NETWORK

    def close_devices(self):
        """Nobody changes their times, which are the host's; read and written they still are."""
        for name in (b"null", b"zero", b"full", b"random", b"urandom"):
            place = b"/dev/" + name
            kept = os.statvfs(place).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
            flags = ctypes.c_ulong(MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
            require(libc.mount(None, place, None, flags, None), "mount " + place.decode())

    def mount_terminals(self):
        mount(b"devpts", b"/dev/pts", MS_NOSUID | MS_NOEXEC, b"newinstance,ptmxmode=0666,mode=620")
        self.terminals = self.look_at_terminals()

    @staticmethod
    def look_at_terminals():
        about = os.stat("/dev/pts/ptmx")
        return (os.listdir("/dev/pts"), about.st_mode, about.st_uid, about.st_gid, about.st_atime_ns,
                about.st_mtime_ns, about.st_ctime_ns)

    def enter_network(self):
        require(libc.unshare(NEW_NETWORK), "network")
        self.sockets = os.open("/proc/self/net/unix", os.O_RDONLY | os.O_CLOEXEC)

    def renew(self):
        """Replaces what the last program left a trace in, of what all programs share."""
        # A socket that waits in itself ends when the kernel looks for such, which may be after its program.
        sockets = self.broker is not None and os.pread(self.sockets, 512, 0).count(b"\n") > 1
        if sockets:
            os.close(self.sockets)
            self.enter_network()
        # What makes terminals is of the program's user, who may change its mode and times.
        if sockets or self.look_at_terminals() != self.terminals:
            require(libc.umount2(b"/dev/pts", MNT_DETACH), "terminals")
            self.mount_terminals()

    def serve(self):
        # Objects of this process are not the programs' garbage.
        gc.collect()
        gc.freeze()
        self.control.sendall(b"R")
        while True:
            letter, descriptors, _, _ = socket.recv_fds(self.control, 1, 8)
            if not letter:
                return
            if self.broker:
                self.broker.next_program()
            require(libc.unshare(NEW_PROCESSES), "process namespace")
            process = os.fork()
            if process == 0:
                self.init(letter.decode(), descriptors)
            require(libc.setns(self.own_processes, NEW_PROCESSES), "process namespace")
            for descriptor in descriptors:
                os.close(descriptor)
            handle = os.pidfd_open(process)
            socket.send_fds(self.control, [b"P"], [handle])
            os.close(handle)
            ended, status, usage = os.wait4(-1, 0)
            if ended != process:
                # The broker: what the program does without it counts for nothing, and ends here.
                os._exit(1)
            self.control.sendall(
                struct.pack(">4q", status, round(usage.ru_utime * 1e6), round(usage.ru_stime * 1e6),
                            usage.ru_maxrss))
            self.renew()

    def init(self, letter, descriptors):
        try:
            require(libc.unshare(self.namespaces), "namespaces")
            for place in (b"/tmp", b"/dev/shm"):
                mount(b"tmpfs", place, MS_NOSUID | MS_NODEV, self.disk)
            mount(b"proc", b"/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            if not self.broker:
                bring_loopback_up()
            # The program is of the same user: it must not look into this process.
            require(prctl(PR_SET_DUMPABLE, 0), "dumpable")
            program = os.fork()
            if program == 0:
                self.enter(descriptors)
                run(self.codes[letter])
            os.closerange(0, ABOVE)
            ended = 0
            while ended != program:
                ended, status = os.waitpid(-1, 0)
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
        except BaseException as error:
            for place in (descriptors[2], 2):
                try:
                    os.write(place, f"the sandbox: {error}\n".encode())
                    break
                except OSError:
                    pass
            os._exit(127)

    def enter(self, descriptors):
        """Makes this process the program's: descriptors, limits, and nothing that it could undo."""
        require(prctl(PR_SET_DUMPABLE, 1), "dumpable")  # What it has in /proc is its own again.
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, ABOVE) for descriptor in descriptors]
        text = high.pop(4)
        for descriptor, place in zip(high, (0, 1, 2, 3, 6)):
            os.dup2(descriptor, place)
        os.setsid()
        os.chdir("/tmp")
        with open("program.py", "wb") as file, open(text, "rb") as source:
            file.write(source.read())
        os.closerange(4, 6)
        os.closerange(7 if len(high) == 5 else 6, 2 * ABOVE)
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # Of all in the control group the program goes first.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, value in self.limits:
            resource.setrlimit(number, (value, value))
        require(libc.capset(*self.no_capabilities), "capabilities")
        require(prctl(PR_SET_SECCOMP, 2, ctypes.addressof(self.filter)), "filter")


def run(code, leave=os._exit, end_threads=threading._shutdown, at_exit=atexit._run_exitfuncs):
    """Runs `code` as `python3 -c` would and ends the process as the interpreter would."""
    status = 0
    try:
        exec(code, {"__name__": "__main__", "__builtins__": __builtins__})
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code & 0xFF
        elif end.code is not None:
            status = 1
            try:
                print(end.code, file=sys.stderr)
            except BaseException:
                pass
    except BaseException as error:
        status = 1
        trace = error.__traceback__ and error.__traceback__.tb_next
        try:
            sys.excepthook(type(error), error.with_traceback(trace), trace)
        except BaseException:
            pass
    for step in (end_threads, at_exit):
        try:
            step()
        except BaseException:
            pass
    for stream in {id(stream): stream
                   for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)}.values():
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            status = status or 120
    leave(status)


# A process may come back only to a process namespace that its own user namespace owns, and bubblewrap's
# is not: so this one gets one more.
require(libc.unshare(NEW_PROCESSES), "process namespace")
_serving = os.fork()
if _serving:
    os.close(6)
    os._exit(min(os.waitpid(_serving, 0)[1], 1))
Zygote(socket.socket(fileno=6)).serve()
