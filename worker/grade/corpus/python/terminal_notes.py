# attack: leaves notes in what makes terminals, and in the host's by way of a terminal of its own
# verdict: pass
# runs: 2
import fcntl, os, stat, termios
try:
    about = os.stat("/dev/pts/ptmx")
except OSError:
    about = None
if about is not None and about.st_uid == os.getuid():  # Else it is the host's.
    assert stat.S_IMODE(about.st_mode) == 0o666 and about.st_mtime > 1, about
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
    try:
        os.open("/dev/tty", flags)
    except OSError:
        continue
    raise AssertionError(flags)
try:
    os.utime("/dev/pts/ptmx", (1, 1))
    os.chmod("/dev/pts/ptmx", 0)
except OSError:
    pass
