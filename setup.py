"""Build of the one extension, ``fastfold._core``.  Everything else about the project is in pyproject.toml.

Switches, each on when set to 1 in the environment:

``FASTFOLD_DEBUG``     no optimisation, debug symbols, assertions of the core on
``FASTFOLD_SANITIZE``  AddressSanitizer and UndefinedBehaviorSanitizer
``FASTFOLD_TRACE``     line tracing, for coverage and line profilers
``FASTFOLD_STRICT``    performance hints of Cython and dangerous C warnings fail the build (CI)
"""

import contextlib
import io
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError

PACKAGE = Path("src/fastfold")
SWITCHES = [name for name in ("DEBUG", "SANITIZE", "TRACE", "STRICT") if os.environ.get(f"FASTFOLD_{name}", "0") != "0"]

# A wrong prototype or pointer is never only a warning.
COMPILE = ["-fvisibility=hidden", *(f"-Werror={w}" for w in ("implicit-function-declaration", "int-conversion"))]
LINK: list[str] = []
if "DEBUG" in SWITCHES:
    COMPILE += ["-O0", "-g", "-UNDEBUG"]
elif "SANITIZE" not in SWITCHES:
    COMPILE += ["-O3", "-fno-math-errno"]
if "SANITIZE" in SWITCHES:
    SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    COMPILE += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", *SANITIZERS]
    LINK += SANITIZERS
if "STRICT" in SWITCHES:
    COMPILE += [f"-Werror={w}" for w in ("incompatible-pointer-types", "return-type", "shift-overflow", "uninitialized")]


def main() -> None:
    # Rewritten only on a change, and a dependency of the extension: another choice of switches builds anew.
    chosen = Path("build/switches.txt")
    chosen.parent.mkdir(exist_ok=True)
    if not chosen.exists() or chosen.read_text() != f"{SWITCHES}\n":
        chosen.write_text(f"{SWITCHES}\n")
    core = Extension(
        "fastfold._core",
        [str(PACKAGE / "_core.pyx")],
        depends=[*map(str, sorted([PACKAGE / "_core.pxd", *PACKAGE.glob("core/*.p*"), *PACKAGE.glob("core/*.h")])), str(chosen)],
        include_dirs=[str(PACKAGE)],
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        define_macros=[("CYTHON_TRACE_NOGIL", "1")] if "TRACE" in SWITCHES else [],
    )
    setup(ext_modules=[core], cmdclass={"build_ext": BuildCore})


class BuildCore(build_ext):
    """Cython, then C, and one clear message when either cannot be done."""

    def build_extension(self, ext: Extension) -> None:
        ext.sources = translate(ext)
        try:
            super().build_extension(ext)
        except BaseError as error:
            sys.exit(f"\nfastfold was not installed: {self.explain(error)}\n")

    def explain(self, error: BaseError) -> str:
        """What is missing, and what to install."""
        compiler = self.compiler.compiler[0]
        if shutil.which(compiler) is None:
            return f"its core is compiled here, and there is no C compiler ({compiler}). Debian, Ubuntu: apt-get install gcc"
        headers = Path(sysconfig.get_path("include"), "Python.h")
        if not headers.exists():
            return f"{headers} is missing. Debian, Ubuntu: apt-get install python3-dev"
        return f"{compiler} could not build its core, see above ({error})"


def translate(ext: Extension) -> list[str]:
    """C sources of the extension; a unit, header or switch that changed makes them anew."""
    strict = "STRICT" in SWITCHES
    said = io.StringIO()
    with contextlib.redirect_stderr(said) if strict else contextlib.nullcontext():
        done = cythonize(
            [ext],
            build_dir="build/cython",
            include_path=[str(PACKAGE)],
            compiler_directives={"linetrace": True} if "TRACE" in SWITCHES else {},
            force=strict,
        )
    sys.stderr.write(said.getvalue())
    if "performance hint:" in said.getvalue():
        sys.exit("\nfastfold was not built: a nogil function waits for the GIL, see the performance hints above\n")
    return done[0].sources


main()
