# verdict: exception
# closes the connection to the tests
import os
os.close(6)
