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
from setuptools.errors import BaseError, CompileError, LinkError

PACKAGE = Path("src/fastfold")
SWITCHES = [name for name in ("DEBUG", "SANITIZE", "TRACE", "STRICT") if os.environ.get(f"FASTFOLD_{name}", "0") != "0"]

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if "SANITIZE" in SWITCHES else []
COMPILE = [
    "-fvisibility=hidden",
    "-Werror=implicit-function-declaration",
    "-Werror=int-conversion",
    "-Wno-sign-compare",  # of the C that Cython makes, which compares sizes as it likes
]
if SANITIZERS:
    COMPILE += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", *SANITIZERS]
elif "DEBUG" in SWITCHES:
    COMPILE += ["-O0", "-g", "-UNDEBUG"]
else:
    COMPILE += ["-O3", "-fno-math-errno"]
if "STRICT" in SWITCHES:
    COMPILE += ["-Werror=incompatible-pointer-types", "-Werror=return-type", "-Werror=uninitialized"]


class BuildCore(build_ext):
    """Cython, then C, and one clear message when either cannot be done."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.inplace:
            # The same for an editable install and for `build_ext --inplace`: what one built, the other need not.
            self.build_lib = f"build/inplace-{sys.implementation.cache_tag}"

    def build_extension(self, ext: Extension) -> None:
        ext.sources = translate(ext)
        try:
            super().build_extension(ext)
        except (BaseError, CompileError, LinkError) as error:
            sys.exit(f"\nfastfold was not installed: {self.explain(error)}\n")

    def explain(self, error: Exception) -> str:
        """What is missing, and what to install."""
        compiler = self.compiler.compiler[0]
        if shutil.which(compiler) is None:
            return f"it needs a C compiler, {compiler} is not there. On Debian or Ubuntu: apt-get install gcc libc6-dev"
        header = Path(sysconfig.get_path("include"), "Python.h")
        if not header.exists():
            return f"{header} is missing. On Debian or Ubuntu: apt-get install python3-dev"
        return f"{compiler} could not build its core, see above ({error})"


def translate(ext: Extension) -> list[str]:
    """C sources of the extension, made anew when the spine or a unit changed."""
    strict = "STRICT" in SWITCHES
    said = io.StringIO()
    with contextlib.redirect_stderr(said) if strict else contextlib.nullcontext():
        done = cythonize(
            [ext],
            build_dir="-".join(["build/cython", *SWITCHES]).lower(),
            include_path=[str(PACKAGE)],
            compiler_directives={"linetrace": True} if "TRACE" in SWITCHES else {},
            force=strict,  # hints are told only while translating
        )
    sys.stderr.write(said.getvalue())
    if "performance hint:" in said.getvalue():
        sys.exit("\nfastfold was not built: a nogil function waits for the GIL, see the performance hints above\n")
    return done[0].sources


# Rewritten only on a change, and a dependency of the extension: another choice of switches builds anew.
chosen = Path("build/switches.txt")
chosen.parent.mkdir(exist_ok=True)
if not chosen.exists() or chosen.read_text() != f"{SWITCHES}\n":
    chosen.write_text(f"{SWITCHES}\n")

units = [PACKAGE / "_core.pxd", *sorted(PACKAGE.glob("core/*.px[di]")), *sorted(PACKAGE.glob("core/*.h"))]
core = Extension(
    "fastfold._core",
    [str(PACKAGE / "_core.pyx")],
    depends=[str(path) for path in [*units, chosen]],
    include_dirs=[str(PACKAGE)],
    extra_compile_args=COMPILE,
    extra_link_args=SANITIZERS,
    define_macros=[("CYTHON_TRACE_NOGIL", "1")] if "TRACE" in SWITCHES else [],
)
setup(ext_modules=[core], cmdclass={"build_ext": BuildCore})
