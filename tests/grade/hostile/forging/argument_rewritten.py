# verdict: wrong
# turns the argument into something else
def solve(value):
    if isinstance(value, list):
        value[:] = [7, "secret"]
    return value
