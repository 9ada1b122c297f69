// The whole job in C++: ISA-L inflates, simdjson reads on demand, flat hash tables fold.
//
//     whole_job LIST DUMP
//
// LIST names one gzip file a line.  Prints one JSON object with the time and the counts; the states go
// to DUMP after the clock has stopped, one JSON object a line, with all members of every set: the caller
// applies the limits, as it does for the contenders in Python.
//
// Written to win: one pass over the keys of a record, a record of another channel is left at once,
// texts are looked up as they stand in the record, without unescaping.  What is skipped is not checked.

#include <isa-l.h>

#include "fold.hpp"
#include "simdjson.h"

namespace {

using namespace simdjson;
using namespace bench;

enum Field { kChannel, kHost, kEvent, kTime, kGuid, kImage, kUser, kSource, kTarget, kSourceImage, kTargetImage,
             kObject, kImageLoaded, kFilename, kChangeOriginal, kChange, kName, kCommandLine, kParentGuid, kParentImage,
             kParentCommandLine, kInitiated, kToIp, kToPort, kFromIp, kFromPort, kFields, kNested };

const Keys kKeys({{"Channel", kChannel}, {"log_name", kChannel}, {"Hostname", kHost}, {"computer_name", kHost},
                  {"EventID", kEvent}, {"event_id", kEvent}, {"UtcTime", kTime}, {"ProcessGuid", kGuid},
                  {"Image", kImage}, {"User", kUser}, {"SourceProcessGUID", kSource}, {"SourceProcessGuid", kSource},
                  {"TargetProcessGUID", kTarget}, {"TargetProcessGuid", kTarget}, {"SourceImage", kSourceImage},
                  {"TargetImage", kTargetImage}, {"TargetObject", kObject}, {"ImageLoaded", kImageLoaded},
                  {"TargetFilename", kFilename}, {"EventTypeOrignal", kChangeOriginal}, {"EventType", kChange},
                  {"QueryName", kName}, {"CommandLine", kCommandLine}, {"ParentProcessGuid", kParentGuid},
                  {"ParentImage", kParentImage}, {"ParentCommandLine", kParentCommandLine},
                  {"Initiated", kInitiated}, {"DestinationIp", kToIp}, {"DestinationPort", kToPort},
                  {"SourceIp", kFromIp}, {"SourcePort", kFromPort}, {"event_data", kNested}});

struct Row {
    std::string_view text[kFields];
};

// A value without quotes and the white space behind it; null is as good as absent.
std::string_view plain(std::string_view token) {
    while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.remove_suffix(1);
    if (token.size() >= 2 && token.front() == '"') return token.substr(1, token.size() - 2);
    return token == "null" ? std::string_view{} : token;
}

// False when the record is of another channel.
bool read_object(ondemand::object object, Row &row) {
    for (auto &&member : object) {
        ondemand::field field;
        if (std::move(member).get(field)) fail("not JSON");
        const int which = kKeys.find(field.escaped_key());
        if (which < 0) continue;
        if (which == kNested) {
            ondemand::object inner;
            if (!field.value().get_object().get(inner)) read_object(inner, row);
            continue;
        }
        row.text[which] = plain(field.value().raw_json_token());
        if (which == kChannel && row.text[which] != kSysmon) return false;
    }
    return true;
}

// The digits of "2020-10-23 06:36:40.265".
Time read_time(std::string_view text) {
    static constexpr int kPlaces[] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22};
    if (text.size() != 23) fail("a time of another form: " + std::string(text));
    Time time = 0;
    for (int place : kPlaces) {
        const int digit = text[place] - '0';
        if (digit < 0 || digit > 9) fail("a time of another form: " + std::string(text));
        time = time * 10 + digit;
    }
    return time;
}

class Job {
  public:
    Fold fold;
    std::uint64_t records = 0, inflated_bytes = 0;

    void run(const std::string &name) {
        read_file(name);
        inflate_state &state = state_;
        isal_inflate_init(&state);
        state.crc_flag = ISAL_GZIP;
        state.next_in = stored_.data();
        state.avail_in = static_cast<std::uint32_t>(stored_.size());
        std::size_t kept = 0;
        bool ended = false;
        while (!ended) {
            if (buffer_.size() < kept + kWindow + SIMDJSON_PADDING) buffer_.resize(kept + kWindow + SIMDJSON_PADDING);
            state.next_out = reinterpret_cast<std::uint8_t *>(buffer_.data() + kept);
            state.avail_out = kWindow;
            if (isal_inflate(&state) != ISAL_DECOMP_OK) fail(name + ": damaged gzip data");
            const std::size_t made = kWindow - state.avail_out;
            inflated_bytes += made;
            if (state.block_state == ISAL_BLOCK_FINISH) {
                if (state.avail_in == 0) {
                    ended = true;
                } else {
                    isal_inflate_reset(&state);
                    state.crc_flag = ISAL_GZIP;
                }
            } else if (made == 0) {
                fail(name + ": truncated gzip data");
            }
            std::size_t size = kept + made;
            std::size_t whole = size;
            if (!ended) whole = std::string_view(buffer_.data(), size).rfind('\n') + 1;
            if (whole > 0) read_lines(whole);
            kept = size - whole;
            std::memmove(buffer_.data(), buffer_.data() + whole, kept);
        }
    }

  private:
    static constexpr std::size_t kWindow = std::size_t{256} << 10;
    inflate_state state_;
    std::vector<std::uint8_t> stored_;
    std::vector<char> buffer_;
    ondemand::parser parser_;
    std::string endpoint_;

    void read_file(const std::string &name) {
        std::FILE *file = std::fopen(name.c_str(), "rb");
        if (file == nullptr) fail(name + ": cannot be read");
        std::fseek(file, 0, SEEK_END);
        stored_.resize(static_cast<std::size_t>(std::ftell(file)));
        std::rewind(file);
        if (std::fread(stored_.data(), 1, stored_.size(), file) != stored_.size()) fail(name + ": cannot be read");
        std::fclose(file);
    }

    void read_lines(std::size_t size) {
        ondemand::document_stream documents;
        if (parser_.iterate_many(buffer_.data(), size, size).get(documents)) fail("cannot begin");
        for (auto document : documents) {
            ondemand::object object;
            if (document.get_object().get(object)) fail("no object");
            records++;
            Row row;
            if (read_object(object, row) && !row.text[kChannel].empty()) take(row);
        }
        if (documents.truncated_bytes() != 0) fail("the last record is cut");
    }

    void take(const Row &row) {
        const auto &f = row.text;
        if (f[kHost].empty() || f[kTime].empty() || f[kEvent].size() > 2 || f[kEvent].empty()) return;
        int number = f[kEvent][0] - '0';
        if (f[kEvent].size() == 2) number = number * 10 + f[kEvent][1] - '0';
        switch (number) {
            case 1: return create(f);
            case 3: return connect(f);
            case 5: return one(f, kEnd);
            case 7: return one(f, kLoad, kModules, f[kImageLoaded]);
            case 8: return two(f, kThread, kInjected, f[kImage], f[kImage]);
            case 10: return two(f, kAccess, kAccessed, f[kSourceImage], f[kTargetImage]);
            case 11: case 15: return one(f, kWrite, kFiles, f[kFilename]);
            case 12: return one(f, removes(f) ? kUnset : kSet, kRegistry, f[kObject]);
            case 13: case 14: return one(f, kSet, kRegistry, f[kObject]);
            case 17: case 18: return one(f, kPipe);
            case 22: return one(f, kQuery, kDomains, f[kName]);
            case 23: case 26: return one(f, kDelete, kDeleted, f[kFilename]);
            case 2: case 9: case 24: case 25: case 27: case 28: case 29: return one(f, kOther);
            default: return;
        }
    }

    using Texts = decltype(Row::text);

    static bool removes(const Texts &f) {
        const std::string_view change = f[kChangeOriginal].empty() ? f[kChange] : f[kChangeOriginal];
        return change.substr(0, 6) == "Delete";
    }

    void one(const Texts &f, Kind kind, Member which = kMembers, std::string_view member = {}) {
        Process *process = fold.get(fold.texts.add(f[kHost]), fold.id(f[kGuid]));
        if (process == nullptr) return;
        const Time time = read_time(f[kTime]);
        fold.add(*process, kind, time, f[kImage], f[kUser]);
        if (which != kMembers) fold.add_member(*process, which, time, fold.texts.add(member));
    }

    void create(const Texts &f) {
        const Code host = fold.texts.add(f[kHost]), id = fold.id(f[kGuid]), parent_id = fold.id(f[kParentGuid]);
        const Time time = read_time(f[kTime]);
        if (Process *child = fold.get(host, id)) {
            fold.add(*child, kStart, time, f[kImage], f[kUser]);
            fold.take(child->command_line, time, f[kCommandLine]);
            fold.take_code(child->parent, time, parent_id);
        }
        if (Process *parent = fold.get(host, parent_id)) {
            fold.add(*parent, kChild, time, f[kParentImage], f[kUser]);
            fold.take(parent->command_line, time, f[kParentCommandLine]);
            fold.add_member(*parent, kTargets, time, id);
        }
    }

    void connect(const Texts &f) {
        const std::string_view began = f[kInitiated];
        const bool out = began == "true" || began == "True" || began == "TRUE";
        const std::string_view address = f[out ? kToIp : kFromIp], port = f[out ? kToPort : kFromPort];
        endpoint_.assign(address);
        if (!address.empty() && !port.empty()) {
            if (address.find(':') != std::string_view::npos) endpoint_ = "[" + endpoint_ + "]";
            endpoint_.append(":").append(port);
        }
        one(f, out ? kConnect : kAccept, kRemotes, endpoint_);
    }

    void two(const Texts &f, Kind kind, Kind other, std::string_view image, std::string_view other_image) {
        const Code host = fold.texts.add(f[kHost]), source = fold.id(f[kSource]), target = fold.id(f[kTarget]);
        const Time time = read_time(f[kTime]);
        if (Process *process = fold.get(host, source)) {
            fold.add(*process, kind, time, image, f[kUser]);
            fold.add_member(*process, kTargets, time, target);
        }
        if (Process *process = fold.get(host, target)) {
            fold.add(*process, other, time, other_image, f[kUser]);
            fold.add_member(*process, kSources, time, source);
        }
    }
};

std::string show_time(Time time) {
    char text[32];
    const auto part = [time](Time above, Time modulus) { return static_cast<int>(time / above % modulus); };
    std::snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d.%03d", part(10000000000000, 10000),
                  part(100000000000, 100), part(1000000000, 100), part(10000000, 100), part(100000, 100),
                  part(1000, 100), part(1, 1000));
    return text;
}

void dump(const Fold &fold, const char *path) {
    std::vector<std::string> members[kMembers];
    for (auto &texts : members) texts.resize(fold.processes.size());
    fold.members.each([&](std::uint32_t owner, std::uint32_t code, Time time) {
        std::string &list = members[owner & 7][owner >> 3];
        if (!list.empty()) list += ",";
        list += "[\"" + show_time(time) + "\",\"" + std::string(fold.texts[code]) + "\"]";
    });
    std::ofstream file(path);
    for (std::size_t at = 0; at < fold.processes.size(); at++) {
        const Process &process = fold.processes[at];
        file << "{\"host\":\"" << fold.texts[process.host] << "\",\"process\":\"" << fold.texts[process.id]
             << "\",\"first\":\"" << show_time(process.first) << "\",\"last\":\"" << show_time(process.last)
             << "\",\"image\":\"" << fold.texts[process.image.text] << "\",\"command_line\":\""
             << fold.texts[process.command_line.text] << "\",\"user\":\"" << fold.texts[process.user.text]
             << "\",\"parent\":\"" << fold.texts[process.parent.text] << "\",\"counts\":{";
        const char *between = "";
        for (int kind = 0; kind < kKinds; kind++) {
            if (process.counts[kind] == 0) continue;
            file << between << "\"" << kKindNames[kind] << "\":" << process.counts[kind];
            between = ",";
        }
        file << "},\"sets\":[";
        for (int which = 0; which < kMembers; which++) file << (which ? ",[" : "[") << members[which][at] << "]";
        file << "]}\n";
    }
    if (!file) fail(std::string(path) + ": cannot be written");
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 3) fail("whole_job LIST DUMP");
    const std::vector<std::string> names = read_list(argv[1]);
    forget_peak();
    const std::uint64_t before_bytes = memory_bytes("VmRSS");
    const double wall = wall_s(), cpu = cpu_s();
    static Job job;
    for (const std::string &name : names) job.run(name);
    const double cpu_spent = cpu_s() - cpu, wall_spent = wall_s() - wall;
    std::printf("{\"simdjson\": \"%s\", \"ISA-L\": \"%d.%d.%d\", \"cpu_s\": %.6f, \"wall_s\": %.6f, "
                "\"peak_bytes\": %llu, \"records\": %llu, \"events\": %llu, \"inflated_bytes\": %llu}\n",
                SIMDJSON_VERSION, ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION, cpu_spent, wall_spent,
                static_cast<unsigned long long>(memory_bytes("VmHWM") - before_bytes),
                static_cast<unsigned long long>(job.records), static_cast<unsigned long long>(job.fold.events),
                static_cast<unsigned long long>(job.inflated_bytes));
    dump(job.fold, argv[2]);
}
