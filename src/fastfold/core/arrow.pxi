# Arrow: columns handed to other libraries through Arrow's C data interface, without any of them being here.
#
# A Column says what Arrow says of an array: type, length, buffers, children, dictionary.  Its buffers are bytes
# or numpy arrays, and stay where they are; what goes out are structs that point at them.
#
#   capsule --> struct { format, name, children ... release, private_data }
#                                                                  |
#                                             one reference to the Column, given up by `release`
#
# Whoever consumes a capsule moves the struct out of it, and calls `release` when it is done, from any thread.
# A struct that nobody moved out is released with its capsule.  Children and dictionaries have references of their
# own, because a consumer may move them out of their parent.

cdef enum:
    ARROW_NULLABLE = 2
    ERROR_IO = 5                # EIO and ENOMEM, which a stream answers with
    ERROR_NO_MEMORY = 12
    TEXT_ENDS_MOST = 0x7FFFFFFF


@cython.final
@cython.auto_pickle(False)
cdef class Column:
    """An array as Arrow sees it, with the objects whose bytes it is."""


@cython.final
@cython.auto_pickle(False)
cdef class Chunks:
    """What is left of a stream; a stream belongs to one thread at a time."""


cdef Column _column(str name, bytes format, int64_t length, tuple buffers, tuple children, present):
    """A column; `buffers` without the bitmap of what is there, which is made of `present` where that is given."""
    cdef Column column = Column.__new__(Column)
    column.name = name.encode()
    column.format = format
    column.nullable = present is not None
    column.length = length
    if present is not None:
        column.null_count = length - numpy.count_nonzero(present)
    validity = numpy.packbits(present, bitorder="little") if column.null_count else None
    column.buffers = (validity, *buffers)
    column.children = children
    return column


cdef Column _numbers(str name, bytes format, values, present=None):
    """A column of numbers, one beside the other."""
    return _column(name, format, len(values), (numpy.ascontiguousarray(values),), (), present)


cdef Column _texts(str name, ends, text, present=None):
    """A column of texts, one behind the other; `ends` are 32 bits each, and one more than there are texts."""
    cdef bint small = ends[len(ends) - 1] <= TEXT_ENDS_MOST
    shown = ends.view("<i4") if small else ends.astype("<i8")
    return _column(name, b"u" if small else b"U", len(ends) - 1, (shown, text), (), present)


cdef Column _of_strings(str name, list strings):
    """A column of a few Python strings."""
    encoded = [string.encode() for string in strings]
    ends = numpy.zeros(len(encoded) + 1, "<i4")
    numpy.cumsum([len(text) for text in encoded], out=ends[1:])
    return _texts(name, ends, b"".join(encoded))


cdef Column _coded(str name, bytes format, codes, Column dictionary, present=None):
    """A column of codes into a dictionary."""
    column = _numbers(name, format, codes, present)
    column.dictionary = dictionary
    return column


cdef Column _struct(str name, int64_t length, list children, present=None):
    return _column(name, b"+s", length, (), tuple(children), present)


cdef Column _list(str name, ends, Column member, present=None):
    return _column(name, b"+l", len(ends) - 1, (ends,), (member,), present)


# --- schema ---

cdef void _drop(void* held) noexcept with gil:
    Py_DECREF(<object> held)


cdef void _give_up(void* held) noexcept nogil:
    """Give up a reference; a library that is torn down after Python has nobody left to give it to."""
    if Py_IsInitialized():
        _drop(held)


cdef void _release_schema(ArrowSchema* schema) noexcept nogil:
    cdef int64_t i
    for i in range(schema.n_children):
        if schema.children[i].release != NULL:
            schema.children[i].release(schema.children[i])
        free(schema.children[i])
    free(schema.children)
    if schema.dictionary != NULL:
        if schema.dictionary.release != NULL:
            schema.dictionary.release(schema.dictionary)
        free(schema.dictionary)
    schema.release = NULL
    _give_up(schema.private_data)


cdef int _export_schema(Column column, ArrowSchema* out) except -1:
    memset(out, 0, sizeof(ArrowSchema))
    Py_INCREF(column)
    out.private_data = <void*> column
    out.release = _release_schema
    out.format = column.format
    out.name = column.name
    out.flags = ARROW_NULLABLE if column.nullable else 0
    try:
        out.children = <ArrowSchema**> _new(len(column.children), sizeof(ArrowSchema*))
        for child in column.children:
            out.children[out.n_children] = <ArrowSchema*> _new(1, sizeof(ArrowSchema))
            out.n_children += 1
            _export_schema(child, out.children[out.n_children - 1])
        if column.dictionary is not None:
            out.dictionary = <ArrowSchema*> _new(1, sizeof(ArrowSchema))
            _export_schema(column.dictionary, out.dictionary)
    except BaseException:
        _release_schema(out)
        raise
    return 0


cdef void* _new(size_t count, size_t size) except NULL:
    cdef void* made = calloc(count + 1, size)
    if made == NULL:
        raise MemoryError("fastfold core")
    return made


# --- array ---

cdef void _release_array(ArrowArray* array) noexcept nogil:
    cdef int64_t i
    for i in range(array.n_children):
        if array.children[i].release != NULL:
            array.children[i].release(array.children[i])
        free(array.children[i])
    free(array.children)
    if array.dictionary != NULL:
        if array.dictionary.release != NULL:
            array.dictionary.release(array.dictionary)
        free(array.dictionary)
    free(array.buffers)
    array.release = NULL
    _give_up(array.private_data)


cdef const void* _address(buffer) except? NULL:
    """Where the bytes of a buffer are; whoever asks keeps the object, and nobody resizes it."""
    cdef Py_buffer view
    if buffer is None:
        return NULL
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf


cdef int _export_array(Column column, ArrowArray* out) except -1:
    memset(out, 0, sizeof(ArrowArray))
    Py_INCREF(column)
    out.private_data = <void*> column
    out.release = _release_array
    out.length = column.length
    out.null_count = column.null_count
    try:
        out.buffers = <const void**> _new(len(column.buffers), sizeof(void*))
        for buffer in column.buffers:
            out.buffers[out.n_buffers] = _address(buffer)
            out.n_buffers += 1
        out.children = <ArrowArray**> _new(len(column.children), sizeof(ArrowArray*))
        for child in column.children:
            out.children[out.n_children] = <ArrowArray*> _new(1, sizeof(ArrowArray))
            out.n_children += 1
            _export_array(child, out.children[out.n_children - 1])
        if column.dictionary is not None:
            out.dictionary = <ArrowArray*> _new(1, sizeof(ArrowArray))
            _export_array(column.dictionary, out.dictionary)
    except BaseException:
        _release_array(out)
        raise
    return 0


# --- stream ---

cdef int _stream_schema(ArrowArrayStream* stream, ArrowSchema* out) noexcept with gil:
    cdef Chunks chunks = <Chunks> stream.private_data
    try:
        _export_schema(chunks.schema, out)
    except MemoryError:
        return ERROR_NO_MEMORY
    return 0


cdef int _stream_next(ArrowArrayStream* stream, ArrowArray* out) noexcept with gil:
    cdef Chunks chunks = <Chunks> stream.private_data
    memset(out, 0, sizeof(ArrowArray))         # what has no `release` is the end
    try:
        chunk = next(chunks.rest, None)
        if chunk is not None:
            _export_array(chunk, out)
    except MemoryError:
        return ERROR_NO_MEMORY
    except BaseException as error:
        # The caller is no Python code: the exception goes on as its words, Ctrl-C too, or the rows would seem to end.
        chunks.error = f"{type(error).__name__}: {error}".encode()
        return ERROR_IO
    return 0


cdef const char* _stream_error(ArrowArrayStream* stream) noexcept with gil:
    cdef Chunks chunks = <Chunks> stream.private_data
    if chunks.error is None:
        return NULL
    return chunks.error


cdef void _release_stream(ArrowArrayStream* stream) noexcept nogil:
    stream.release = NULL
    _give_up(stream.private_data)


# --- capsules ---

cdef void _free_schema(capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*> PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void _free_array(capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*> PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void _free_stream(capsule) noexcept:
    cdef ArrowArrayStream* stream = <ArrowArrayStream*> PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


cdef object _schema_capsule(Column column):
    cdef ArrowSchema* schema = <ArrowSchema*> _new(1, sizeof(ArrowSchema))
    # From here on the capsule frees it; it is empty, which is as good as released.
    capsule = PyCapsule_New(schema, "arrow_schema", _free_schema)
    _export_schema(column, schema)
    return capsule


cdef object _array_capsule(Column column):
    cdef ArrowArray* array = <ArrowArray*> _new(1, sizeof(ArrowArray))
    capsule = PyCapsule_New(array, "arrow_array", _free_array)
    _export_array(column, array)
    return capsule


cdef object _stream_capsule(Column schema, rest):
    cdef ArrowArrayStream* stream = <ArrowArrayStream*> _new(1, sizeof(ArrowArrayStream))
    cdef Chunks chunks = Chunks.__new__(Chunks)
    capsule = PyCapsule_New(stream, "arrow_array_stream", _free_stream)
    chunks.schema = schema
    chunks.rest = rest
    Py_INCREF(chunks)
    stream.private_data = <void*> chunks
    stream.get_schema = _stream_schema
    stream.get_next = _stream_next
    stream.get_last_error = _stream_error
    stream.release = _release_stream
    return capsule


@cython.final
@cython.auto_pickle(False)
cdef class ArrowTable:
    """Columns for every library that takes Arrow: ``polars.DataFrame(t)``, ``pyarrow.table(t)``, duckdb's ``from t``.

    It has Arrow's PyCapsule methods and needs no other package.  It may be read any number of times.

    Attributes
    ----------
    names : list of str
        Of the columns.

    Notes
    -----
    ``len()`` is the number of rows.
    """

    def __len__(self):
        return self.rows

    def __repr__(self):
        return f"<ArrowTable: {self.rows:,} rows of {', '.join(self.names)}>"

    @property
    def names(self):
        return [(<Column> column).name.decode() for column in self.schema.children]

    def __arrow_c_schema__(self):
        """The types of the columns, as a capsule for another library."""
        return _schema_capsule(self.schema)

    def __arrow_c_stream__(self, requested_schema=None):
        """The rows, as a capsule for another library; the types are ours, whatever is requested."""
        return _stream_capsule(self.schema, self.chunks())


cdef ArrowTable _arrow_table(Column schema, chunks, Py_ssize_t rows):
    cdef ArrowTable table = ArrowTable.__new__(ArrowTable)
    table.schema = schema
    table.chunks = chunks
    table.rows = rows
    return table
