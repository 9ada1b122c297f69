// What both C++ programs share: the keys of Sysmon's records, files, clocks and memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <time.h>

namespace bench {

constexpr std::string_view kSysmon = "Microsoft-Windows-Sysmon/Operational";
constexpr std::string_view kNullGuid = "00000000-0000-0000-0000-000000000000";

[[noreturn]] inline void fail(const std::string &what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

// Keys to small numbers: one table look-up and one comparison.  The multiplier that keeps the keys
// apart is searched once, when the program starts.
class Keys {
  public:
    struct Name {
        std::string_view text;
        int field;
    };

    explicit Keys(std::vector<Name> names) {
        while (!place(names)) multiplier_ += 0x9e3779b2u;  // even: the multiplier stays odd
    }

    // The field of a key as it stands between its quotes; -1 when nobody wants it.
    int find(std::string_view key) const {
        if (key.empty()) return -1;
        const Name &name = table_[slot(key)];
        return name.text == key ? name.field : -1;
    }

  private:
    static constexpr unsigned kSlots = 256;
    std::array<Name, kSlots> table_{};
    std::uint32_t multiplier_ = 0x9e3779b1u;

    unsigned slot(std::string_view key) const {
        auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(key[at])); };
        std::uint32_t mixed = byte(0) | byte(key.size() - 1) << 8 | static_cast<std::uint32_t>(key.size()) << 16;
        return mixed * multiplier_ >> 24;
    }

    bool place(const std::vector<Name> &names) {
        table_.fill({{}, -1});
        for (const Name &name : names) {
            Name &there = table_[slot(name.text)];
            if (there.field >= 0) return false;
            there = name;
        }
        return true;
    }
};

inline std::vector<std::string> read_list(const char *path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) fail(std::string(path) + ": names no file");
    return lines;
}

// CPU seconds of this process, user and system.
inline double cpu_s() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline double wall_s() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A line of /proc/self/status in bytes: VmRSS, or its peak VmHWM.
inline std::uint64_t memory_bytes(std::string_view field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.compare(0, field.size(), field) == 0) {
            return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
        }
    }
    fail("/proc/self/status does not tell the memory of this process");
}

// Lets the peak begin at what is resident now; it would else be that of whoever started this program.
inline void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace bench
