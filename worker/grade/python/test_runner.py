# The trusted half of a Python verdict: holds the tests, runs them, and calls the program through
# stubs. One process serves many programs, each over a socket of its own. Nothing of the program's is
# ever run here: replies are read by Reply below, which makes plain values and nothing else.
#
# Descriptor 6: the grader. It sends frames (4-byte big-endian length, JSON): {"op": "look"} asks
# whether tests fit this form, {"op": "run"} comes with the program's socket. Each is answered with one
# frame. To the program (python/candidate.py): the same frames, marshal inside; from it: the text form
# that Reply reads.
import ast
import builtins
import json
import marshal
import re
import socket

REPLY_BYTES_MAX = 8 << 20
REPLY_NODES_MAX = 1 << 20
DEPTH_MAX = 200
NUMBER_DIGITS_MAX = 1 << 16
TEXT_MAX = 2000


class Unfit(Exception):
    """The tests are not of the form that can run apart from the program; the text says why."""


class Gone(BaseException):
    """The program's process ended, or what it sent is not a reply. Final."""


EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and not name.startswith("Unicode")
}
TYPES = {"bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}
FUNCTIONS = {
    "abs", "all", "any", "bin", "chr", "divmod", "hex", "isinstance", "len", "max", "min", "oct",
    "ord", "print", "repr", "round", "sorted", "sum", "type",
}
# What these give is no plain value; it may only be gone through at once.
ITERATORS = {"enumerate", "filter", "map", "range", "reversed", "zip"}
CONSUMERS = TYPES | {"all", "any", "enumerate", "max", "min", "reversed", "sorted", "sum", "zip"}
MODULES = {"copy", "math", "typing"}
NODES = (
    ast.Module, ast.FunctionDef, ast.Return, ast.Assign, ast.AugAssign, ast.For, ast.While, ast.If,
    ast.Expr, ast.Assert, ast.Pass, ast.Break, ast.Continue, ast.Try, ast.Raise, ast.BoolOp, ast.BinOp,
    ast.UnaryOp, ast.IfExp, ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.comprehension, ast.Compare, ast.keyword, ast.FormattedValue, ast.JoinedStr, ast.Constant,
    ast.Subscript, ast.Starred, ast.List, ast.Tuple, ast.Slice, ast.expr_context, ast.boolop,
    ast.operator, ast.unaryop, ast.cmpop,
)


class Look:
    """Decides from the text of the tests, and nothing else, whether they can run apart.

    They fit when the program's functions are only called, with values, and when no other name of the
    program's is used. Whatever is not known to fit does not.
    """

    def __init__(self, prompt, tests):
        try:
            self.tree = ast.parse(tests)
        except (SyntaxError, ValueError):
            raise Unfit("the tests alone are not a Python program") from None
        self.program_functions = set(re.findall(r"^def\s+(\w+)", prompt, re.M))
        self.program_names = set(re.findall(r"^class\s+(\w+)", prompt, re.M))
        for line in re.findall(r"^(?:from|import)\s.*", prompt, re.M):
            self.program_names.update(re.findall(r"\w+", line))
        self.functions = {}
        self.imported = {}
        self.called = set()
        self.arguments_back = False
        self.read_definitions()
        self.module_names = self.stored(self.tree.body)
        self.locals = {name: self.function_names(node) for name, node in self.functions.items()}
        self.callables = {name: set() for name in self.functions}
        self.find_callable_parameters()
        for statement in self.tree.body:
            if isinstance(statement, ast.FunctionDef):
                for inner in statement.body:
                    self.check(inner, statement.name)
            elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
                self.check(statement, None)
        if not self.called:
            raise Unfit("the tests call no function of the prompt's")
        self.code = compile(self.tree, "tests", "exec", dont_inherit=True, optimize=0)
        self.lines = tests.split("\n")

    def read_definitions(self):
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                spec = node.args
                if (node.decorator_list or spec.vararg or spec.kwarg or spec.kwonlyargs or
                        spec.posonlyargs or spec.defaults or node.name in self.functions):
                    raise Unfit(f"the tests' function {node.name} is not a plain one")
                self.functions[node.name] = node
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name not in MODULES:
                        raise Unfit(f"the tests import {alias.name}")
                    self.imported[alias.asname or alias.name] = "module"
            elif isinstance(node, ast.ImportFrom):
                if node.module not in MODULES or node.level or node.names[0].name == "*":
                    raise Unfit(f"the tests import from {node.module}")
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = "builtin"

    @staticmethod
    def stored(statements):
        names = set()
        for statement in statements:
            if isinstance(statement, ast.FunctionDef):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    names.add(node.id)
                elif isinstance(node, ast.ExceptHandler) and node.name:
                    names.add(node.name)
        return names

    def function_names(self, node):
        return self.stored(node.body) | {argument.arg for argument in node.args.args}

    def kind(self, name, scope):
        if scope is not None and name in self.locals[scope]:
            return "callable" if name in self.callables[scope] else "value"
        if name in self.functions:
            return "test"
        if name in self.imported:
            return self.imported[name]
        if name in self.module_names or name == "__name__":
            return "value"
        if name in self.program_functions:
            return "callable"
        if name in self.program_names:
            raise Unfit(f"the tests use the program's name {name}")
        if name in FUNCTIONS or name in TYPES:
            return "builtin"
        if name in ITERATORS:
            return "iterator"
        if name in EXCEPTIONS:
            return "exception"
        raise Unfit(f"the tests use the program's name {name}")

    def find_callable_parameters(self):
        """check(NAME): the parameter of check is the program's function, whoever passes it on."""
        changed = True
        while changed:
            changed = False
            for scope in [None, *self.functions]:
                body = self.functions[scope].body if scope else [
                    node for node in self.tree.body if not isinstance(node, ast.FunctionDef)]
                for node in (inner for statement in body for inner in ast.walk(statement)):
                    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and
                            node.func.id in self.functions):
                        continue
                    parameters = self.functions[node.func.id].args.args
                    for parameter, argument in zip(parameters, node.args):
                        if (isinstance(argument, ast.Name) and
                                self.kind(argument.id, scope) == "callable" and
                                parameter.arg not in self.callables[node.func.id]):
                            self.callables[node.func.id].add(parameter.arg)
                            changed = True

    def check(self, node, scope):
        """`node` may stand where a value stands, or is a statement."""
        if isinstance(node, ast.Name):
            kind = self.kind(node.id, scope)
            if kind == "callable" and not isinstance(node.ctx, ast.Load):
                raise Unfit(f"the tests assign to {node.id}, a function of the program's")
            if kind != "value":
                raise Unfit(f"the tests use {node.id} other than by calling it")
        elif isinstance(node, ast.Call):
            self.check_call(node, scope)
        elif isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and
                    self.kind(node.value.id, scope) == "module"):
                raise Unfit(f"the tests use the attribute {node.attr}")
        elif isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for kind in kinds:
                if kind and not (isinstance(kind, ast.Name) and
                                 self.kind(kind.id, scope) == "exception"):
                    raise Unfit("the tests expect an exception that is not a builtin one")
            for statement in node.body:
                self.check(statement, scope)
        elif isinstance(node, ast.Compare):
            for side in [node.left, *node.comparators]:
                if not (isinstance(side, ast.Name) and side.id in TYPES):
                    self.check(side, scope)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self.check(node.target, scope)
            self.check_iterable(node.iter, scope)
            for part in node.ifs if isinstance(node, ast.comprehension) else node.body + node.orelse:
                self.check(part, scope)
        elif isinstance(node, ast.FunctionDef):
            raise Unfit("the tests have a function in a function")
        elif not isinstance(node, NODES):
            raise Unfit(f"the tests have a {type(node).__name__}")
        else:
            for child in ast.iter_child_nodes(node):
                self.check(child, scope)

    def check_iterable(self, node, scope):
        if isinstance(node, ast.GeneratorExp):
            for child in [node.elt, *node.generators]:
                self.check(child, scope)
        elif (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and
              self.kind(node.func.id, scope) == "iterator"):
            if node.func.id in ("map", "filter"):
                raise Unfit(f"the tests use {node.func.id}")
            for argument in node.args:
                self.check_iterable(argument, scope)
            for keyword in node.keywords:
                self.check(keyword.value, scope)
        else:
            self.check(node, scope)

    def check_call(self, node, scope):
        called = node.func
        if isinstance(called, ast.Attribute):
            owner = called.value
            is_module = isinstance(owner, ast.Name) and self.kind(owner.id, scope) == "module"
            if called.attr.startswith("_"):
                raise Unfit(f"the tests call {called.attr}")
            if not is_module:
                self.check(owner, scope)
        elif not isinstance(called, ast.Name):
            raise Unfit("the tests call what is not a name")
        kind = self.kind(called.id, scope) if isinstance(called, ast.Name) else "builtin"
        if kind in ("value", "module", "iterator"):
            raise Unfit(f"the tests use {called.id} in a way that is not known")
        name = called.id if isinstance(called, ast.Name) else ""
        if kind == "callable":
            self.called.add(name)
            self.arguments_back |= any(
                isinstance(inner, (ast.Name, ast.Call))
                for argument in [*node.args, *node.keywords] for inner in ast.walk(argument))
        for argument in node.args:
            if kind == "test" and isinstance(argument, ast.Name) and \
                    self.kind(argument.id, scope) == "callable":
                continue
            if name == "isinstance" and argument is node.args[-1]:
                continue
            if name in CONSUMERS and kind == "builtin":
                self.check_iterable(argument, scope)
            else:
                self.check(argument, scope)
        for keyword in node.keywords:
            self.check(keyword.value, scope)


def containers(value, found, seen):
    """The lists, dicts and sets of `value` in an order that both processes find alike."""
    if isinstance(value, (list, dict, set)):
        if id(value) in seen:
            return
        seen.add(id(value))
        found.append(value)
    if isinstance(value, (list, tuple)):
        for item in value:
            containers(item, found, seen)
    elif isinstance(value, dict):
        for item in value.values():
            containers(item, found, seen)


class Reply:
    """Reads what the program's process sent; every mistake in it is a ValueError or its like.

    N T F: None, True, False. The others have a number and a colon after the letter. With that many bytes:
    i x (hexadecimal) f (float.hex) c (two floats) s (UTF-8) b D (decimal). With that many values: l t
    d e z g (list, tuple, dict, set, frozenset, iterator). q r: Fraction, range. #n: the n-th container
    of the arguments, whose contents now follow; @n: that container again.
    """

    def __init__(self, data, table):
        self.data = data
        self.at = 0
        self.nodes = 0
        self.table = table

    def number(self):
        end = self.data.index(b":", self.at, self.at + 9)
        digits = self.data[self.at:end]
        self.at = end + 1
        if not digits.isdigit():
            raise ValueError("a number")
        return int(digits)

    def bytes(self):
        size = self.number()
        self.at += size
        if self.at > len(self.data):
            raise ValueError("a size")
        return self.data[self.at - size:self.at]

    def text(self, size_max):
        data = self.bytes()
        if len(data) > size_max:
            raise ValueError("a number's length")
        return data.decode("ascii")

    def items(self, depth, each=1):
        count = self.number() * each
        if count > len(self.data) - self.at:
            raise ValueError("a count")
        return [self.value(depth + 1) for _ in range(count)]

    def value(self, depth=0):
        self.nodes += 1
        if self.nodes > REPLY_NODES_MAX or depth > DEPTH_MAX:
            raise ValueError("more than may cross")
        tag = self.data[self.at:self.at + 1]
        self.at += 1
        if tag == b"N":
            return None
        if tag == b"T":
            return True
        if tag == b"F":
            return False
        if tag == b"i":
            return int(self.text(NUMBER_DIGITS_MAX), 16)
        if tag == b"f":
            return float.fromhex(self.text(64))
        if tag == b"s":
            return self.bytes().decode("utf-8", "surrogatepass")
        if tag == b"l":
            return self.items(depth)
        if tag == b"t":
            return tuple(self.items(depth))
        if tag == b"d":
            flat = self.items(depth, 2)
            return dict(zip(flat[::2], flat[1::2]))
        return self.rarer(tag, depth)

    def rarer(self, tag, depth):
        if tag == b"e":
            return set(self.items(depth))
        if tag == b"z":
            return frozenset(self.items(depth))
        if tag == b"b":
            return self.bytes()
        if tag == b"c":
            real, imaginary = self.text(64).split(",")
            return complex(float.fromhex(real), float.fromhex(imaginary))
        if tag == b"g":
            return iter(self.items(depth))
        if tag == b"r":
            return range(*self.items(depth))
        if tag == b"q":
            import fractions
            parts = self.items(depth)
            if [type(part) for part in parts] != [int, int]:
                raise ValueError("a fraction")  # Fraction reads texts such as 1e999999999 too.
            return fractions.Fraction(*parts)
        if tag == b"D":
            import decimal
            return decimal.Decimal(self.text(1000))
        if tag == b"@":
            return self.table[self.number()]
        if tag == b"#":
            known = self.table[self.number()]
            now = self.value(depth)
            if type(known) is not type(now):
                raise ValueError("a container of another type")
            known.clear()
            (known.extend if isinstance(known, list) else known.update)(now)
            return known
        raise ValueError("a letter")


class Program:
    """The other end: the process that has the program's functions."""

    def __init__(self, channel, arguments_back):
        self.channel = channel
        self.arguments_back = arguments_back
        self.calls = 0
        self.broken = None  # (letter, text): no pass any more, whatever the tests catch.

    def stub(self, name):
        def function(*args, **kwargs):
            return self.call(name, args, kwargs)
        return function

    def end(self, letter, text):
        self.broken = self.broken or (letter, text)
        raise Gone(text)

    def read(self, size):
        pieces = []
        while size:
            try:
                piece = self.channel.recv(min(size, 1 << 20))
            except OSError:
                piece = b""
            if not piece:
                self.end("G", "")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def call(self, name, args, kwargs):
        if self.broken:
            raise Gone()
        self.calls += 1
        table = []
        if self.arguments_back:
            containers((args, kwargs), table, set())
        request = marshal.dumps((self.calls, name, self.arguments_back, args, kwargs))
        try:
            self.channel.sendall(len(request).to_bytes(4, "big") + request)
        except OSError:
            self.end("G", "")
        size = int.from_bytes(self.read(4), "big")
        if size > REPLY_BYTES_MAX:
            self.end("O", f"the program answered with {size} bytes")
        try:
            reply = Reply(self.read(size), table)
            answer = reply.value()
            number, status, *rest = answer
            if reply.at != size or type(number) is not int or number != self.calls:
                raise ValueError("an answer that nobody asked for")
            if status == "returned":
                return rest[0]
            if status == "raised":
                names, text, code = rest
                names = [kind for kind in names if type(kind) is str]
            else:
                kind = str(rest[0])[:TEXT_MAX]
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            self.end("F", "what the program sent is not an answer")
        if status != "raised":
            self.end("W", f"{name} returned what cannot leave its process: {kind}")
        raise self.exception(names, str(text)[:TEXT_MAX], code)

    @staticmethod
    def exception(names, text, code):
        for name in names:
            if name in EXCEPTIONS:
                try:
                    error = EXCEPTIONS[name](code, text) if type(code) is int and code else \
                        EXCEPTIONS[name](text)
                    error.of_program = text
                    return error
                except Exception:
                    continue
        return Exception(text)


def letter_of(error):
    if isinstance(error, AssertionError):
        return "W"
    if isinstance(error, MemoryError):
        return "M"
    if isinstance(error, BlockingIOError) or getattr(error, "of_program", "") == "can't start new thread":
        return "L"
    if isinstance(error, OSError) and error.errno in (27, 28, 122):
        return "D"
    return "E"


def story(error, look):
    """The failing line of the tests and the error, as a traceback would end."""
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "tests":
            line = trace.tb_lineno
        trace = trace.tb_next
    said = str(error)[:TEXT_MAX]
    source = look.lines[line - 1].strip()[:200] if line else ""
    return f"tests, line {line}: {source}\n{type(error).__name__}" + (f": {said}" if said else "") + "\n"


# Tests print to their reader; here nobody reads.
TEST_BUILTINS = {**vars(builtins), "print": lambda *_, **__: None}


def run(look, channel):
    program = Program(channel, look.arguments_back)
    names = {"__name__": "__main__", "__builtins__": TEST_BUILTINS}
    for name in look.program_functions:
        names[name] = program.stub(name)
    letter, text = "P", ""
    try:
        exec(look.code, names)
    except Gone:
        pass
    except BaseException as error:
        letter = letter_of(error)
        try:
            text = story(error, look)
        except Exception:
            text = type(error).__name__ + "\n"
    if program.broken:
        letter, text = program.broken
    return {"letter": letter, "text": text[:2 * TEXT_MAX], "calls": program.calls}


def serve():
    control = socket.socket(fileno=6)
    looks = {}

    def read(size):
        data = b""
        while len(data) < size:
            piece = control.recv(size - len(data))
            if not piece:
                raise SystemExit(0)
            data += piece
        return data

    def answer(message):
        data = json.dumps(message).encode()
        control.sendall(len(data).to_bytes(4, "big") + data)

    answer({"ready": True})
    while True:
        header, descriptors, _, _ = socket.recv_fds(control, 4, 1)
        if len(header) < 4:
            raise SystemExit(0)
        request = json.loads(read(int.from_bytes(header, "big")))
        key = (request["prompt"], request["tests"])
        if key not in looks:
            try:
                looks[key] = Look(*key)
            except Unfit as reason:
                looks[key] = str(reason)
            except RecursionError:
                looks[key] = "the tests are nested too deep"
        look = looks[key]
        if request["op"] == "look":
            fits = isinstance(look, Look)
            answer({"fits": fits, "reason": "" if fits else look})
            continue
        with socket.socket(fileno=descriptors[0]) as channel:
            message = run(look, channel)
        answer(message)


serve()
