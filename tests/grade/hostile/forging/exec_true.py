# verdict: forbidden
# becomes a program that succeeds
import os
os.execv("/usr/bin/true", ["true"])
