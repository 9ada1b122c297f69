// Parse alone: simdjson on demand reads 14 fields of every record of inflated files, in one pass.
//
//     simdjson_parse LIST REPEAT [WINDOW]
//
// LIST names one file of NDJSON a line.  First every text that was read goes into a count and a
// checksum for each field, which the caller compares with those of `fastfold.parse`; then the files are
// read REPEAT times, one time on the clock for each.  Prints one JSON object.
//
// The texts are unescaped, as fastfold's are, and left where simdjson put them.  What is skipped is
// skipped: simdjson on demand looks neither at its grammar nor at its escapes.

#include "simdjson.h"
#include "sysmon.hpp"

namespace {

using namespace simdjson;
using bench::fail;

enum Field { kChannel, kHost, kEvent, kTime, kGuid, kSource, kTarget, kImage, kSourceImage, kUser, kCommandLine,
             kFile, kRegistry, kModule, kFields, kNested };

const char *const kNames[kFields] = {"channel", "host", "event", "time", "process", "source", "target", "image",
                                     "source_image", "user", "command_line", "file", "registry", "module"};

const bench::Keys kKeys({{"Channel", kChannel}, {"log_name", kChannel}, {"Hostname", kHost},
                         {"computer_name", kHost}, {"EventID", kEvent}, {"event_id", kEvent},
                         {"UtcTime", kTime}, {"ProcessGuid", kGuid}, {"SourceProcessGUID", kSource},
                         {"TargetProcessGUID", kTarget}, {"Image", kImage}, {"SourceImage", kSourceImage},
                         {"User", kUser}, {"CommandLine", kCommandLine}, {"TargetFilename", kFile},
                         {"TargetObject", kRegistry}, {"ImageLoaded", kModule}, {"event_data", kNested}});

struct Row {
    std::string_view text[kFields];
};

void read_object(ondemand::object object, Row &row) {
    for (auto &&member : object) {
        ondemand::field field;
        if (std::move(member).get(field)) fail("not JSON");
        const int which = kKeys.find(field.escaped_key());
        if (which < 0) continue;
        ondemand::value &value = field.value();
        if (which == kNested) {
            ondemand::object inner;
            if (!value.get_object().get(inner)) read_object(inner, row);
        } else if (which == kEvent) {
            row.text[kEvent] = value.raw_json_token();
        } else {
            std::string_view text;
            row.text[which] = value.get_string().get(text) ? std::string_view{} : text;
        }
    }
}

template <typename Take>
std::size_t read_all(ondemand::parser &parser, const padded_string &text, std::size_t window, Take take) {
    std::size_t records = 0;
    ondemand::document_stream documents;
    if (parser.iterate_many(text, window).get(documents)) fail("cannot begin");
    for (auto document : documents) {
        ondemand::object object;
        if (document.get_object().get(object)) fail("no object");
        Row row;
        read_object(object, row);
        take(row);
        records++;
    }
    if (documents.truncated_bytes() != 0) fail("the last record is cut");
    return records;
}

// The sum, over all texts, of their 64-bit FNV-1a: the order does not matter.
struct Sum {
    std::uint64_t count = 0;
    std::uint64_t sum = 0;

    void add(std::string_view text) {
        std::uint64_t hash = 14695981039346656037u;
        for (unsigned char byte : text) hash = (hash ^ byte) * 1099511628211u;
        count++;
        sum += hash;
    }
};

std::string normal_id(std::string_view text) {
    if (text.size() >= 2 && text.front() == '{' && text.back() == '}') text = text.substr(1, text.size() - 2);
    std::string id(text);
    for (char &letter : id) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
    }
    return id == bench::kNullGuid ? std::string() : id;
}

// Whether the schema reads a field in events of this number.
bool has_column(int which, std::string_view event) {
    switch (which) {
        case kCommandLine: return event == "1";
        case kModule: return event == "7";
        case kFile: return event == "11" || event == "15" || event == "23" || event == "26";
        case kRegistry: return event == "12" || event == "13" || event == "14";
        default: return true;
    }
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) fail("simdjson_parse LIST REPEAT [WINDOW]");
    const int repeat = std::atoi(argv[2]);
    const std::size_t window = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : std::size_t{1} << 20;

    std::vector<padded_string> texts;
    std::size_t bytes = 0;
    for (const std::string &name : bench::read_list(argv[1])) {
        padded_string text;
        if (padded_string::load(name).get(text)) fail(name + ": cannot be read");
        bytes += text.size();
        texts.push_back(std::move(text));
    }

    ondemand::parser parser;
    Sum sums[kFields];
    std::size_t records = 0;
    for (const padded_string &text : texts) {
        records += read_all(parser, text, window, [&](Row &row) {
            // Only what gives an event of the process that acts, as the schema has it.
            if (row.text[kChannel] != bench::kSysmon) return;
            const bool access = row.text[kEvent].substr(0, 2) == "10";
            std::string process = normal_id(row.text[access ? kSource : kGuid]);
            if (process.empty() || row.text[kTime].empty() || row.text[kHost].empty()) return;
            std::string target = access ? normal_id(row.text[kTarget]) : std::string();
            row.text[kEvent] = row.text[kEvent].substr(0, row.text[kEvent].find_first_not_of("0123456789"));
            row.text[access ? kSource : kGuid] = process;
            row.text[kTarget] = target;
            for (int which = 0; which < kFields; which++) {
                if (!row.text[which].empty() && has_column(which, row.text[kEvent])) sums[which].add(row.text[which]);
            }
        });
    }

    std::printf("{\"simdjson\": \"%s\", \"kernel\": \"%s\", \"records\": %zu, \"bytes\": %zu, \"sums\": {",
                SIMDJSON_VERSION, builtin_implementation()->name().c_str(), records, bytes);
    for (int which = 0; which < kFields; which++) {
        std::printf("%s\"%s\": [%llu, %llu]", which ? ", " : "", kNames[which],
                    static_cast<unsigned long long>(sums[which].count),
                    static_cast<unsigned long long>(sums[which].sum));
    }
    std::printf("}, \"cpu_s\": [");
    for (int round = 0; round < repeat; round++) {
        const double before = bench::cpu_s();
        std::uint64_t kept = 0;
        for (const padded_string &text : texts) {
            read_all(parser, text, window, [&](Row &row) {
                // All of the row is used, so that nothing of the reading can be left out.
                for (const std::string_view &one : row.text) kept += one.size();
            });
        }
        const double spent = bench::cpu_s() - before;
        if (kept == 0) fail("nothing was read");
        std::printf("%s%.6f", round ? ", " : "", spent);
    }
    std::printf("]}\n");
}
