# Runs program.py as `python3 program.py` would and tells the grader, on descriptor 3, how it ended.
# A first-day witness, and a weak one: tests and program share the interpreter. What it does stop:
# sys.exit(0), os._exit(0) and whatever else ends the process with code 0 before the tests are
# through, for the answer must carry a nonce that was read before the program began.
#
# Standard input: the nonce. Descriptor 3: "S\n" at start, then one line: a verdict letter, a space,
# the nonce. P passed, W an assertion failed, M out of memory, D no space, L no more processes, Y
# syntax error, E any other exception.
def _run():
    import os
    import sys
    import types

    pid = os.getpid()
    os.write(3, b"S\n")
    nonce = os.read(0, 64)
    with open("program.py", "rb") as file:
        source = file.read()
    module = types.ModuleType("__main__")
    module.__file__ = "program.py"
    sys.argv = ["program.py"]
    # Leaves the two frames of this file out of the traceback.
    def show(kind, error, trace):
        trace = trace and trace.tb_next and trace.tb_next.tb_next
        sys.__excepthook__(kind, error.with_traceback(trace), trace)

    sys.excepthook = show
    verdict = b"P "
    try:
        try:
            code = compile(source, "program.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            verdict = b"Y "
            raise
        sys.modules["__main__"] = module
        exec(code, module.__dict__)
    except AssertionError:
        verdict = b"W "
        raise
    except MemoryError:
        verdict = b"M "
        raise
    except BaseException as error:
        if verdict != b"Y ":
            verdict = b"E "
        if isinstance(error, OSError) and error.errno in (27, 28, 122):  # EFBIG, ENOSPC, EDQUOT
            verdict = b"D "
        if isinstance(error, BlockingIOError) or str(error) == "can't start new thread":
            verdict = b"L "
        raise
    finally:
        if os.getpid() == pid:  # A forked child of the program is not the program.
            os.write(3, verdict + nonce + b"\n")


_run()
