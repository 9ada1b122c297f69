# Plan: a schema and a fold definition compiled into flat arrays that the leaves walk without the GIL.
#
#   paths of the schema       "Image", "event_data.Image", ...
#   slots                     one per distinct way to a value, numbered so that what lies below a key is a range
#   nodes                     one hash table per object that has wanted keys: key -> slot, node below
#   fields                    ordered alternatives: the slots that are tried for a host, a time, a column
#   mapping lists             discriminator text -> numbers of event mappings
#
# A table of keys is four times as large as it has keys: most keys of a record are unwanted and meet a free
# place at once, without being compared.


cdef uint64_t _key_hash(const uint8_t* key, uint32_t length) noexcept nogil:
    """Hash of a key by its ends and length; reads up to 8 bytes over its end."""
    cdef uint64_t head = ff_load64(key)
    cdef uint64_t tail = 0
    if length < 8:
        head &= (<uint64_t> 1 << (8 * length)) - 1
    else:
        tail = ff_load64(key + length - 8)
    return ff_mix(head ^ 0x9E3779B97F4A7C15u, tail ^ 0xD1B54A32D192ED03u ^ length)


class _Builder:
    """Collects the arrays of a plan; `tree` is nested dicts of key -> _Key."""

    def __init__(self, schema):
        self.schema = schema
        self.tree = {}
        self.leaves = {}
        self.alternatives = []
        self.fields = {}
        self.keys = bytearray()
        self.literals = []
        self.tests = []
        self.columns = []
        self.mappings = []
        self.memos = 0

    def collect(self, paths):
        """Note every way to a field before slots are numbered."""
        for sequence in self.schema.expand(paths):
            *parents, last = sequence
            below = self.tree
            for key in parents:
                below = below.setdefault(key, [False, {}])[1]
            below.setdefault(last, [False, {}])[0] = True

    def number(self, tree, prefix, slot):
        """Number the slots depth first: what lies below a key is one range."""
        for key, (is_wanted, below) in tree.items():
            if is_wanted:
                self.leaves[(*prefix, key)] = slot
                slot += 1
            slot = self.number(below, (*prefix, key), slot)
        return slot

    def field(self, paths):
        """(first, count) of the alternatives of a field."""
        if paths not in self.fields:
            slots = [self.leaves[sequence] for sequence in self.schema.expand(paths)]
            self.fields[paths] = (len(self.alternatives), len(slots))
            self.alternatives += slots
        return self.fields[paths]

    def literal_range(self, texts):
        first = len(self.literals)
        for text in texts:
            data = text.encode()
            self.literals.append((len(self.keys), len(data)))
            self.keys += data
        return first, len(texts)

    def memo(self):
        self.memos += 1
        return self.memos - 1


cdef void* _allocate(list kept, size_t bytes) except NULL:
    """Zeroed memory that lives as long as the plan."""
    buffer = bytearray(bytes + 16)
    kept.append(buffer)
    cdef uint8_t[::1] view = buffer
    return &view[0]


cdef Field _field(builder, paths):
    cdef Field field
    field.first, field.count = builder.field(paths)
    return field


cdef class Plan:
    """A schema, a fold definition and limits, compiled for the core.

    Parameters
    ----------
    schema : Schema or None
        ``None`` for a plan that only merges, encodes and decodes.
    definition : FoldDefinition
    limits : Limits

    Notes
    -----
    Immutable; threads may share one.
    """

    def __init__(self, schema, definition, limits):
        self.schema = schema
        self.definition = definition
        self.limits = limits
        self.kept = []
        self.reasons = list(_OUTCOMES)
        self.c.record_bytes = limits.record_bytes
        self.c.depth = limits.depth
        self.c.processes = limits.processes
        self.c.identity_bytes = limits.identity_bytes
        self.c.text_total_bytes = limits.text_total_bytes
        if not 1 <= limits.depth <= MAX_DEPTH:
            raise ConfigError(f"depth is {limits.depth}, allowed is 1 to {MAX_DEPTH}")
        if not 1 <= limits.record_bytes <= MAX_RECORD_BYTES:
            raise ConfigError(f"record_bytes is {limits.record_bytes}, allowed is 1 to {MAX_RECORD_BYTES}")
        if not 1 <= limits.text_total_bytes <= MAX_TEXT_TOTAL:
            raise ConfigError(f"text_total_bytes is {limits.text_total_bytes}, allowed is 1 to {MAX_TEXT_TOTAL}")
        self._compile_definition()
        if schema is not None:
            self._compile_schema()

    def _compile_definition(self):
        cdef ReducerPlan* reducer
        cdef uint32_t place = 0
        cdef uint32_t members = 0
        cdef uint32_t number, kind, filled
        reducers = self.definition.reducers
        self.c.reducer_count = len(reducers)
        self.c.reducers = <ReducerPlan*> _allocate(self.kept, len(reducers) * sizeof(ReducerPlan))
        self.c.steps = <uint16_t*> _allocate(self.kept, KIND_ROOM * (len(reducers) + 1) * sizeof(uint16_t))
        for number, given in enumerate(reducers):
            reducer = &self.c.reducers[number]
            reducer.tag = given.tag
            reducer.op = OPS.index(given.op)
            reducer.limit = given.limit
            reducer.text_bytes = given.text_bytes
            if given.column is None:
                reducer.column = COLUMN_NONE
            else:
                reducer.column = COLUMN_TIME if given.column == "time" else COLUMNS.index(given.column)
            for kind in range(len(KINDS)):
                if not given.kinds or KINDS[kind] in given.kinds:
                    reducer.kinds |= <uint32_t> 1 << kind
            reducer.place = place
            reducer.members = members
            place += KIND_ROOM // 2 if reducer.op == OP_COUNT else 2
            if reducer.op == OP_SET:
                members += reducer.limit
        self.c.stride_words = place
        self.c.member_room = members
        for kind in range(KIND_ROOM):
            filled = kind * (self.c.reducer_count + 1)
            for number in range(self.c.reducer_count):
                if self.c.reducers[number].kinds >> kind & 1:
                    self.c.steps[filled] = number
                    filled += 1
            self.c.steps[filled] = NO_STEP

    def _compile_schema(self):
        schema = self.schema
        builder = _Builder(schema)
        read = self._columns_read()
        for paths in (schema.tenant, schema.host, schema.discriminator, schema.time_paths):
            builder.collect(paths)
        for condition in schema.require:
            builder.collect(condition.paths)
        for event in schema.events:
            builder.collect(event.process)
            for condition in event.where:
                builder.collect(condition.paths)
            for column, source in event.columns.items():
                if column in read:
                    builder.collect(source.paths)
                    builder.collect(source.port)
        self.c.slot_count = builder.number(builder.tree, (), 0)
        self._compile_nodes(builder)
        self._compile_events(builder, read)
        self._store(builder)

    def _columns_read(self):
        return self.definition.columns()

    def _compile_nodes(self, builder):
        """Lay the tree of keys out as hash tables, the root first."""
        trees = [((), builder.tree)]
        tables = []
        for number, (prefix, tree) in enumerate(trees):   # grows while it is walked
            keys = []
            for key, (is_wanted, below) in tree.items():
                child = NOWHERE
                if below:
                    child = len(trees)
                    trees.append(((*prefix, key), below))
                under = [slot for path, slot in builder.leaves.items() if path[: len(prefix) + 1] == (*prefix, key)]
                wanted = builder.leaves[(*prefix, key)] if is_wanted else NOWHERE
                under = [slot for slot in under if slot != wanted]
                keys.append((key.encode(), wanted, child, min(under, default=0), max(under, default=-1) + 1))
            tables.append(keys)
        lists = {}
        for number, event in enumerate(builder.schema.events):
            for value in event.when:
                lists.setdefault(value, []).append(number)
        flat = []
        keys = []
        for value, numbers in lists.items():
            keys.append((value.encode(), len(flat), NOWHERE, 0, 0))
            flat += [len(numbers), *numbers]
        self.c.kinds_node = len(tables)
        tables.append(keys)
        self._store_nodes(builder, tables)
        self.c.mapping_lists = <uint16_t*> _allocate(self.kept, len(flat) * sizeof(uint16_t))
        for number, value in enumerate(flat):
            self.c.mapping_lists[number] = value

    def _store_nodes(self, builder, tables):
        cdef KeyEntry* entry
        cdef uint32_t first = 0
        cdef uint32_t size, place
        cdef const uint8_t[::1] view
        sizes = [1 << (4 * len(keys) or 1).bit_length() for keys in tables]
        self.c.entry_count = sum(sizes)
        self.c.entries = <KeyEntry*> _allocate(self.kept, self.c.entry_count * sizeof(KeyEntry))
        self.c.nodes = <Node*> _allocate(self.kept, len(tables) * sizeof(Node))
        for number, keys in enumerate(tables):
            size = sizes[number]
            self.c.nodes[number].first = first
            self.c.nodes[number].mask = size - 1
            for data, slot, child, below, below_end in keys:
                padded = data + bytes(8)
                view = padded
                place = <uint32_t> _key_hash(&view[0], len(data)) & (size - 1)
                while self.c.entries[first + place].used:
                    place = (place + 1) & (size - 1)
                entry = &self.c.entries[first + place]
                entry.used = 1
                entry.key_at = len(builder.keys)
                entry.key_length = len(data)
                entry.slot = slot
                entry.child = child
                entry.below = below
                entry.below_end = below_end
                builder.keys += data
            first += size

    def _compile_events(self, builder, read):
        cdef Mapping* mapping
        schema = builder.schema
        self.c.require_count = len(schema.require)
        for condition in schema.require:
            if condition.reason not in self.reasons[OUTCOME_REQUIRE:]:
                self.reasons.append(condition.reason)
            builder.tests.append((condition, self.reasons.index(condition.reason, OUTCOME_REQUIRE)))
        self.c.reason_count = len(self.reasons)
        self.c.mappings = <Mapping*> _allocate(self.kept, len(schema.events) * sizeof(Mapping))
        for number, event in enumerate(schema.events):
            mapping = &self.c.mappings[number]
            mapping.kind = KINDS.index(event.kind)
            mapping.process = _field(builder, event.process)
            mapping.memo = builder.memo()
            mapping.first_test = len(builder.tests)
            mapping.test_count = len(event.where)
            builder.tests += [(condition, 0) for condition in event.where]
            mapping.first_column = len(builder.columns)
            for column, source in event.columns.items():
                if column in read:
                    builder.columns.append((COLUMNS.index(column), source, builder.memo()))
            mapping.column_count = len(builder.columns) - mapping.first_column

    def _store(self, builder):
        cdef uint32_t number
        schema = builder.schema
        self.c.tenant = _field(builder, schema.tenant)
        self.c.host = _field(builder, schema.host)
        self.c.discriminator = _field(builder, schema.discriminator)
        self.c.time = _field(builder, schema.time_paths)
        self.c.time_form = _TIMES[schema.time_form]
        self.c.id_form = schema.id_form == "guid"
        self.c.first_unknown, self.c.unknown_count = builder.literal_range(schema.unknown_ids)
        self.c.tests = <Test*> _allocate(self.kept, len(builder.tests) * sizeof(Test))
        for number, (condition, reason) in enumerate(builder.tests):
            self.c.tests[number].field = _field(builder, condition.paths)
            self.c.tests[number].op = _TESTS[condition.op]
            self.c.tests[number].negate = condition.negate
            self.c.tests[number].reason = reason
            self.c.tests[number].first, self.c.tests[number].count = builder.literal_range(condition.values)
        self.c.columns = <ColumnPlan*> _allocate(self.kept, len(builder.columns) * sizeof(ColumnPlan))
        for number, (column, source, memo) in enumerate(builder.columns):
            self.c.columns[number].column = column
            self.c.columns[number].form = _FORMS[source.form]
            self.c.columns[number].memo = memo
            self.c.columns[number].field = _field(builder, source.paths)
            self.c.columns[number].port = _field(builder, source.port)
        # Host and tenant have memos of their own behind those of the mappings.
        self.c.memo_count = builder.memos + 2
        self.c.alternatives = <uint16_t*> _allocate(self.kept, len(builder.alternatives) * sizeof(uint16_t))
        for number, slot in enumerate(builder.alternatives):
            self.c.alternatives[number] = slot
        self.c.literals = <Literal*> _allocate(self.kept, len(builder.literals) * sizeof(Literal))
        for number, (at, length) in enumerate(builder.literals):
            self.c.literals[number].at = at
            self.c.literals[number].length = length
        self.c.key_bytes = <uint8_t*> _allocate(self.kept, len(builder.keys))
        for number, byte in enumerate(builder.keys):
            self.c.key_bytes[number] = byte


@cython.final
cdef class ParsePlan(Plan):
    """A plan that reads every column of a schema and folds nothing, for `Parser`.

    Parameters
    ----------
    schema : Schema
    limits : Limits
    """

    def __init__(self, schema, limits):
        super().__init__(schema, FoldDefinition("nothing", 1, "", ()), limits)

    def _columns_read(self):
        return self.schema.columns()
