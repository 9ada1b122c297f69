# Zstd: the functions of libzstd, called where they are.
#
# The `zstd` package links libzstd into its extension module and exports its functions, as `isal` does with ISA-L:
# they are called by address, for a whole host without the GIL and without a Python object per step.  (The module
# of `zstandard`, which inflates .zst files, exports none.)  Only functions of the stable interface are used.

ctypedef void* (*zstd_make_fn)() noexcept nogil
ctypedef void* (*zstd_make_ddict_fn)(const void* data, size_t size) noexcept nogil
ctypedef size_t (*zstd_free_fn)(void* thing) noexcept nogil
ctypedef size_t (*zstd_set_fn)(void* context, int parameter, int value) noexcept nogil
ctypedef size_t (*zstd_load_fn)(void* context, const void* data, size_t size) noexcept nogil
ctypedef size_t (*zstd_refer_fn)(void* context, const void* dictionary) noexcept nogil
ctypedef size_t (*zstd_work_fn)(void* context, void* out, size_t room, const void* data, size_t size) noexcept nogil
ctypedef size_t (*zstd_bound_fn)(size_t size) noexcept nogil
ctypedef size_t (*zstd_measure_fn)(const void* data, size_t size) noexcept nogil
ctypedef unsigned long long (*zstd_content_fn)(const void* data, size_t size) noexcept nogil
ctypedef unsigned int (*zstd_is_error_fn)(size_t code) noexcept nogil
ctypedef unsigned int (*zstd_version_fn)() noexcept nogil

ctypedef struct Zstd:
    zstd_make_fn make_cctx
    zstd_make_fn make_dctx
    zstd_free_fn free_cctx
    zstd_free_fn free_dctx
    zstd_make_ddict_fn make_ddict
    zstd_free_fn free_ddict
    zstd_set_fn set_parameter
    zstd_load_fn load_dictionary
    zstd_refer_fn refer_ddict
    zstd_work_fn compress
    zstd_work_fn decompress
    zstd_bound_fn bound
    zstd_measure_fn frame_size
    zstd_content_fn content_size
    zstd_is_error_fn is_error
    zstd_version_fn version

cdef enum:
    ZSTD_LEVEL = 100            # ZSTD_c_compressionLevel
    ZSTD_WINDOW = 101           # ZSTD_c_windowLog
    ZSTD_CONTENT_SIZE = 200     # ZSTD_c_contentSizeFlag
    ZSTD_CHECKSUM = 201         # ZSTD_c_checksumFlag
    ZSTD_DICT_ID = 202          # ZSTD_c_dictIDFlag
    ZSTD_LEVEL_MOST = 19
    ZSTD_LEVEL_LIGHT = -1
    ZSTD_WINDOW_SMALL = 14      # up to this, zstd looks for matches by hash chains, above it by rows
    ZSTD_WINDOW_ANY = 0
    ZSTD_VERSION_LEAST = 10500  # 1.5.0

cdef Zstd _zstd

_ZSTD_NAMES = (
    "ZSTD_createCCtx",
    "ZSTD_createDCtx",
    "ZSTD_freeCCtx",
    "ZSTD_freeDCtx",
    "ZSTD_createDDict",
    "ZSTD_freeDDict",
    "ZSTD_CCtx_setParameter",
    "ZSTD_CCtx_loadDictionary",
    "ZSTD_DCtx_refDDict",
    "ZSTD_compress2",
    "ZSTD_decompressDCtx",
    "ZSTD_compressBound",
    "ZSTD_findFrameCompressedSize",
    "ZSTD_getFrameContentSize",
    "ZSTD_isError",
    "ZSTD_versionNumber",
)


cdef int _bind_zstd() except -1:
    """Fill the table of functions, which has one pointer for each name, in this order."""
    cdef void** table = <void**> &_zstd
    cdef int i
    if sizeof(Zstd) != len(_ZSTD_NAMES) * sizeof(void*):
        raise ImportError("fastfold: the table of zstd's functions is not that of their names")
    # Found, not imported: its Python functions are not used, and its import would turn on the GIL where there is none.
    found = importlib.util.find_spec("zstd")
    if found is None or found.origin is None:
        raise ImportError("fastfold: the package zstd is not installed: pip install zstd")
    try:
        library = ctypes.CDLL(found.origin)
        addresses = [ctypes.cast(library[name], ctypes.c_void_p).value for name in _ZSTD_NAMES]
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"fastfold: this build of the zstd package does not export zstd's functions ({error}); "
            "install the one from PyPI"
        ) from None
    for i in range(len(addresses)):
        table[i] = <void*> <size_t> addresses[i]
    if _zstd.version() < ZSTD_VERSION_LEAST:
        raise ImportError(f"fastfold: zstd {_zstd.version()} is older than {ZSTD_VERSION_LEAST}")
    return 0


@cython.final
cdef class Compressor:
    """What compresses at one level, with a dictionary or none; for one call at a time.

    Notes
    -----
    Texts are a few hundred bytes, and the dictionary is far larger.  Rows, which zstd prefers for windows above 16 KiB,
    are slow to set up for so little: 2,048 real states with the dictionary that ships took 168.98 bytes and 5.1 us each
    at level 5 with rows, 168.18 bytes and 4.2 us at level 4 with chains.  So the tables of the dictionary are made for
    a small window, and only what does not fit into it is given a larger one.
    """

    def __cinit__(self, int level, bytes content=None):
        cdef uint8_t none[1]
        cdef uint8_t out[64]
        self.context = _zstd.make_cctx()
        if self.context == NULL:
            raise MemoryError("fastfold core")
        _zstd.set_parameter(self.context, ZSTD_LEVEL, level)
        _zstd.set_parameter(self.context, ZSTD_CONTENT_SIZE, 1)
        _zstd.set_parameter(self.context, ZSTD_CHECKSUM, 0)
        _zstd.set_parameter(self.context, ZSTD_DICT_ID, 0)
        _zstd.set_parameter(self.context, ZSTD_WINDOW, ZSTD_WINDOW_SMALL)
        if content is not None and _zstd.is_error(
            _zstd.load_dictionary(self.context, <const char*> content, len(content))
        ):
            raise MemoryError("fastfold core")
        # The tables are made by the first that is compressed, for the window that is set then.
        if _zstd.is_error(self.compress(out, sizeof(out), none, 0, False)):
            raise ValueError("a damaged dictionary of zstd")

    def __dealloc__(self):
        if self.context != NULL:
            _zstd.free_cctx(self.context)

    cdef size_t compress(
        self, uint8_t* out, size_t room, const uint8_t* data, size_t size, bint has_checksum
    ) noexcept nogil:
        """Make a frame; returns its length, or an error of zstd."""
        cdef bint is_wide = size > <size_t> 1 << ZSTD_WINDOW_SMALL
        if self.has_checksum != has_checksum:
            self.has_checksum = has_checksum
            _zstd.set_parameter(self.context, ZSTD_CHECKSUM, has_checksum)
        if self.is_wide != is_wide:
            self.is_wide = is_wide
            _zstd.set_parameter(self.context, ZSTD_WINDOW, ZSTD_WINDOW_ANY if is_wide else ZSTD_WINDOW_SMALL)
        return _zstd.compress(self.context, out, room, data, size)


@cython.final
cdef class Dictionary:
    """A zstd dictionary made ready, for any number of packers and threads.

    Parameters
    ----------
    number : int
        Its id, 1 to 255, as it stands in values.
    content : bytes
        As zstd's trainer gives it.
    level : int
        Of what is compressed with it.

    Attributes
    ----------
    id : int

    Raises
    ------
    ValueError
        The content is no dictionary of zstd's trainer.
    """

    def __cinit__(self, int number, bytes content not None, int level):
        if not 1 <= number <= 255:
            raise ValueError(f"id {number} of a dictionary, allowed: 1 to 255")
        _check_level(level)
        # Anything else would be taken for a dictionary of raw text, and fit nothing.
        if content[:4] != b"\x37\xa4\x30\xec":
            raise ValueError("no dictionary of zstd")
        self.id = number
        self.content = content
        self.level = level
        self.compressors = []
        self.expanding = _zstd.make_ddict(<const char*> content, len(content))
        if self.expanding == NULL:
            raise ValueError("a damaged dictionary of zstd")

    def __dealloc__(self):
        if self.expanding != NULL:
            _zstd.free_ddict(self.expanding)

    cdef Compressor borrow(self):
        """A compressor that no other call works with: its tables take a megabyte, and a millisecond to make."""
        try:
            return self.compressors.pop()
        except IndexError:
            return Compressor(self.level, self.content)

    cdef void give_back(self, Compressor compressor) noexcept:
        self.compressors.append(compressor)


cdef int _check_level(int level) except -1:
    if not 1 <= level <= ZSTD_LEVEL_MOST:
        raise ValueError(f"zstd level {level}, allowed: 1 to {ZSTD_LEVEL_MOST}")
    return 0


_bind_zstd()
