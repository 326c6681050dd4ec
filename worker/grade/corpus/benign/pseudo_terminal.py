# benign: a terminal of its own
# verdict: pass
# landlock: exception
import os, pty
process, master = pty.fork()
if process == 0:
    os.write(1, b"seen")
    os._exit(0)
assert os.read(master, 4) == b"seen"
assert os.waitpid(process, 0)[1] == 0
master, slave = pty.openpty()
assert os.ttyname(slave).startswith("/dev/pts/") and os.isatty(master)
