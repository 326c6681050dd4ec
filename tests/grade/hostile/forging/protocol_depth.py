# verdict: forbidden
# nests its answer a million deep
import os
def solve(value):
    data = b"t4:i1:1s8:returned" + b"l1:" * 1000000 + b"NN"
    os.write(6, len(data).to_bytes(4, "big") + data)
    os.read(6, 1000)
