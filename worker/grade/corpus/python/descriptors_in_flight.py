# attack: has descriptors on their way that nobody takes, which the kernel counts for all processes of a user
# verdict: pass
import errno, socket, time
pairs = [socket.socketpair() for _ in range(4)]
for a, b in pairs:
    a.setblocking(False)
    try:
        while True:
            socket.send_fds(a, [b"x"], [0] * 200)
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.ETOOMANYREFS), error
end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
