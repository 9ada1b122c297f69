"""Words that generated records are made of.

Paths of programs are those of Windows; people, hosts, networks and domains are invented (RFC 2606
and RFC 5737 names and addresses outside, 10/8 inside).
"""

from __future__ import annotations

CORE = ("System", "smss.exe", "csrss.exe", "wininit.exe", "services.exe", "lsass.exe", "svchost.exe", "explorer.exe")
PROGRAMS = (
    ("C:\\Windows\\System32\\svchost.exe", "{image} -k netsvcs -p -s Service{n}"),
    ("C:\\Windows\\System32\\svchost.exe", "{image} -k LocalServiceNetworkRestricted -p"),
    ("C:\\Windows\\System32\\wbem\\WmiPrvSE.exe", "{image} -secured -Embedding"),
    ("C:\\Windows\\System32\\backgroundTaskHost.exe", '"{image}" -ServerName:App.AppX{n}.mca'),
    ("C:\\Windows\\System32\\RuntimeBroker.exe", "{image} -Embedding"),
    ("C:\\Windows\\System32\\conhost.exe", "\\??\\{image} 0xffffffff -ForceV1"),
    ("C:\\Windows\\System32\\cmd.exe", '"{image}" /c "dir C:\\Reports\\{n} & exit"'),
    (
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        '"{image}" -NoProfile -File C:\\Scripts\\task{n}.ps1',
    ),
    ("C:\\Windows\\System32\\taskhostw.exe", "{image} Install $(Arg{n})"),
    ("C:\\Program Files\\Browser\\browser.exe", '"{image}" --type=renderer --renderer-client-id={n}'),
    ("C:\\Program Files\\Office\\winword.exe", '"{image}" /n "C:\\Users\\Public\\Documents\\draft {n}.docx"'),
)
SITES = ("ams", "gru", "nbo", "osl", "yyz")
ROLES = ("ws", "ws", "ws", "srv")
PEOPLE = (
    "amber.lynx",
    "basil.heron",
    "cedar.wolf",
    "dune.otter",
    "elder.finch",
    "fern.badger",
    "hazel.crane",
    "iris.stoat",
)
MODULES = (
    "ntdll.dll",
    "kernel32.dll",
    "KernelBase.dll",
    "user32.dll",
    "gdi32.dll",
    "msvcrt.dll",
    "sechost.dll",
    "rpcrt4.dll",
    "advapi32.dll",
    "combase.dll",
    "ucrtbase.dll",
    "bcryptprimitives.dll",
    "shell32.dll",
    "SHCore.dll",
    "ole32.dll",
    "oleaut32.dll",
    "ws2_32.dll",
    "crypt32.dll",
    "wininet.dll",
    "winhttp.dll",
    "dnsapi.dll",
    "IPHLPAPI.DLL",
    "amsi.dll",
    "taskschd.dll",
    "wbem\\wbemprox.dll",
    "wbem\\fastprox.dll",
    "samlib.dll",
    "netapi32.dll",
    "vaultcli.dll",
    "dbghelp.dll",
)
FRAMES = (
    "C:\\windows\\SYSTEM32\\ntdll.dll",
    "C:\\windows\\System32\\KERNELBASE.dll",
    "C:\\windows\\System32\\RPCRT4.dll",
    "C:\\windows\\System32\\KERNEL32.DLL",
    "C:\\windows\\System32\\combase.dll",
    "c:\\windows\\system32\\lsm.dll",
    "C:\\windows\\SYSTEM32\\psmserviceexthost.dll",
    "C:\\Windows\\System32\\SHELL32.dll",
    "C:\\Windows\\System32\\wbem\\cimwin32.dll",
)
ACCESSES = ("0x1000", "0x1000", "0x1000", "0x1400", "0x1410", "0x1478", "0x2000", "0x101000", "0x1fffff", "0x1010")
KEYS = (
    "HKLM\\System\\CurrentControlSet\\Services\\Tcpip\\Parameters",
    "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
    "HKLM\\SOFTWARE\\Microsoft\\SystemCertificates\\Root",
    "HKLM\\System\\CurrentControlSet\\Services\\bam\\State\\UserSettings",
    "HKU\\{sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings",
    "HKU\\{sid}\\Software\\Microsoft\\Windows\\Shell",
    "HKU\\{sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\SessionInfo\\1",
    "HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows",
    "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tree",
    "HKLM\\System\\CurrentControlSet\\Control\\Lsa",
)
FOLDERS = (
    "C:\\Users\\{user}\\AppData\\Local\\Temp",
    "C:\\Users\\{user}\\Downloads",
    "C:\\Windows\\Prefetch",
    "C:\\Windows\\Temp",
    "C:\\ProgramData\\Microsoft\\Diagnosis",
    "C:\\Users\\{user}\\AppData\\Roaming\\Microsoft\\Windows\\Recent",
)
SUFFIXES = ("tmp", "tmp", "log", "pf", "dat", "lnk", "dll", "exe", "ps1", "txt")
PIPES = ("\\lsass", "\\wkssvc", "\\srvsvc", "\\samr", "\\winreg", "\\spoolss", "<Anonymous Pipe>")
OUTSIDE = ("203.0.113.", "198.51.100.", "192.0.2.", "2001:db8:0:0:0:0:0:")
PORTS = (443, 443, 443, 443, 80, 53, 445, 389, 88, 135, 5985, 3389)
DOMAIN_WORDS = ("cdn", "api", "login", "update", "telemetry", "mail", "static", "sync", "img", "edge")
SENTENCES = (
    "This event is written by the system monitor service when the rule set of the host asks for it.",
    "The identifiers of processes and sessions are unique on this host until its next installation.",
    "Hashes are those of the file on disk when the event was raised and may differ from the image in memory.",
    "A dash stands for a value that was not known to the driver when the event was raised.",
)
