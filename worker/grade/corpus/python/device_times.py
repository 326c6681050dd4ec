# attack: leaves notes for others in the times, modes and attributes of device nodes
# verdict: pass
import os
for path in ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"):
    for attempt in (lambda: os.utime(path), lambda: os.utime(path, (1, 1)), lambda: os.chmod(path, 0o666),
                    lambda: os.setxattr(path, "user.note", b"1")):
        try:
            attempt()
        except OSError:
            continue
        raise AssertionError(path)
    # As devices they are of use.
    with open(path, "rb") as device:
        device.read(1)
with open("/dev/null", "wb") as device:
    device.write(b"x")
