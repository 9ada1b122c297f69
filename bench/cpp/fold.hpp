// The fold of the whole job in C++: texts and processes as small numbers in flat hash tables.
#pragma once

#include "sysmon.hpp"

namespace bench {

using Code = std::uint32_t;  // of a text; 0 is absent
using Time = std::int64_t;   // the digits of a time, year first: compares as the time does

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t load(const char *at, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, size);
    return word;
}

inline std::uint64_t hash_text(std::string_view text) {
    constexpr std::uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xd6e8feb86659fd93u;
    std::uint64_t hash = text.size() * k1;
    const char *at = text.data();
    std::size_t left = text.size();
    for (; left >= 16; at += 16, left -= 16) hash = mix(load(at, 8) ^ hash ^ k0, load(at + 8, 8) ^ k1);
    if (left >= 8) {
        hash = mix(load(at, 8) ^ hash ^ k0, load(at + left - 8, 8) ^ k1);
    } else if (left > 0) {
        hash = mix(load(at, left) ^ hash ^ k0, k1);
    }
    return hash;
}

// Distinct texts as they stand between the quotes of a record, escapes and all.
class Interner {
  public:
    Interner() : slots_(1 << 12), texts_(1) {}

    Code add(std::string_view text) {
        if (text.empty()) return 0;
        const std::uint64_t hash = hash_text(text);
        const auto tag = static_cast<std::uint32_t>(hash >> 32);
        for (std::size_t at = hash & mask();; at = (at + 1) & mask()) {
            const Slot &slot = slots_[at];
            if (slot.code == 0) return enter(text, at, tag);
            if (slot.tag == tag && texts_[slot.code] == text) return slot.code;
        }
    }

    std::string_view operator[](Code code) const { return texts_[code]; }
    std::size_t size() const { return texts_.size(); }

  private:
    struct Slot {
        std::uint32_t tag = 0;
        Code code = 0;
    };
    static constexpr std::size_t kBlock = std::size_t{1} << 20;

    std::vector<Slot> slots_;
    std::vector<std::string_view> texts_;
    std::vector<std::vector<char>> blocks_;

    std::size_t mask() const { return slots_.size() - 1; }

    Code enter(std::string_view text, std::size_t at, std::uint32_t tag) {
        const auto code = static_cast<Code>(texts_.size());
        texts_.push_back(keep(text));
        slots_[at] = {tag, code};
        if (texts_.size() * 2 > slots_.size()) grow();
        return code;
    }

    std::string_view keep(std::string_view text) {
        if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < text.size()) {
            blocks_.emplace_back();
            blocks_.back().reserve(text.size() > kBlock ? text.size() : kBlock);
        }
        std::vector<char> &block = blocks_.back();
        const std::size_t start = block.size();
        block.insert(block.end(), text.begin(), text.end());
        return {block.data() + start, text.size()};
    }

    void grow() {
        std::vector<Slot> larger(slots_.size() * 2);
        const std::size_t mask = larger.size() - 1;
        for (Code code = 1; code < texts_.size(); code++) {
            const std::uint64_t hash = hash_text(texts_[code]);
            std::size_t at = hash & mask;
            while (larger[at].code != 0) at = (at + 1) & mask;
            larger[at] = {static_cast<std::uint32_t>(hash >> 32), code};
        }
        slots_.swap(larger);
    }
};

// A flat table from two small numbers to a value; `none` is a value that is never stored.
template <typename Value>
class Pairs {
  public:
    explicit Pairs(Value none) : none_(none), slots_(1 << 12, Slot{0, none}) {}

    // The value of a pair, `none` when it is new: the caller stores one before the next call.
    Value &at(std::uint32_t a, std::uint32_t b) {
        if (used_ * 2 > slots_.size()) grow();
        const std::uint64_t key = static_cast<std::uint64_t>(a) << 32 | b;
        Slot &slot = slots_[place(slots_, key)];
        if (slot.value == none_) {
            slot.key = key;
            used_++;
        }
        return slot.value;
    }

    template <typename Take>
    void each(Take take) const {
        for (const Slot &slot : slots_) {
            if (slot.value != none_) {
                take(static_cast<std::uint32_t>(slot.key >> 32), static_cast<std::uint32_t>(slot.key), slot.value);
            }
        }
    }

  private:
    struct Slot {
        std::uint64_t key;
        Value value;
    };

    Value none_;
    std::vector<Slot> slots_;
    std::size_t used_ = 0;

    std::size_t place(const std::vector<Slot> &slots, std::uint64_t key) const {
        const std::size_t mask = slots.size() - 1;
        std::size_t at = mix(key, 0x9e3779b97f4a7c15u) & mask;
        while (slots[at].value != none_ && slots[at].key != key) at = (at + 1) & mask;
        return at;
    }

    void grow() {
        std::vector<Slot> larger(slots_.size() * 2, Slot{0, none_});
        for (const Slot &slot : slots_) {
            if (slot.value != none_) larger[place(larger, slot.key)] = slot;
        }
        slots_.swap(larger);
    }
};

enum Kind { kStart, kEnd, kChild, kWrite, kDelete, kConnect, kAccept, kQuery, kSet, kUnset, kLoad, kAccess, kThread,
            kAccessed, kInjected, kPipe, kOther, kKinds };
inline const char *const kKindNames[kKinds] = {
    "process_start", "process_end", "child_start", "file_write", "file_delete", "net_connect", "net_accept",
    "dns_query", "registry_set", "registry_delete", "module_load", "process_access", "remote_thread", "accessed_by",
    "injected_by", "pipe", "other"};

enum Member { kFiles, kDeleted, kRemotes, kDomains, kRegistry, kModules, kTargets, kSources, kMembers };

constexpr Time kNever = INT64_MAX;

struct Earliest {
    Time time = kNever;
    Code text = 0;
};

struct Process {
    Code host, id;
    Time first = kNever, last = 0;
    Earliest image, command_line, user, parent;
    std::uint32_t counts[kKinds] = {};
};

class Fold {
  public:
    Interner texts;
    std::vector<Process> processes;
    std::uint64_t events = 0;

    // The code of an id as it is compared and kept; 0 when it means none.
    Code id(std::string_view spelling) {
        const Code code = texts.add(spelling);
        if (code >= normal_.size()) normal_.resize(code + 4096, kUnknown);
        if (normal_[code] == kUnknown) {
            const Code known = normalise(spelling);
            normal_[code] = known;
        }
        return normal_[code];
    }

    // Counts an event; null when the id means none.
    Process *get(Code host, Code id) {
        if (id == 0) return nullptr;
        events++;
        std::uint32_t &index = index_.at(host, id);
        if (index == kUnknown) {
            index = static_cast<std::uint32_t>(processes.size());
            processes.push_back({host, id, kNever, 0, {}, {}, {}, {}, {}});
        }
        return &processes[index];
    }

    void add(Process &process, Kind kind, Time time, std::string_view image, std::string_view user) {
        process.counts[kind]++;
        if (time < process.first) process.first = time;
        if (time > process.last) process.last = time;
        take(process.image, time, image);
        take(process.user, time, user);
    }

    // The earliest text, of equal times the smaller one.
    void take(Earliest &kept, Time time, std::string_view text) {
        if (time <= kept.time && !text.empty()) take_code(kept, time, texts.add(text));
    }

    void take_code(Earliest &kept, Time time, Code code) {
        if (code == 0 || time > kept.time) return;
        if (time < kept.time || (code != kept.text && smaller(code, kept.text))) kept = {time, code};
    }

    void add_member(const Process &process, Member which, Time time, Code code) {
        if (code == 0) return;
        const auto owner = static_cast<std::uint32_t>(&process - processes.data());
        Time &first = members.at(owner << 3 | which, code);
        if (time < first) first = time;
    }

    Pairs<Time> members{kNever};

  private:
    static constexpr std::uint32_t kUnknown = UINT32_MAX;
    Pairs<std::uint32_t> index_{kUnknown};
    std::vector<Code> normal_{0};

    Code normalise(std::string_view spelling) {
        if (spelling.size() >= 2 && spelling.front() == '{' && spelling.back() == '}') {
            spelling = spelling.substr(1, spelling.size() - 2);
        }
        std::string text(spelling);
        for (char &letter : text) {
            if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
        }
        return text == kNullGuid ? 0 : texts.add(text);
    }

    // Order of the texts themselves.  Sysmon's are free of escapes but for the backslash and the quote.
    bool smaller(Code a, Code b) const { return unescape(texts[a]) < unescape(texts[b]); }

    static std::string unescape(std::string_view raw) {
        std::string text;
        for (std::size_t at = 0; at < raw.size(); at++) {
            if (raw[at] == '\\' && at + 1 < raw.size() && (raw[at + 1] == '\\' || raw[at + 1] == '"')) at++;
            text.push_back(raw[at]);
        }
        return text;
    }
};

}  // namespace bench
