# verdict: output_limit
# announces an answer of 4 GiB
import os
def solve(value):
    os.write(6, b"\xff\xff\xff\xff")
    os.read(6, 1000)
