# Matching: the door for rules.  The texts of a batch are searched once each, then its events are looked up.


cdef enum:
    KEPT_MOST = 1 << 16         # sets and combinations that are kept from batch to batch


cdef uint32_t* _kept_numbers(list kept, given) except NULL:
    """Numbers as memory that lives as long as `kept`; one more can be read."""
    cdef uint32_t* memory = <uint32_t*> _allocate(kept, (len(given) + 1) * sizeof(uint32_t))
    cdef Py_ssize_t i
    for i in range(len(given)):
        memory[i] = given[i]
    return memory


cdef uint32_t* _kept_ends(list kept, lists) except NULL:
    """Where each of some lists ends, laid out one behind the other; the first word is 0."""
    ends = [0]
    end = 0
    for given in lists:
        end += len(given)
        ends.append(end)
    return _kept_numbers(kept, ends)


cdef class Conditions:
    """The conditions of all steps of all rules, compiled for the core.

    Parameters
    ----------
    patterns : list of tuple
        Number of the operator (contains, startswith, endswith, equals), the caseless text, the text as written where
        case counts (else empty), and whether the pattern only says that a text must be looked at elsewhere.  UTF-8,
        never empty.
    uses : list of list of tuple
        For each pattern, and for those found elsewhere behind them, the places (`KEY_PLACES`) that it is looked for
        in, and the number of the atom that it is there.
    programs : list of list of int
        The condition of each step, its nodes in one list (conditions.pxi).
    guards : list of list of int
        For each atom the steps that are judged when it holds.
    always : list of int
        The steps that are judged for each event.
    points : numpy.ndarray of uint32
        For each code point the caseless one.

    Notes
    -----
    Immutable; threads may share one.
    """

    def __init__(self, list patterns, list uses, list programs, list guards, list always, const uint32_t[::1] points):
        self.kept = []
        self.points = points
        self.c.points = &points[0]
        self.c.point_count = <uint32_t> points.shape[0]
        self.c.pattern_count = len(uses)
        self.c.atom_count = len(guards)
        self.c.step_count = len(programs)
        self._keep_patterns(patterns)
        self.c.use_ends = _kept_ends(self.kept, uses)
        self.c.use_places = _kept_numbers(self.kept, [place for of_pattern in uses for place, _ in of_pattern])
        self.c.use_atoms = _kept_numbers(self.kept, [atom for of_pattern in uses for _, atom in of_pattern])
        self.c.guarded_ends = _kept_ends(self.kept, guards)
        self.c.guarded = _kept_numbers(self.kept, [step for of_atom in guards for step in of_atom])
        self.c.always_count = len(always)
        self.c.always = _kept_numbers(self.kept, always)
        self.c.step_nodes = _kept_ends(self.kept, programs)
        self._keep_nodes([word for program in programs for word in program])

    def __dealloc__(self):
        _free_automaton(&self.c.automaton)

    cdef int _keep_nodes(self, list words) except -1:
        cdef int32_t* nodes = <int32_t*> _allocate(self.kept, (len(words) + 1) * sizeof(int32_t))
        cdef Py_ssize_t i
        for i in range(len(words)):
            nodes[i] = words[i]
        self.c.nodes = nodes
        return 0

    cdef int _keep_patterns(self, list patterns) except -1:
        cdef Automaton* a = &self.c.automaton
        cdef Pattern* pattern
        cdef const uint8_t[::1] view
        cdef bint done
        a.pattern_count = len(patterns)
        a.patterns = <Pattern*> _allocate(self.kept, len(patterns) * sizeof(Pattern))
        texts = bytearray()
        for number, (operator, caseless, written, is_gate) in enumerate(patterns):
            pattern = &a.patterns[number]
            pattern.operator = operator
            pattern.is_gate = is_gate
            pattern.cased = bool(written)
            pattern.caseless_at = len(texts)
            pattern.caseless_length = len(caseless)
            texts += caseless
            pattern.written_at = len(texts)
            pattern.written_length = len(written)
            texts += written
        texts.append(0)
        if len(texts) > ROW_MOST // 256:
            raise ConfigError(f"the texts of all rules have {len(texts):,} bytes, allowed are {ROW_MOST // 256:,}")
        self.kept.append(texts)
        view = texts
        a.bytes = &view[0]
        with nogil:
            done = _build_automaton(a)
        if not done:
            raise MemoryError("fastfold core")
        return 0

    @property
    def states(self):
        """How many states the automaton of all patterns has."""
        return self.c.automaton.state_count


@cython.final
cdef class Matching:
    """Finds what the events of one batch after the other meet.

    Parameters
    ----------
    conditions : Conditions

    Notes
    -----
    Owned by one thread at a time; different ones may work at once, the GIL is released.  `search` comes before
    `combine`, with the same texts.
    """

    def __cinit__(self, Conditions conditions not None):
        cdef const CConditions* c = &conditions.c
        self.conditions = conditions
        self.pattern_epochs = <uint32_t*> calloc(c.pattern_count + 1, sizeof(uint32_t))
        self.scratch = <uint32_t*> calloc(c.pattern_count + 1, sizeof(uint32_t))
        self.column_atoms = <uint32_t*> calloc(c.atom_count + 1, sizeof(uint32_t))
        self.judged.atom_epochs = <uint32_t*> calloc(c.atom_count + 1, sizeof(uint32_t))
        self.judged.step_epochs = <uint32_t*> calloc(c.step_count + 1, sizeof(uint32_t))
        self.judged.met = <uint32_t*> calloc(c.step_count + 1, sizeof(uint32_t))
        if (
            self.pattern_epochs == NULL or self.scratch == NULL or self.column_atoms == NULL
            or self.judged.atom_epochs == NULL or self.judged.step_epochs == NULL or self.judged.met == NULL
            or not _init_sets(&self.patterns) or not _init_sets(&self.atoms) or not _init_sets(&self.steps)
            or not _init_combinations(&self.combinations) or not self._forget()
        ):
            raise MemoryError("fastfold core")

    def __dealloc__(self):
        free(self.pattern_epochs)
        free(self.scratch)
        free(self.column_atoms)
        free(self.judged.atom_epochs)
        free(self.judged.step_epochs)
        free(self.judged.met)
        free(self.caseless.data)
        free(self.hits)
        free(self.hit_ends)
        free(self.pending)
        free(self.text_sets)
        free(self.projected)
        free(self.found)
        _free_sets(&self.patterns)
        _free_sets(&self.atoms)
        _free_sets(&self.steps)
        _free_combinations(&self.combinations)

    cdef bint _forget(self) noexcept nogil:
        """Begin with the sets that always are: nothing is met, at first."""
        _clear_sets(&self.patterns)
        _clear_sets(&self.atoms)
        _clear_sets(&self.steps)
        _clear_combinations(&self.combinations)
        self.projected_count = 0
        self.judged.epoch = 0
        memset(self.judged.atom_epochs, 0, self.conditions.c.atom_count * sizeof(uint32_t))
        memset(self.judged.step_epochs, 0, self.conditions.c.step_count * sizeof(uint32_t))
        # No text at all: no set of atoms in any column.
        if not _grow32(<void**> &self.projected, KEY_WORDS * sizeof(uint32_t), &self.projected_room, 2):
            return False
        memset(self.projected, 0, KEY_WORDS * sizeof(uint32_t))
        return (
            _number_set(&self.atoms, self.scratch, 0) == NOTHING_MET
            and _number_set(&self.steps, self.scratch, 0) == NOTHING_MET
            and self._project(self.scratch, 0) == NOTHING_MET
        )

    def search(self, strings):
        """Search the texts of a batch for all patterns.

        Parameters
        ----------
        strings : Texts

        Returns
        -------
        numpy.ndarray of uint32, shape (n, 2)
            Code and pattern, of patterns that only say that the text must be looked at elsewhere.
        """
        cdef const uint8_t[::1] text = strings.text
        cdef const uint32_t[::1] offsets = strings.offsets
        cdef const uint8_t* at = &text[0] if text.shape[0] else NULL
        cdef uint32_t count = <uint32_t> offsets.shape[0] - 1
        cdef bint done
        with nogil:
            done = self._search_all(at, &offsets[0], count)
        if not done:
            raise MemoryError("fastfold core")
        data = PyBytes_FromStringAndSize(<const char*> self.pending, self.pending_count * sizeof(uint32_t))
        return numpy.frombuffer(data, dtype="<u4").reshape(-1, 2)

    cdef bint _search_all(self, const uint8_t* text, const uint32_t* offsets, uint32_t count) noexcept nogil:
        cdef const CConditions* c = &self.conditions.c
        cdef const uint8_t* at
        cdef uint32_t code, length
        self.text_count = count
        self.hit_count = 0
        self.pending_count = 0
        if self.pattern_epoch > 0x80000000u:
            self.pattern_epoch = 0
            memset(self.pattern_epochs, 0, c.pattern_count * sizeof(uint32_t))
        if max(self.patterns.count, self.atoms.count, self.combinations.count) > KEPT_MOST and not self._forget():
            return False
        if not _grow(<void**> &self.hit_ends, sizeof(uint64_t), &self.hit_end_room, <size_t> count + 1):
            return False
        self.hit_ends[0] = 0
        for code in range(1, count):
            at = text + offsets[code]
            length = offsets[code + 1] - offsets[code]
            self.pattern_epoch += 1
            if not _grow(<void**> &self.hits, sizeof(uint32_t), &self.hit_room, self.hit_count + c.pattern_count):
                return False
            if _is_ascii(at, length):
                if not self._search(code, at, length, at, length):
                    return False
            else:
                self.caseless.size = 0
                if not _reserve(&self.caseless, 3 * <size_t> length):
                    return False
                self.caseless.size = _make_caseless(c.points, c.point_count, at, length, self.caseless.data)
                if not self._search(code, self.caseless.data, <uint32_t> self.caseless.size, at, length):
                    return False
            self.hit_ends[code] = self.hit_count
        return True

    cdef bint _search(
        self, uint32_t code, const uint8_t* at, uint32_t length, const uint8_t* written, uint32_t written_length
    ) noexcept nogil:
        cdef const Automaton* a = &self.conditions.c.automaton
        cdef const uint32_t* moves = a.moves
        cdef uint32_t place = 0
        cdef uint32_t i
        for i in range(length):
            place = moves[place + a.classes[at[i]]]
            if place & REPORTS:
                place ^= REPORTS
                if not self._report(code, place // a.class_count, i + 1, length, written, written_length):
                    return False
        return True

    cdef bint _report(
        self, uint32_t code, uint32_t state, uint32_t end, uint32_t length, const uint8_t* written,
        uint32_t written_length
    ) noexcept nogil:
        """Note the patterns that end here."""
        cdef const Automaton* a = &self.conditions.c.automaton
        cdef const Pattern* pattern
        cdef uint32_t number
        while state:
            number = a.first[state]
            while number != NO_PATTERN:
                pattern = &a.patterns[number]
                # Equality is both bits: it starts there and ends here.
                if (
                    self.pattern_epochs[number] != self.pattern_epoch
                    and (pattern.operator & PATTERN_ENDS == 0 or end == length)
                    and (pattern.operator & PATTERN_STARTS == 0 or end == pattern.caseless_length)
                ):
                    self.pattern_epochs[number] = self.pattern_epoch
                    if pattern.is_gate:
                        if not self._add_pending(code, number):
                            return False
                    elif not pattern.cased or _has_as_written(a, pattern, written, written_length):
                        self.hits[self.hit_count] = number
                        self.hit_count += 1
                number = pattern.next
            state = a.shorter[state]
        return True

    cdef bint _add_pending(self, uint32_t code, uint32_t number) noexcept nogil:
        if not _grow(<void**> &self.pending, sizeof(uint32_t), &self.pending_room, self.pending_count + 2):
            return False
        self.pending[self.pending_count] = code
        self.pending[self.pending_count + 1] = number
        self.pending_count += 2
        return True

    def combine(self, const uint32_t[:, ::1] more not None, batch):
        """Find the steps that the events of the batch meet.

        Parameters
        ----------
        more : buffer of uint32, shape (n, 2)
            Code and pattern, of patterns that were found elsewhere; each once, ascending.
        batch : Batch

        Returns
        -------
        met : numpy.ndarray of uint32, shape (n, 2)
            Event and step, ascending.
        newest : numpy.ndarray of int64
            For each host the time of its newest event.
        """
        cdef const uint8_t[::1] rows = numpy.ascontiguousarray(batch.events).view("u1")
        cdef const uint32_t[::1] processes = numpy.ascontiguousarray(batch.process_codes)
        cdef const uint32_t[::1] hosts = numpy.ascontiguousarray(batch.host_codes)
        cdef Names names
        cdef size_t count = len(batch)
        cdef bint done
        newest = numpy.full(hosts.shape[0], INT64_MIN, "<i8")
        cdef int64_t[::1] times = newest
        if count == 0:
            return numpy.empty((0, 2), "<u4"), newest
        names.processes = &processes[0]
        names.hosts = &hosts[0]
        names.newest = &times[0]
        with nogil:
            done = self._number_texts(&more[0, 0] if more.shape[0] else NULL, more.shape[0]) and self._look_up(
                <const EventRow*> &rows[0], count, &names
            )
        if not done:
            raise MemoryError("fastfold core")
        data = PyBytes_FromStringAndSize(<const char*> self.found, self.found_count * sizeof(uint32_t))
        return numpy.frombuffer(data, dtype="<u4").reshape(-1, 2), newest

    cdef bint _number_texts(self, const uint32_t* more, size_t more_count) noexcept nogil:
        """Number the set of patterns of each text."""
        cdef const uint32_t* hits
        cdef size_t used = 0
        cdef uint32_t code, count
        if not _grow(<void**> &self.text_sets, sizeof(uint32_t), &self.text_room, <size_t> self.text_count + 1):
            return False
        self.text_sets[0] = 0
        for code in range(1, self.text_count):
            count = <uint32_t> (self.hit_ends[code] - self.hit_ends[code - 1])
            hits = self.hits + self.hit_ends[code - 1]
            if count == 0 and (used == more_count or more[2 * used] != code):
                self.text_sets[code] = NOTHING_MET
                continue
            memcpy(self.scratch, hits, count * sizeof(uint32_t))
            while used < more_count and more[2 * used] == code:
                self.scratch[count] = more[2 * used + 1]
                count += 1
                used += 1
            _sort_numbers(self.scratch, count)
            self.text_sets[code] = self._project(self.scratch, count)
            if self.text_sets[code] == 0:
                return False
        return True

    cdef uint32_t _project(self, const uint32_t* patterns, uint32_t count) noexcept nogil:
        """Number of a set of patterns; what it is in each column is worked out when it is new."""
        cdef const CConditions* c = &self.conditions.c
        cdef uint32_t number = _number_set(&self.patterns, patterns, count)
        cdef uint32_t* row
        cdef uint32_t word, i, use, atoms
        if number <= self.projected_count:
            return number
        if not _grow32(<void**> &self.projected, KEY_WORDS * sizeof(uint32_t), &self.projected_room, number + 1):
            return 0
        row = self.projected + number * <size_t> KEY_WORDS
        row[0] = 0
        for word in range(1, KEY_WORDS):
            atoms = 0
            for i in range(count):
                for use in range(c.use_ends[patterns[i]], c.use_ends[patterns[i] + 1]):
                    if c.use_places[use] == word:
                        self.column_atoms[atoms] = c.use_atoms[use]
                        atoms += 1
            _sort_numbers(self.column_atoms, atoms)
            row[word] = _number_set(&self.atoms, self.column_atoms, atoms)
            if row[word] == 0:
                return 0
        self.projected_count = number
        return number

    cdef bint _look_up(self, const EventRow* rows, size_t count, const Names* names) noexcept nogil:
        """Find the combination of each event, and note the steps it meets."""
        cdef const EventRow* row
        cdef uint32_t* key = self.judged.key
        cdef uint32_t last[KEY_WORDS]
        cdef uint32_t met = 0
        cdef uint32_t column
        cdef size_t i
        self.found_count = 0
        memset(key, 0, KEY_WORDS * sizeof(uint32_t))
        memset(last, 0xFF, KEY_WORDS * sizeof(uint32_t))
        for i in range(count):
            row = &rows[i]
            key[0] = row.kind
            for column in range(COLUMN_COUNT):
                key[1 + column] = self._atoms_of(row.columns[column], 1 + column)
            key[KEY_PROCESS] = self._atoms_of(names.processes[row.process], KEY_PROCESS)
            key[KEY_HOST] = self._atoms_of(names.hosts[row.host], KEY_HOST)
            if row.time > names.newest[row.host]:
                names.newest[row.host] = row.time
            if memcmp(key, last, KEY_WORDS * sizeof(uint32_t)) != 0:
                memcpy(last, key, KEY_WORDS * sizeof(uint32_t))
                met = self._steps_met()
                if met == 0:
                    return False
            if met != NOTHING_MET and not self._note(<uint32_t> i, met):
                return False
        return True

    cdef uint32_t _atoms_of(self, uint32_t code, uint32_t word) noexcept nogil:
        return self.projected[self.text_sets[code] * <size_t> KEY_WORDS + word]

    cdef uint32_t _steps_met(self) noexcept nogil:
        """Number of the set of steps that the key meets; 0 when there is no memory."""
        cdef uint32_t slot
        cdef uint32_t number = _find_combination(&self.combinations, self.judged.key, &slot)
        cdef uint32_t met
        if number:
            return self.combinations.met[number - 1]
        _judge(&self.conditions.c, &self.atoms, &self.judged)
        met = _number_set(&self.steps, self.judged.met, self.judged.met_count)
        if met == 0 or not _add_combination(&self.combinations, self.judged.key, slot, met):
            return 0
        return met

    cdef bint _note(self, uint32_t event, uint32_t met) noexcept nogil:
        cdef uint32_t count, i
        cdef const uint32_t* steps = _set_items(&self.steps, met, &count)
        if not _grow(<void**> &self.found, sizeof(uint32_t), &self.found_room, self.found_count + 2 * count):
            return False
        for i in range(count):
            self.found[self.found_count] = event
            self.found[self.found_count + 1] = steps[i]
            self.found_count += 2
        return True
