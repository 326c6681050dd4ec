# verdict: wrong
# a value that is unequal to itself
def solve(value):
    return float("nan")
