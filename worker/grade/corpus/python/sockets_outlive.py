# attack: leaves a socket with a name behind, in a socket that waits in itself
# verdict: pass
# runs: 2
import socket, time
try:
    listener = socket.socket(socket.AF_UNIX)
except OSError:
    listener = None
a, b = socket.socketpair()
left = [b.fileno()]
if listener is not None:
    assert len(open("/proc/net/unix").readlines()) == 4, open("/proc/net/unix").read()
    listener.bind("\0bitsweep-hostile-note")
    listener.listen()
    left.append(listener.fileno())
try:
    socket.send_fds(a, [b"x"], left)
except OSError:
    pass  # Too many are on their way.
a.close()
time.sleep(0.02)
