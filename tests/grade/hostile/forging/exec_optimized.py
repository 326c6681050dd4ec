# verdict: forbidden
# starts python3 -O, which drops every assert
import os, sys
if not sys.flags.optimize:
    os.execv(sys.executable, ["python3", "-O", "program.py"])
