"""Detection rules in the manner of Sigma's, any number of them, from a seed.

The shares of log sources, operators and filters follow the rules for Windows at SigmaHQ, by estimate and not by count:
half of them are about process starts, a program by the end of its path and several parts of its command line, now and
then with a filter; few have a regular expression.  The words are those that such rules look for, with names made up
among them, so that rules have mostly texts of their own, as theirs do.
"""

import random
from collections.abc import Callable
from hashlib import blake2b

from fastfold.rules.types import AllOf, AnyOf, Condition, KindIn, Not, Rule, Step, Test


def _words(text: str, separator: str | None = None) -> list[str]:
    return text.split(separator)


_SYSTEM = _words(
    "cmd powershell pwsh rundll32 regsvr32 mshta wscript cscript certutil bitsadmin wmic schtasks reg net net1 sc "
    "whoami nltest tasklist taskkill netsh vssadmin wevtutil bcdedit msbuild installutil cmstp odbcconf forfiles "
    "explorer svchost services lsass winlogon spoolsv dllhost wmiprvse werfault conhost userinit taskhostw msiexec "
    "winword excel powerpnt outlook mspaint notepad iexplore chrome firefox msedge ftp curl ping nslookup ipconfig "
    "arp route systeminfo quser query attrib icacls takeown cipher makecab expand esentutl ntdsutil dsquery procdump "
    "psexec psexesvc adfind rubeus mimikatz sharphound seatbelt python java w3wp sqlservr tomcat mavinject hh "
    "control presentationhost msdt pcalua scriptrunner infdefaultinstall xwizard dnscmd fltmc auditpol",
)
_COMMAND = _words(
    "-enc|-encodedcommand|-nop |-noni|-w hidden|-windowstyle hidden|-exec bypass|-ep bypass|iex(|invoke-expression|"
    "downloadstring|downloadfile|net.webclient|frombase64string|http://|https://|/c |/k |/transfer|urlcache|-decode|"
    "-split|javascript:|vbscript:|scrobj.dll|/i:|comsvcs|minidump|sekurlsa|logonpasswords|lsadump|privilege::|"
    "shadowcopy delete|delete shadows|resize shadowstorage|recoveryenabled no|clear-log| cl |/create|/sc |/tn |/tr |"
    "add |/add|user |group |localgroup|administrators|domain admins|domain_trusts|dclist|/all|/domain|config|"
    "binpath=|start= auto|stop |query |export|save |hklm\\sam|hklm\\system|hklm\\security|process call create|"
    "/node:|\\appdata\\local\\temp\\|\\users\\public\\|c:\\programdata\\|\\perflogs\\|.dll,|#1|.ps1|.vbs|.js|.hta|"
    ".bat|-ma |-accepteula|lsass|ntds.dit|-p |-u |\\\\127.0.0.1\\|admin$|c$|ipc$|advfirewall|portproxy|"
    "set-mppreference|disablerealtimemonitoring|add-mppreference|exclusionpath|new-object|reflection.assembly|"
    "virtualalloc|createthread|getprocaddress|start-process|invoke-webrequest|certreq|-f |-o |copy |move |ren |del ",
    "|",
)
_REGISTRY = _words(
    "\\software\\microsoft\\windows\\currentversion\\run|\\currentversion\\runonce|\\image file execution options\\|"
    "\\services\\|\\control\\lsa\\|\\securityproviders\\wdigest\\uselogoncredential|\\winlogon\\shell|"
    "\\winlogon\\userinit|\\policies\\system\\enablelua|\\windows defender\\|\\safeboot\\|\\terminal server\\|"
    "\\appinit_dlls|\\inprocserver32\\|\\shell\\open\\command\\|\\eventlog\\|\\minint|\\app paths\\|\\bam\\state\\|"
    "\\firewallpolicy\\|\\office\\|\\security\\trusted documents|\\print\\monitors\\|\\netsh\\|\\environment\\|"
    "\\schedule\\taskcache\\|"
    "\\amsi\\providers\\|\\session manager\\|\\wmi\\autologger\\|\\internet settings\\zonemap\\",
    "|",
)
_FILES = _words(
    ".exe|.dll|.ps1|.bat|.vbs|.hta|.lnk|.iso|.dmp|.sys|.scr|.job|.xml|.aspx|.jsp|\\startup\\|\\tasks\\|\\temp\\|"
    "\\downloads\\|\\users\\public\\|\\perflogs\\|\\system32\\drivers\\|\\inetpub\\wwwroot\\|\\programdata\\|"
    "\\windows\\temp\\|\\appdata\\roaming\\|\\wbem\\|\\spool\\drivers\\|ntds.dit|lsass|sam.hiv|system.hiv",
    "|",
)
_MODULES = _words(
    "samlib vaultcli cryptdll dbghelp dbgcore comsvcs amsi clr mscoree mscorlib.ni system.management.automation "
    "wbemcomn fastprox vbe7 jscript vbscript wlanapi dnsapi winhttp netapi32 ntdsapi bcrypt credui taskschd version "
    "userenv wtsapi32 propsys secur32 uxtheme cryptbase",
)
_PLACES = _words(
    "c:\\windows\\system32\\|c:\\windows\\syswow64\\|c:\\program files\\|c:\\program files (x86)\\|"
    "c:\\windows\\winsxs\\|"
    "c:\\windows\\softwaredistribution\\|c:\\programdata\\microsoft\\",
    "|",
)
_ACCESSES = _words("0x1410 0x1010 0x1438 0x143a 0x1fffff 0x1f3fff 0x1f1fff 0x40 0x1000")
_SYLLABLES = _words("ka lo mi sol net vox dra pel tun gor ix sha bel ru min dor cat fen")


class RuleMaker:
    """Makes rules, the same ones from the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def rules(self, count: int) -> list[Rule]:
        return [self._rule(number) for number in range(count)]

    def _rule(self, number: int) -> Rule:
        makers: list[tuple[Callable[[], Condition], int]] = [
            (self._process_start, 52),
            (self._registry, 12),
            (self._file, 12),
            (self._module, 9),
            (self._network, 5),
            (self._dns, 4),
            (self._access, 4),
            (self._thread, 2),
        ]
        (maker,) = self._random.choices([maker for maker, _ in makers], [weight for _, weight in makers])
        condition = maker()
        version = blake2b(repr(condition).encode(), digest_size=8).hexdigest()
        step = Step("selection", condition)
        return Rule(f"bench-{number}", version, f"Rule {number}", "", "medium", (), (), "count", (step,), 0, "process")

    def _process_start(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"process_start"}))]
        if self._chance(0.8):
            parts.append(self._any("image", "endswith", self._programs))
        if self._chance(0.25):
            parts.append(self._any("parent", "endswith", self._programs))
        if len(parts) == 1 or self._chance(0.85):
            for _ in range(self._random.choices((1, 2, 3), (60, 30, 10))[0]):
                parts.append(self._command())
        if self._chance(0.35):
            place = self._any("parent", "startswith", lambda: self._random.choice(_PLACES))
            command = self._any("command_line", "contains", self._fragment)
            parts.append(Not(AllOf((place, command)) if self._chance(0.5) else place))
        return AllOf(tuple(parts))

    def _command(self) -> Condition:
        chance = self._random.random()
        if chance < 0.04:
            return Test("command_line", "re", self._regex())
        if chance < 0.3:
            return AllOf(tuple(Test("command_line", "contains", self._fragment()) for _ in range(self._few())))
        return self._any("command_line", "contains", self._fragment)

    def _registry(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"registry_set"}))]
        parts.append(self._any("registry", self._random.choice(("contains", "endswith")), self._key))
        if self._chance(0.6):
            parts.append(self._any("detail", "contains", self._fragment))
        else:
            parts.append(self._any("registry", "endswith", lambda: f"\\{self._word()}"))
        if self._chance(0.4):
            parts.append(Not(self._any("image", "startswith", lambda: self._random.choice(_PLACES))))
        return AllOf(tuple(parts))

    def _file(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"file_write"}))]
        parts.append(self._any("file", "contains", self._path))
        # What is common is looked for together with what is not.
        if self._chance(0.5):
            parts.append(self._any("file", "endswith", lambda: f"{self._word()}{self._random.choice(_FILES[:15])}"))
        else:
            parts.append(self._any("file", "endswith", lambda: self._random.choice(_FILES[:15])))
            parts.append(self._any("image", "endswith", self._programs))
        if self._chance(0.05):
            parts.append(Test("file", "re", rf"\\[a-z]{{{self._random.randint(4, 9)}}}\.{self._word()}$"))
        return AllOf(tuple(parts))

    def _module(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"module_load"}))]
        parts.append(self._any("module", "endswith", self._library))
        if self._chance(0.6):
            parts.append(Not(self._any("module", "startswith", lambda: self._random.choice(_PLACES))))
        if self._chance(0.6):
            parts.append(self._any("image", "endswith", self._programs))
        return AllOf(tuple(parts))

    def _network(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"net_connect"}))]
        parts.append(self._any("image", "endswith", self._programs))
        if self._chance(0.5):
            parts.append(self._any("remote", "endswith", lambda: f":{self._random.randint(1, 65535)}"))
        if self._chance(0.5):
            networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fe80::/10", "169.254.0.0/16")
            parts.append(Not(self._any("remote", "cidr", lambda: self._random.choice(networks))))
        return AllOf(tuple(parts))

    def _dns(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"dns_query"}))]
        operator = self._random.choice(("contains", "endswith"))
        parts.append(self._any("domain", operator, self._domain))
        if self._chance(0.4):
            parts.append(Not(self._any("image", "endswith", self._programs)))
        return AllOf(tuple(parts))

    def _access(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"process_access"}))]
        parts.append(self._any("target", "endswith", self._programs))
        parts.append(self._any("detail", "equals", lambda: self._random.choice(_ACCESSES)))
        if self._chance(0.7):
            parts.append(Not(self._any("image", "startswith", lambda: self._random.choice(_PLACES))))
        return AllOf(tuple(parts))

    def _thread(self) -> Condition:
        parts: list[Condition] = [KindIn(frozenset({"remote_thread"}))]
        parts.append(self._any(self._random.choice(("image", "target")), "endswith", self._programs))
        return AllOf(tuple(parts))

    def _any(self, column: str, operator: str, word: Callable[[], str]) -> Condition:
        tests = tuple(Test(column, operator, value) for value in dict.fromkeys(word() for _ in range(self._few())))
        return tests[0] if len(tests) == 1 else AnyOf(tests)

    def _few(self) -> int:
        return self._random.choices((1, 2, 3, 5, 9), (40, 25, 15, 12, 8))[0]

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _word(self) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=self._random.randint(2, 4)))

    def _programs(self) -> str:
        return f"\\{self._random.choice(_SYSTEM) if self._chance(0.75) else self._word()}.exe"

    def _fragment(self) -> str:
        chance = self._random.random()
        if chance < 0.5:
            return self._random.choice(_COMMAND)
        return self._random.choice((" -", " /", "\\", " --", "")) + self._word()

    def _key(self) -> str:
        start = self._random.choice(_REGISTRY)
        return start if self._chance(0.4) else "\\".join((start.rstrip("\\"), self._word()))

    def _path(self) -> str:
        if self._chance(0.5):
            return self._random.choice(_FILES)
        return "\\" + self._word() + self._random.choice(_FILES[:15])

    def _domain(self) -> str:
        return f"{self._word()}.{self._random.choice(('com', 'io', 'ru'))}"

    def _library(self) -> str:
        return f"\\{self._random.choice(_MODULES) if self._chance(0.6) else self._word()}.dll"

    def _regex(self) -> str:
        return self._random.choice(
            (
                rf"{self._word()}\s+-[a-z]{{1,3}}\s+{self._word()}",
                r"[A-Za-z0-9+/]{200,}={0,2}",
                rf"\\{self._word()}\d+\.exe",
                rf"(?:{self._word()}|{self._word()})\.(?:ps1|bat)",
                r"\^.{1,4}\^.{1,4}\^",
            )
        )
