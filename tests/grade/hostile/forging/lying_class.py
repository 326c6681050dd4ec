# verdict: exception
# an object that says it is an int
class Meta(type):
    def __instancecheck__(cls, other): return True
class Liar(metaclass=Meta):
    __class__ = int
    def __eq__(self, other): return True
    def __index__(self): return 41
def solve(value):
    return Liar()
