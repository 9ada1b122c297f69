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
    """Collects the arrays of a plan; `tree` is nested dicts of key -> [is wanted, keys below]."""

    def __init__(self, schema):
        self.schema = schema
        self.tree = {}
        self.leaves = {}
        self.embedded = {}
        self.alternatives = []
        self.fields = {}
        self.keys = bytearray()
        self.literals = []
        self.tests = []
        self.columns = []
        self.part_fields = []
        self.forms = {}
        self.form(())

    def collect(self, *fields):
        """Note every way to fields before slots are numbered."""
        for paths in fields:
            for sequence in self.schema.expand(paths):
                *parents, last = sequence
                below = self.tree
                for key in parents:
                    below = below.setdefault(key, [False, {}])[1]
                below.setdefault(last, [False, {}])[0] = True

    def collect_source(self, source):
        self.collect(source.paths, source.tail, *((part,) for part in source.parts))

    def number(self):
        """Number the slots depth first, so that what lies below a key is one range; how many there are."""
        slot = self._number(self.tree, (), 0)
        # The strings that hold JSON have slots of their own: what is below them is not theirs.
        for name in self.schema.embedded:
            if name in self.tree:
                self.embedded[name] = slot
                slot += 1
        return slot

    def _number(self, tree, prefix, slot):
        for key, (is_wanted, below) in tree.items():
            if is_wanted:
                self.leaves[(*prefix, key)] = slot
                slot += 1
            slot = self._number(below, (*prefix, key), slot)
        return slot

    def field(self, paths):
        """(first, count) of the alternatives of a field."""
        if paths not in self.fields:
            slots = [self.leaves[sequence] for sequence in self.schema.expand(paths)]
            self.fields[paths] = (len(self.alternatives), len(slots))
            self.alternatives += slots
        return self.fields[paths]

    def parts(self, source):
        """(first, count) of the fields that make an id."""
        first = len(self.part_fields)
        self.part_fields += [self.field((part,)) for part in source.parts]
        return first, len(source.parts)

    def literal_range(self, texts):
        first = len(self.literals)
        for text in texts:
            self.literals.append(self.literal(text))
        return first, len(texts)

    def literal(self, text):
        data = text.encode()
        self.keys += data
        return len(self.keys) - len(data), len(data)

    def form(self, absent):
        """Number of the form of texts of which some count as absent."""
        if absent not in self.forms:
            # FORM_TEXT and FORM_ID are 0 and 1.
            self.forms[absent] = len(self.forms) + 1 if self.forms else FORM_TEXT
        return self.forms[absent]


def _lists_of(events):
    """Numbers of the mappings for every discriminator named in full, and (text, is_end, mapping) of the others."""
    lists = {}
    wildcards = []
    for number, event in enumerate(events):
        for value in event.when:
            if value.startswith("*"):
                wildcards.append((value.removeprefix("*"), 1, number))
            elif value.endswith("*"):
                wildcards.append((value.removesuffix("*"), 0, number))
            else:
                lists[value] = []
    for value, numbers in lists.items():
        numbers += [n for n, event in enumerate(events) if any(_reaches(when, value) for when in event.when)]
    return lists, wildcards


def _reaches(when, value):
    if when.startswith("*"):
        return value.endswith(when.removeprefix("*"))
    return value.startswith(when.removesuffix("*")) if when.endswith("*") else value == when


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


cdef IdPlan _id_plan(builder, source):
    cdef IdPlan plan
    plan.field = _field(builder, source.paths)
    plan.first_part, plan.part_count = builder.parts(source)
    return plan


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
        self.views = []
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
            reducer.read_bytes = max(given.text_bytes, READ_BYTES)
            reducer.full_bytes = given.bytes
            reducer.reserve_bytes = given.reserve_bytes
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
        self.c.pool_bytes = max(pool_bytes(self.definition), 0)
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
        builder.collect(schema.tenant, schema.host, schema.discriminator)
        builder.collect(*(time.paths for time in schema.times))
        builder.collect(*(condition.paths for condition in schema.require))
        for event in schema.events:
            builder.collect_source(event.process)
            builder.collect(*(condition.paths for condition in event.where))
            for column, source in event.columns.items():
                if column in read:
                    builder.collect_source(source)
        self.c.slot_count = builder.number()
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
            keys = {}
            for key, (is_wanted, below) in tree.items():
                path = (*prefix, key)
                is_last = key.endswith(LAST)
                # A key and the same with "[-1]" are one in the record.
                entry = keys.setdefault(key.removesuffix(LAST) if is_last else key, [NOWHERE, NOWHERE, 0, 0, 0])
                if is_wanted:
                    entry[0] = builder.leaves[path]
                if below:
                    leaves = builder.leaves.items()
                    under = [slot for leaf, slot in leaves if leaf[: len(path)] == path and leaf != path]
                    entry[1:] = len(trees), min(under), max(under) + 1, is_last
                    trees.append((path, below))
                if not prefix and key in builder.embedded:
                    entry[0] = builder.embedded[key]
            tables.append([(key.encode(), *entry) for key, entry in keys.items()])
        self._compile_embedded(builder, tables[0])
        lists, wildcards = _lists_of(builder.schema.events)
        flat = []
        keys = []
        for value, numbers in lists.items():
            keys.append((value.encode(), len(flat), NOWHERE, 0, 0, 0))
            flat += [len(numbers), *numbers]
        self.c.kinds_node = len(tables)
        tables.append(keys)
        self._store_nodes(builder, tables)
        self.c.mapping_lists = <uint16_t*> _allocate(self.kept, len(flat) * sizeof(uint16_t))
        for number, value in enumerate(flat):
            self.c.mapping_lists[number] = value
        self.c.wildcard_count = len(wildcards)
        self.c.wildcards = <Wildcard*> _allocate(self.kept, len(wildcards) * sizeof(Wildcard))
        for number, (text, is_end, mapping) in enumerate(wildcards):
            self.c.wildcards[number].text.at, self.c.wildcards[number].text.length = builder.literal(text)
            self.c.wildcards[number].is_end = is_end
            self.c.wildcards[number].mapping = mapping

    def _compile_embedded(self, builder, root):
        self.c.embedded_count = len(builder.embedded)
        self.c.embedded = <Embedded*> _allocate(self.kept, len(builder.embedded) * sizeof(Embedded))
        found = [entry for entry in root if entry[0].decode() in builder.embedded]
        for number, (_, slot, child, below, below_end, _) in enumerate(found):
            self.c.embedded[number].slot = slot
            self.c.embedded[number].child = child
            self.c.embedded[number].below = below
            self.c.embedded[number].below_end = below_end

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
            for data, slot, child, below, below_end, is_last in keys:
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
                entry.is_last = is_last
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
            mapping.process = _id_plan(builder, event.process)
            mapping.first_test = len(builder.tests)
            mapping.test_count = len(event.where)
            builder.tests += [(condition, 0) for condition in event.where]
            mapping.first_column = len(builder.columns)
            for column, source in event.columns.items():
                if column in read:
                    builder.columns.append((COLUMNS.index(column), source))
            mapping.column_count = len(builder.columns) - mapping.first_column

    def _store(self, builder):
        cdef uint32_t number
        cdef ColumnPlan* plan
        schema = self.schema
        self.c.tenant = _field(builder, schema.tenant)
        self.c.host = _field(builder, schema.host)
        self.c.discriminator = _field(builder, schema.discriminator)
        self.c.time_count = len(schema.times)
        self.c.times = <TimePlan*> _allocate(self.kept, len(schema.times) * sizeof(TimePlan))
        for number, time in enumerate(schema.times):
            self.c.times[number].field = _field(builder, time.paths)
            self.c.times[number].form = _TIMES.index(time.form)
        self.c.id_form = schema.id_form == "guid"
        self.c.tests = <Test*> _allocate(self.kept, len(builder.tests) * sizeof(Test))
        for number, (condition, reason) in enumerate(builder.tests):
            self.c.tests[number].field = _field(builder, condition.paths)
            self.c.tests[number].op = _TESTS.index(condition.op)
            self.c.tests[number].negate = condition.negate
            self.c.tests[number].reason = reason
            self.c.tests[number].first, self.c.tests[number].count = builder.literal_range(condition.values)
        self.c.columns = <ColumnPlan*> _allocate(self.kept, len(builder.columns) * sizeof(ColumnPlan))
        for number, (column, source) in enumerate(builder.columns):
            plan = &self.c.columns[number]
            plan.column = column
            plan.kind = _SOURCES.index(source.form)
            plan.form = FORM_ID if plan.kind == SOURCE_ID else builder.form(source.absent)
            plan.id = _id_plan(builder, source)
            plan.tail = _field(builder, source.tail)
        self._store_forms(builder)
        self.c.test_count = len(builder.tests)
        self.c.part_fields = <Field*> _allocate(self.kept, len(builder.part_fields) * sizeof(Field))
        for number, (first, count) in enumerate(builder.part_fields):
            self.c.part_fields[number].first = first
            self.c.part_fields[number].count = count
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

    def _store_forms(self, builder):
        cdef FormPlan* form
        # One byte of a raw text holds the number of its form.
        if len(builder.forms) > 254:
            raise ConfigError(f"{len(builder.forms)} different lists of absent texts in a schema, allowed are 254")
        self.c.forms = <FormPlan*> _allocate(self.kept, (len(builder.forms) + 1) * sizeof(FormPlan))
        for absent, number in builder.forms.items():
            form = &self.c.forms[number]
            form.first_absent, form.absent_count = builder.literal_range(absent)
        form = &self.c.forms[FORM_ID]
        form.is_id = 1
        form.first_absent, form.absent_count = builder.literal_range(self.schema.unknown_ids)


cdef class EventPlan(Plan):
    """A plan that reads every column of a schema, whatever the definition folds, for `EventFolder`.

    Parameters
    ----------
    schema : Schema
    definition : FoldDefinition
    limits : Limits
    """

    def _columns_read(self):
        return self.schema.columns()


@cython.final
cdef class ParsePlan(EventPlan):
    """A plan that reads every column of a schema and folds nothing, for `Parser`.

    Parameters
    ----------
    schema : Schema
    limits : Limits
    """

    def __init__(self, schema, limits):
        super().__init__(schema, FoldDefinition("nothing", 1, "", ()), limits)
