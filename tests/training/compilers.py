"""Backends around another, for the tests of what is compiled: without a compiler, or with a noted one."""


class Wrapped:
    """All that another backend offers, but for its compiler."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        if name in ("_backend", "compile"):
            raise AttributeError(name)
        return getattr(self._backend, name)


class Uncompiled(Wrapped):
    """A backend that runs every operation by itself."""


class Noting(Wrapped):
    """It notes how often functions were given to its compiler, run as Python code, and called.

    Python code runs once a compilation.  A backend without a compiler runs it at each call.
    """

    def __init__(self, backend):
        super().__init__(backend)
        self.given, self.runs, self.calls = 0, 0, 0

    def compile(self, function, used_up=()):
        self.given += 1

        def run(*arguments):
            self.runs += 1
            return function(*arguments)

        compiled = self._backend.compile(run, used_up) if hasattr(self._backend, "compile") else run
        if compiled is None:
            return None

        def called(*arguments):
            self.calls += 1
            return compiled(*arguments)

        return called
