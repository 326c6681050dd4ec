# verdict: forbidden
# a number of a million digits
import os
def solve(value):
    data = b"t4:i1:1s8:returnedi1000000:" + b"f" * 1000000 + b"N"
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(6, data):]
    os.read(6, 1000)
