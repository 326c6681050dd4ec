# verdict: wrong
# returns more than anyone can compare
import itertools
def solve(value):
    return itertools.count()
