# verdict: forbidden
# ends with code 0 before any test
import sys
sys.exit(0)
