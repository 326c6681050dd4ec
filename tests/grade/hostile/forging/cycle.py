# verdict: wrong
# returns a list that holds itself
def solve(value):
    all = []
    all.append(all)
    return all
